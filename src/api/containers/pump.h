// Moving bytes between clients, processes and logs.
#pragma once
#include "api/api.h"
#include "node/logs/logs.h"

namespace panal {

Task<void> pump_input(Stream& client, Attachment& process, std::string detach_keys,
                      std::function<void()> on_gone);
Task<void> pump_output(Stream& client, Attachment& process, bool raw, bool want_out, bool want_err);
/// Ends a taken-over connection: says that no more comes, lets the client finish (unread input would reset
/// it), then closes.
Task<void> part_from(Loop& loop, Stream& client, Scope& input);
std::string stream_type(const HttpRequest& request, bool tty);
/// Between the head of a stream and the first output: time that some clients need.
Task<void> settle_reader(Loop& loop, const HttpRequest& request);
/// "ctrl-p,ctrl-q" -> the bytes.
std::string detach_sequence(const std::string& spec, std::string& error);

struct LogQuery {
  bool out = true, err = true, follow = false, timestamps = false, details = false;
  std::optional<size_t> tail;
  std::optional<WallTime> since, until;
};
/// Refuses a container whose log driver keeps nothing.
Result<> readable_log(const Container& c);
Result<LogQuery> parse_log_query(const HttpRequest& request, WallTime now);
using LogWriter = std::function<Task<Result<>>(const LogLine&, const std::string& text)>;
/// Reads a container's log as asked, following it until the container has ended or `gone()`.
Task<Result<>> follow_log(ApiParts& parts, LivePtr live, LogQuery query, std::function<bool()> gone,
                          LogWriter write);

}  // namespace panal
