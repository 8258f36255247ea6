#include "engine/log_records.h"

#include <ctime>

#include "base/text.h"
#include "engine/log_options.h"

namespace panal {

static std::string option(const Container& c, const char* key) {
  const auto it = c.host.log_config.config.find(key);
  return it == c.host.log_config.config.end() ? "" : it->second;
}

static std::string tag_of(const Container& c) {
  const std::string text = option(c, "tag");
  return log_tag(text.empty() ? "{{.ID}}" : text, c).value_or(c.id.substr(0, 12));
}

// Upper case, digits and underscores, none of these first.
static std::string field_name(const std::string& text) {
  std::string out;
  for (char ch : text) {
    if (ch >= 'a' && ch <= 'z')
      ch = static_cast<char>(ch - 32);
    else if (!((ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9')))
      ch = '_';
    if (!out.empty() || ch != '_') out += ch;
  }
  return out.substr(0, 64);
}

std::map<std::string, std::string> journal_fields(const Container& c) {
  std::map<std::string, std::string> out;
  for (const auto& [key, value] : log_attributes(c))
    if (key != "tag" && !field_name(key).empty()) out[field_name(key)] = value;
  const std::string tag = tag_of(c);
  for (const auto& [key, value] : {std::pair<const char*, const std::string&>{"CONTAINER_ID_FULL", c.id},
                                   {"CONTAINER_NAME", c.name},
                                   {"CONTAINER_TAG", tag},
                                   {"SYSLOG_IDENTIFIER", tag},
                                   {"IMAGE_NAME", c.image_ref}})
    out[key] = value;
  out["CONTAINER_ID"] = c.id.substr(0, 12);
  return out;
}

static void put_field(std::string& out, const std::string& key, const std::string& value) {
  if (value.find('\n') == std::string::npos) {
    out += key + "=" + value + "\n";
    return;
  }
  out += key + "\n";
  for (int i = 0; i < 8; ++i) out += static_cast<char>(static_cast<uint64_t>(value.size()) >> (8 * i));
  out += value + "\n";
}

std::string journal_record(const std::map<std::string, std::string>& fields, const LogEntry& entry) {
  std::string out;
  put_field(out, "MESSAGE", entry.text);
  put_field(out, "PRIORITY", entry.is_error ? "3" : "6");
  put_field(out, "SYSLOG_TIMESTAMP", rfc3339_nano(entry.time));
  if (entry.partial) put_field(out, "CONTAINER_PARTIAL_MESSAGE", "true");
  for (const auto& [key, value] : fields) put_field(out, key, value);
  return out;
}

SyslogStyle syslog_style(const Container& c, const std::string& hostname, int pid) {
  return {option(c, "syslog-format"), parse_syslog_facility(option(c, "syslog-facility")).value_or(3), pid,
          tag_of(c), hostname};
}

std::string syslog_record(const SyslogStyle& s, const LogEntry& entry) {
  const auto ns = entry.time.time_since_epoch().count();
  const std::time_t seconds = static_cast<std::time_t>(ns / 1'000'000'000);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  const auto stamp = [&local](const char* format) {
    char text[64];
    return std::string(text, std::strftime(text, sizeof text, format, &local));
  };
  std::string zone = stamp("%z");
  if (zone.size() == 5) zone.insert(3, ":");
  const std::string head = "<" + std::to_string(s.facility * 8 + (entry.is_error ? 3 : 6)) + ">",
                    pid = std::to_string(s.pid);
  if (s.format.starts_with("rfc5424")) {
    char micro[16] = "";
    if (s.format == "rfc5424micro")
      std::snprintf(micro, sizeof micro, ".%06d", static_cast<int>(ns % 1'000'000'000 / 1000));
    return head + "1 " + stamp("%Y-%m-%dT%H:%M:%S") + micro + zone + " " + s.hostname + " " + s.tag + " " +
           pid + " " + s.tag + " - " + entry.text;
  }
  const std::string host = s.format == "rfc3164" ? " " + s.hostname : "";
  return head + stamp("%b %e %H:%M:%S") + host + " " + s.tag + "[" + pid + "]: " + entry.text;
}

}  // namespace panal
