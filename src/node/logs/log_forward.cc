// Log drivers journald and syslog: each entry of a container's own log is handed on, in order, also those
// written while no daemon ran. The container never waits for the log daemon; one that is away for longer than
// the log files last misses entries.
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/log_records.h"
#include "node/containers/containers.h"
#include "node/logs/logs.h"

namespace panal {

namespace {

LogReader::Place read_place(const std::string& file) {
  const auto words = split(std::string(trim(read_file(file, 64).value_or(""))), ' ');
  const auto number = parse_int(words[0]), offset = words.size() == 2 ? parse_int(words[1]) : std::nullopt;
  if (!number || !offset || *number < 0 || *offset < 0) return {};
  return {static_cast<uint64_t>(*number), static_cast<size_t>(*offset)};
}

LogAddress address_of(const Container& c, const std::string& driver) {
  if (driver == "journald") return {"unixgram", "/run/systemd/journal/socket"};
  return syslog_address(c.host.log_config.config).value_or(LogAddress{"unix", "/dev/log"});
}

std::function<std::string(const LogLine&)> entry_writer(const Container& c, const std::string& driver,
                                                        const std::string& hostname) {
  const auto entry = [](const LogLine& line) {
    const bool whole = line.text.ends_with('\n');
    return LogEntry{line.time, line.stream == 2, !whole,
                    whole ? line.text.substr(0, line.text.size() - 1) : line.text};
  };
  if (driver == "journald")
    return [entry, fields = journal_fields(c)](const LogLine& line) {
      return journal_record(fields, entry(line));
    };
  return [entry, style = syslog_style(c, hostname, ::getpid())](const LogLine& line) {
    return syslog_record(style, entry(line));
  };
}

}  // namespace

Task<Result<>> Containers::check_log_sink(const Container& c) {
  CO_TRY(const LogPlan plan, log_plan(c.host.log_config));
  if (plan.forward.empty()) co_return Result<>{};
  auto opened = co_await paths_.log.open_sink(address_of(c, plan.forward));
  if (opened) co_return Result<>{};
  co_return fail(
      Code::kInternal,
      "failed to create task for container: failed to initialize logging driver: " +
          (plan.forward == "journald" ? "journald is not enabled on this host" : opened.error().message));
}

void Containers::start_forwarding(LivePtr live) {
  const auto plan = log_plan(live->c.host.log_config);
  if (plan && !plan->forward.empty() && !std::exchange(live->forwarding, true))
    scope_.spawn(forward_log(live, plan->forward));
}

// While the container runs, and after its end until all is handed over; one at a time for each.
Task<void> Containers::forward_log(LivePtr live, std::string driver) {
  const std::string path = log_path(live->c), file = dir(live->c) + "/forwarded";
  const LogAddress address = address_of(live->c, driver);
  const auto write = entry_writer(live->c, driver, paths_.log.hostname);
  const auto up = [&] { return is_running(live->c.state.phase); };
  const auto over = [&] { return stopping_ || live->removed || live->c.state.phase == Phase::kRemoving; };
  LogReader reader(path);
  std::unique_ptr<LogSink> sink;
  auto watch = paths_.log.watch(path);
  if (const auto place = read_place(file); place.number) co_await reader.seek(loop_, place);
  const auto note = [&] {
    const auto place = reader.place();
    const std::string fresh = file + ".new";  // a place that is cut short would send all of the log again
    if (!over() && write_file(fresh, std::to_string(place.number) + " " + std::to_string(place.offset)))
      ::rename(fresh.c_str(), file.c_str());
  };
  const auto send = [&](const std::string& entry) -> Task<void> {
    for (Duration pause = 1s; !over(); pause = std::min<Duration>(pause * 2, 60s)) {
      if (!sink)
        if (auto opened = co_await paths_.log.open_sink(address)) sink = std::move(*opened);
      if (sink && co_await sink->send(entry)) co_return;
      sink.reset();
      if (pause == 1s)
        log::warn("msg=\"the log daemon is not there\" driver={} container={} address={}", driver, live->c.id,
                  address.target);
      const MonoTime due = loop_.now() + pause;
      while (loop_.now() < due && !over()) (void)co_await live->changed.wait(loop_, due - loop_.now());
    }
  };
  for (;;) {
    const bool running = up();
    size_t sent = 0;
    for (; !over();) {
      if (const auto line = reader.next()) {
        co_await send(write(*line));
        if (++sent % 1024 == 0) note();
      } else if (co_await reader.advance(loop_)) {
        watch = paths_.log.watch(path);
      } else {
        break;
      }
    }
    if (sent) note();
    if (over() || (!running && !up())) break;
    co_await watch->changed(live->changed);
  }
  live->forwarding = false;
}

}  // namespace panal
