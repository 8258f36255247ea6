#include "sys/crun/cgroup_usage.h"

#include <unistd.h>

#include <filesystem>

#include "base/text.h"
#include "sys/crun/crun_runtime.h"
#include "sys/process/spawn.h"

namespace panal {

namespace {

constexpr const char* kMount = "/sys/fs/cgroup";

std::string text_of(const std::string& path) { return read_file(path, 1 << 20).value_or(""); }
uint64_t number_in(const std::string& path) {
  return std::strtoull(text_of(path).c_str(), nullptr, 10);
}  // "max" is 0

std::map<std::string, uint64_t> counters_in(const std::string& path) {
  std::map<std::string, uint64_t> out;
  for (const auto& line : split(text_of(path), '\n'))
    if (const size_t space = line.find(' '); space != std::string::npos)
      out[line.substr(0, space)] = std::strtoull(line.c_str() + space + 1, nullptr, 10);
  return out;
}

uint64_t counter(const std::map<std::string, uint64_t>& all, const char* name) {
  const auto it = all.find(name);
  return it == all.end() ? 0 : it->second;
}

// v1: "8:0 Read 4096"
std::vector<DeviceCount> device_counts(const std::string& folder, const char* kind) {
  for (const char* file : {"/blkio.bfq.", "/blkio.throttle.", "/blkio."}) {
    std::vector<DeviceCount> out;
    uint64_t sum = 0;
    for (const auto& line : split(text_of(folder + file + kind), '\n')) {
      const auto words = split(line, ' ');
      const size_t colon = line.find(':');
      if (words.size() != 3 || colon == std::string::npos) continue;
      out.push_back({std::strtoull(line.c_str(), nullptr, 10),
                     std::strtoull(line.c_str() + colon + 1, nullptr, 10), lower(words[1]),
                     std::strtoull(words[2].c_str(), nullptr, 10)});
      sum += out.back().value;
    }
    if (sum > 0) return out;
  }
  return {};
}

// v2: "8:0 rbytes=4096 wbytes=0 rios=1 wios=0"
void read_io_stat(const std::string& path, Usage& u) {
  for (const auto& line : split(text_of(path), '\n')) {
    const auto words = split(line, ' ');
    const size_t colon = words[0].find(':');
    if (colon == std::string::npos) continue;
    DeviceCount d{std::strtoull(words[0].c_str(), nullptr, 10),
                  std::strtoull(words[0].c_str() + colon + 1, nullptr, 10), "", 0};
    for (const auto& word : words) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) continue;
      d.value = std::strtoull(word.c_str() + equals + 1, nullptr, 10),
      d.op = word.starts_with('r') ? "read" : "write";
      if (word.starts_with("rbytes=") || word.starts_with("wbytes=")) u.io_bytes.push_back(d);
      if (word.starts_with("rios=") || word.starts_with("wios=")) u.io_operations.push_back(d);
    }
  }
}

void read_v1(const std::string& root, const std::string& cgroup, Usage& u) {
  const std::string cpuacct = root + "/cpuacct" + cgroup, memory = root + "/memory" + cgroup,
                    pids = root + "/pids" + cgroup;
  u.cpu_total_ns = number_in(cpuacct + "/cpuacct.usage");
  for (const auto& word : split(std::string(trim(text_of(cpuacct + "/cpuacct.usage_percpu"))), ' '))
    if (!word.empty()) u.per_cpu_ns.push_back(std::strtoull(word.c_str(), nullptr, 10));
  const auto split_time = counters_in(cpuacct + "/cpuacct.stat");
  u.cpu_user_ns = counter(split_time, "user") * 10'000'000,
  u.cpu_system_ns = counter(split_time, "system") * 10'000'000;
  const auto throttling = counters_in(root + "/cpu" + cgroup + "/cpu.stat");
  u.periods = counter(throttling, "nr_periods"), u.throttled_periods = counter(throttling, "nr_throttled"),
  u.throttled_ns = counter(throttling, "throttled_time");
  u.memory_bytes = number_in(memory + "/memory.usage_in_bytes"),
  u.memory_max_bytes = number_in(memory + "/memory.max_usage_in_bytes");
  u.memory_limit_bytes = number_in(memory + "/memory.limit_in_bytes"),
  u.memory_failures = number_in(memory + "/memory.failcnt");
  u.memory = counters_in(memory + "/memory.stat");
  u.pids = number_in(pids + "/pids.current"), u.pids_limit = number_in(pids + "/pids.max");
  u.io_bytes = device_counts(root + "/blkio" + cgroup, "io_service_bytes_recursive"),
  u.io_operations = device_counts(root + "/blkio" + cgroup, "io_serviced_recursive");
}

