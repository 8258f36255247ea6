// A container's output as journald and syslog take it. Pure, but for the daemon's time zone.
#pragma once
#include <map>
#include <string>

#include "base/time.h"
#include "model/container.h"

namespace panal {

struct LogEntry {
  WallTime time;
  bool is_error = false, partial = false;  // partial: the line goes on in the next entry
  std::string text;                        // without its newline
};

/// What every entry of a container's journal has.
std::map<std::string, std::string> journal_fields(const Container& c);
/// An entry in journald's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).
std::string journal_record(const std::map<std::string, std::string>& fields, const LogEntry& entry);

struct SyslogStyle {
  std::string format;  // "", rfc3164, rfc5424, rfc5424micro
  int facility = 3, pid = 0;
  std::string tag, hostname;
};
SyslogStyle syslog_style(const Container& c, const std::string& hostname, int pid);
std::string syslog_record(const SyslogStyle& style, const LogEntry& entry);

}  // namespace panal
