#include "engine/log_options.h"

#include <regex.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/text.h"

namespace panal {

namespace {

constexpr std::array<const char*, 5> kCommon = {"env", "env-regex", "labels", "labels-regex", "tag"};
constexpr size_t kMaxPattern = 256;

// regcomp(3) copies what `+`, `?` and {n,m} repeat, once more for each level: "a++++..." would fill the
// memory. What they could make of the expression together is limited; two of them in a row are no expression
// in Go either.
bool is_bounded(const std::string& text) {
  size_t copies = 1;
  bool repeated = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool repeats = c == '*' || c == '+' || c == '?' || c == '{';
    if (repeats && repeated) return false;
    repeated = repeats;
    if (c == '\\')
      ++i;
    else if (c == '+' || c == '?')
      copies *= 2;
    else if (c == '{') {
      const size_t end = text.find('}', i);
      for (const auto& number : split(text.substr(i + 1, end == std::string::npos ? end : end - i - 1), ','))
        copies *= static_cast<size_t>(std::clamp<int64_t>(parse_int(number).value_or(1), 1, 5000));
      if (end != std::string::npos) i = end;
    }
    if (copies > 4096) return false;
  }
  return true;
}

// An expression as `labels-regex` has it. Go's and POSIX's extended syntax agree on what people write there.
class Pattern {
 public:
  explicit Pattern(const std::string& text)
      : good_(text.size() <= kMaxPattern && is_bounded(text) &&
              ::regcomp(&compiled_, text.c_str(), REG_EXTENDED | REG_NOSUB) == 0) {}
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  ~Pattern() {
    if (good_) ::regfree(&compiled_);
  }
  bool good() const { return good_; }
  bool matches(const std::string& text) const {
    return good_ && ::regexec(&compiled_, text.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  regex_t compiled_{};
  bool good_;
};

Result<bool> parse_bool(const std::string& text) {
  static const std::set<std::string> kTrue = {"1", "t", "T", "TRUE", "true", "True"},
                                     kFalse = {"0", "f", "F", "FALSE", "false", "False"};
  if (kTrue.contains(text)) return true;
  if (kFalse.contains(text)) return false;
  return fail(Code::kInvalid, "strconv.ParseBool: parsing \"" + text + "\": invalid syntax");
}

// Sizes of logs are powers of 1000, unlike those of memory.
Result<int64_t> parse_size(const std::string& text) {
  const std::string body = lower(trim(text));
  size_t digits = 0;
  while (digits < body.size() && (body[digits] == '.' || (body[digits] >= '0' && body[digits] <= '9')))
    ++digits;
  std::string unit = body.substr(digits);
  if (unit.starts_with(' ')) unit.erase(0, 1);
  if (unit.ends_with("ib"))
    unit.resize(unit.size() - 2);
  else if (unit.ends_with("b"))
    unit.pop_back();
  double scale = 1;
  for (const char u : {'k', 'm', 'g', 't', 'p'}) {
    scale *= 1000;
    if (unit == std::string(1, u)) break;
  }
  if (unit.empty())
    scale = 1;
  else if (std::string("kmgtp").find(unit) == std::string::npos || unit.size() != 1)
    digits = 0;
  char* end = nullptr;
  const double value = std::strtod(body.c_str(), &end);
  if (digits == 0 || end != body.c_str() + digits || value * scale > 9e18)
    return fail(Code::kInvalid, "invalid size: '" + text + "'");
  return static_cast<int64_t>(value * scale);
}

const std::string* option(const std::map<std::string, std::string>& options, const std::string& key) {
  const auto it = options.find(key);
  return it == options.end() ? nullptr : &it->second;
}

Result<LogLimits> read_limits(const std::string& driver, const std::map<std::string, std::string>& o,
                              const char* prefix) {
  LogLimits limits;
  limits.compress = driver != "json-file";
  const std::string head = prefix;
  if (const auto* text = option(o, head + "max-size"); text && *text != "-1") {
    TRY(limits.max_size_bytes, parse_size(*text));
    if (limits.max_size_bytes <= 0) return fail(Code::kInvalid, "max-size must be a positive number");
    if (driver == "json-file") limits.max_files = 1;  // Docker keeps one file unless max-file says otherwise
  } else if (text) {
    limits.max_size_bytes = 0, limits.compress = false;
  }
  if (const auto* text = option(o, head + "max-file")) {
    const auto n = parse_int(*text);
    if (!n) return fail(Code::kInvalid, "strconv.Atoi: parsing \"" + *text + "\": invalid syntax");
    if (*n < 1 || *n > 1000)
      return fail(Code::kInvalid,
                  *n < 1 ? "max-file cannot be less than 1" : "max-file cannot be more than 1000");
    limits.max_files = static_cast<int>(*n);
  }
  const bool rotated = limits.max_files > 1 && limits.max_size_bytes > 0;
  if (const auto* text = option(o, head + "compress")) {
    TRY(limits.compress, parse_bool(*text));
    if (limits.compress && (!rotated || (driver == "json-file" && !option(o, "max-size"))))
      return fail(Code::kInvalid,
                  driver == "json-file"
                      ? "compress cannot be true when max-file is less than 2 or max-size is not set"
                      : "compression cannot be enabled when max file count is 1");
  }
  limits.compress = limits.compress && rotated;
  return limits;
}

Result<> check_common(const LogConfig& config) {
  for (const char* key : {"labels-regex", "env-regex"})
    if (const auto* text = option(config.config, key); text && !text->empty() && !Pattern(*text).good())
      return fail(Code::kInvalid,
                  "log opt " + std::string(key) +
                      ": not a regular expression, or too long: " + text->substr(0, kMaxPattern));
  if (const auto* tag = option(config.config, "tag")) TRYV(log_tag(*tag, Container{}));
  return {};
}

}  // namespace

Result<LogPlan> log_plan(const LogConfig& config) {
  LogPlan plan;
  const std::string& driver = config.type;
  if (driver == "none") {
    plan.kept = false;
    return plan;
  }
  const auto* mode = option(config.config, "mode");
  if (mode && !mode->empty() && *mode != "blocking" && *mode != "non-blocking")
    return fail(Code::kInvalid, "logger: logging mode not supported: " + *mode);
  if (const auto* buffer = option(config.config, "max-buffer-size")) {
    if (!mode || *mode != "non-blocking")
      return fail(Code::kInvalid,
                  "logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    if (!parse_bytes(*buffer))
      return fail(Code::kInvalid, "error parsing option max-buffer-size: invalid size: '" + *buffer + "'");
  }
  std::set<std::string> known(kCommon.begin(), kCommon.end());
  known.insert({"mode", "max-buffer-size"});
  std::string unknown_of = "for " + driver + " log driver";
  if (driver == "json-file" || driver == "local") {
    known.insert({"max-size", "max-file", "compress"});
    if (driver == "local") unknown_of = "for log driver local";
  } else if (driver == "journald" || driver == "syslog") {
    known.insert({"cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"});
    if (driver == "syslog")
      known.insert({"syslog-address", "syslog-facility", "syslog-format", "syslog-tls-ca-cert",
                    "syslog-tls-cert", "syslog-tls-key", "syslog-tls-skip-verify"});
    plan.forward = driver;
  } else {
    return fail(Code::kInvalid, "logger: no log driver named '" + driver + "' is registered");
  }
  for (const auto& [key, value] : config.config) {
    if (!known.contains(key)) return fail(Code::kInvalid, "unknown log opt '" + key + "' " + unknown_of);
  }
  if (driver == "syslog") {
    const auto value = [&](const char* key) {
      return option(config.config, key) ? *option(config.config, key) : std::string();
    };
    TRYV(syslog_address(config.config));
    TRYV(parse_syslog_facility(value("syslog-facility")));
    const std::string format = value("syslog-format");
    if (!format.empty() && format != "rfc3164" && format != "rfc5424" && format != "rfc5424micro")
      return fail(Code::kInvalid, "Invalid syslog format");
  }
  TRYV(check_common(config));
  if (const auto* off = option(config.config, "cache-disabled"))
    if (*off != "false" && *off != "0")
      return fail(Code::kUnsupported,
                  "log opt cache-disabled is not supported: entries are forwarded from that cache");
  TRY(plan.limits, read_limits(driver, config.config, plan.forward.empty() ? "" : "cache-"));
  return plan;
}

Result<LogAddress> parse_syslog_address(const std::string& text) {
  if (text.empty()) return LogAddress{"unix", "/dev/log"};
  const size_t colon = text.find("://");
  const std::string scheme = text.substr(0, colon == std::string::npos ? 0 : colon);
  std::string target = colon == std::string::npos ? "" : text.substr(colon + 3);
  if (scheme != "unix" && scheme != "unixgram" && scheme != "udp" && scheme != "tcp" && scheme != "tcp+tls")
    return fail(Code::kInvalid, "unsupported scheme: '" + scheme + "'");
  if (target.empty() || target.size() > 255)
    return fail(Code::kInvalid, "log opt syslog-address: no address: '" + text + "'");
  if (scheme.starts_with("unix")) {
    if (target[0] != '/' || target.size() > 100)
      return fail(Code::kInvalid,
                  "log opt syslog-address: not an absolute path of a socket: '" + target + "'");
    return LogAddress{scheme, target};
  }
  const size_t port = target.rfind(':');
  if (port == std::string::npos || target.find(']', port) != std::string::npos)
    target += ":514";
  else if (const auto n = parse_int(target.substr(port + 1)); !n || *n < 1 || *n > 65535)
    return fail(Code::kInvalid, "log opt syslog-address: invalid port: '" + target + "'");
  return LogAddress{scheme, target};
}

Result<LogAddress> syslog_address(const std::map<std::string, std::string>& options) {
  const auto value = [&](const char* key) {
    return option(options, key) ? *option(options, key) : std::string();
  };
  TRY(LogAddress out, parse_syslog_address(value("syslog-address")));
  for (const auto& [key, text] : options)
    if (key.starts_with("syslog-tls-") && out.scheme != "tcp+tls")
      return fail(Code::kInvalid, "log opt " + key + " needs a syslog-address that begins with tcp+tls://");
  out.ca_file = value("syslog-tls-ca-cert"), out.certificate_file = value("syslog-tls-cert"),
  out.key_file = value("syslog-tls-key");
  if (out.certificate_file.empty() != out.key_file.empty())
    return fail(Code::kInvalid, "log opt syslog-tls-cert and syslog-tls-key go together");
  if (const auto* skip = option(options, "syslog-tls-skip-verify")) {
    TRY(out.skip_verify, skip->empty() ? true : parse_bool(*skip));
  }
  out.counted = out.scheme == "tcp+tls" && value("syslog-format").starts_with("rfc5424");
  return out;
}

Result<int> parse_syslog_facility(const std::string& text) {
  static constexpr std::array<const char*, 24> kNames = {
      "kern",   "user",   "mail",     "daemon", "auth",   "syslog", "lpr",    "news",
      "uucp",   "cron",   "authpriv", "ftp",    "",       "",       "",       "",
      "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7"};
  if (text.empty()) return 3;
  for (size_t i = 0; i < kNames.size(); ++i)
    if (text == kNames[i]) return static_cast<int>(i);
  if (const auto n = parse_int(text); n && *n >= 0 && *n <= 23) return static_cast<int>(*n);
  return fail(Code::kInvalid, "invalid syslog facility");
}

Result<std::string> log_tag(const std::string& text, const Container& c) {
  if (text.size() > 1024) return fail(Code::kInvalid, "log opt tag: longer than 1024 bytes");
  const std::string image = c.image_id.starts_with("sha256:") ? c.image_id.substr(7) : c.image_id;
  std::string command = c.path;
  for (const auto& a : c.args) command += " " + a;
  const std::map<std::string, std::string> values = {{".ID", c.id.substr(0, 12)},
                                                     {".FullID", c.id},
                                                     {".Name", c.name},
                                                     {".ImageID", image.substr(0, 12)},
                                                     {".ImageFullID", c.image_id},
                                                     {".ImageName", c.image_ref},
                                                     {".Command", command},
                                                     {".DaemonName", "docker"}};
  std::string out;
  for (size_t at = 0;;) {
    const size_t open = text.find("{{", at), close = open == std::string::npos ? open : text.find("}}", open);
    out += text.substr(at, open == std::string::npos ? open : open - at);
    if (open == std::string::npos) return out;
    if (close == std::string::npos)
      return fail(Code::kInvalid, "log opt tag: a template is not closed: '" + text + "'");
    const std::string field(trim(text.substr(open + 2, close - open - 2)));
    const auto value = values.find(field);
    if (value == values.end())
      return fail(Code::kUnsupported, "log opt tag: {{" + field +
                                          "}} is not supported: use .ID, .FullID, .Name, .ImageID, "
                                          ".ImageFullID, .ImageName, .Command or .DaemonName");
    out += value->second;
    at = close + 2;
  }
}

std::map<std::string, std::string> log_attributes(const Container& c) {
  std::map<std::string, std::string> out, env;
  for (const auto& e : c.config.env)
    if (const size_t equals = e.find('='); equals != std::string::npos)
      env[e.substr(0, equals)] = e.substr(equals + 1);
  const auto& options = c.host.log_config.config;
  const auto choose = [&](const char* key, const std::map<std::string, std::string>& from) {
    if (const auto* names = option(options, key))
      for (const auto& name : split(*names, ','))
        if (const auto* value = option(from, name)) out[name] = *value;
    if (const auto* pattern = option(options, std::string(key) + "-regex"); pattern && !pattern->empty()) {
      const Pattern wanted(*pattern);
      for (const auto& [name, value] : from)
        if (wanted.matches(name)) out[name] = value;
    }
  };
  choose("labels", c.config.labels);
  choose("env", env);
  if (const auto* tag = option(options, "tag"); tag && !tag->empty())
    out["tag"] = log_tag(*tag, c).value_or("");
  return out;
}

std::string details_text(const std::map<std::string, std::string>& attributes) {
  const auto escaped = [](const std::string& text) {  // as in a query: a space is a plus
    std::string out;
    for (const auto& word : split(text, ' ')) out += "+" + url_encode(word);
    return out.substr(1);
  };
  std::string out;
  for (const auto& [key, value] : attributes)
    out += (out.empty() ? "" : ",") + escaped(key) + "=" + escaped(value);
  return out;
}

}  // namespace panal