void read_v2(const std::string& folder, Usage& u) {
  u.v2 = true;
  const auto cpu = counters_in(folder + "/cpu.stat");
  u.cpu_total_ns = counter(cpu, "usage_usec") * 1000, u.cpu_user_ns = counter(cpu, "user_usec") * 1000,
  u.cpu_system_ns = counter(cpu, "system_usec") * 1000;
  u.periods = counter(cpu, "nr_periods"), u.throttled_periods = counter(cpu, "nr_throttled"),
  u.throttled_ns = counter(cpu, "throttled_usec") * 1000;
  u.memory_bytes = number_in(folder + "/memory.current"),
  u.memory_limit_bytes = number_in(folder + "/memory.max");
  u.memory = counters_in(folder + "/memory.stat");
  u.pids = number_in(folder + "/pids.current"), u.pids_limit = number_in(folder + "/pids.max");
  read_io_stat(folder + "/io.stat", u);
}

}  // namespace

bool read_cgroup(const std::string& root, const std::string& cgroup, Usage& u) {
  if (exists(root + "/memory" + cgroup))
    read_v1(root, cgroup, u);
  else if (exists(root + cgroup + "/cgroup.procs"))
    read_v2(root + cgroup, u);
  else
    return false;
  return true;
}

std::string unified_group(const std::string& table) {
  for (const auto& line : split(table, '\n'))
    if (line.starts_with("0::/")) return line.substr(3);
  return "";
}

uint64_t memory_kills(const std::string& path) { return counter(counters_in(path), "oom_kill"); }

Result<Usage> CrunRuntime::usage(const std::string& cgroup) {
  Usage u;
  if (!read_cgroup(kMount, cgroup, u)) return fail(Code::kNotFound, "no usage of control group " + cgroup);
  uint64_t host_memory = 0;
  for (const auto& line : split(text_of("/proc/meminfo"), '\n'))
    if (line.starts_with("MemTotal:")) host_memory = std::strtoull(line.c_str() + 9, nullptr, 10) * 1024;
  if (u.memory_limit_bytes == 0 || u.memory_limit_bytes > host_memory) u.memory_limit_bytes = host_memory;
  u.online_cpus = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  const std::string stat = text_of("/proc/stat");
  uint64_t ticks = 0;
  int count = 0;
  for (const auto& word : split(std::string_view(stat).substr(0, stat.find('\n')), ' '))
    if (!word.empty() && word != "cpu" && count++ < 8) ticks += std::strtoull(word.c_str(), nullptr, 10);
  u.host_cpu_ns = ticks * 10'000'000;
  return u;
}

std::set<int> CrunRuntime::processes(const std::string& cgroup) {
  std::set<int> out;
  const std::string root = kMount, v1 = root + "/pids" + cgroup, folder = exists(v1) ? v1 : root + cgroup;
  const auto read = [&out](const std::string& path) {
    for (const auto& line : split(text_of(path + "/cgroup.procs"), '\n'))
      if (const auto pid = parse_int(line)) out.insert(static_cast<int>(*pid));
  };
  read(folder);
  std::error_code error;
  for (auto it = std::filesystem::recursive_directory_iterator(folder, error);
       !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error))
    if (it->is_directory(error)) read(it->path());
  return out;
}

Task<Result<std::string>> CrunRuntime::ps(std::vector<std::string> words) {
  words.insert(words.begin(), "ps");
  auto done = co_await run_program(loop_, std::move(words), {}, 30s);
  if (!done) co_return fail(wrap("ps", done.error()));
  if (done->status == 0) co_return std::move(done->out);
  const std::string text(trim(done->err));
  co_return fail(Code::kInternal, "ps: " + (text.empty() ? "exit status " + std::to_string(done->status)
                                                         : text.substr(0, text.find('\n'))));
}

}  // namespace panal
