#include "dockerfile/mounts.h"

#include "base/text.h"

namespace panal {

static std::unexpected<Error> bad(std::string message) { return fail(Code::kInvalid, std::move(message)); }

static Result<bool> flag_value(const std::string& key, const std::string& value) {
  const std::string word = lower(value);
  if (word.empty() || word == "true" || word == "1" || word == "t") return true;
  if (word == "false" || word == "0" || word == "f") return false;
  return bad("invalid value for " + key + ": " + value.substr(0, 64));
}

static Result<RunMount::Type> type_of(const std::string& text) {
  if (text == "bind") return RunMount::Type::kBind;
  if (text == "cache") return RunMount::Type::kCache;
  if (text == "tmpfs") return RunMount::Type::kTmpfs;
  if (text == "secret") return RunMount::Type::kSecret;
  if (text == "ssh") return RunMount::Type::kSsh;
  return bad("unsupported mount type \"" + text.substr(0, 64) + "\"");
}

static Result<uint32_t> number(const std::string& key, const std::string& value, int base) {
  uint64_t out = 0;
  for (const char c : value) {
    if (c < '0' || c >= '0' + base || out > UINT32_MAX / 16)
      return bad("invalid value for " + key + ": " + value.substr(0, 64));
    out = out * static_cast<uint64_t>(base) + static_cast<uint64_t>(c - '0');
  }
  if (value.empty()) return bad("invalid value for " + key + ": it is empty");
  return static_cast<uint32_t>(out);
}

static Result<> take(RunMount& m, const std::string& key, const std::string& value) {
  using Type = RunMount::Type;
  const auto only = [&](std::initializer_list<Type> types) -> Result<> {
    for (const Type t : types)
      if (m.type == t) return {};
    return bad("unexpected key '" + key + "' for this type of mount");
  };
  if (key == "type") return {};
  if (key == "target" || key == "dst" || key == "destination") {
    m.target = value;
  } else if (key == "source" || key == "src") {
    TRYV(only({Type::kBind, Type::kCache}));
    m.source = value;
  } else if (key == "from") {
    TRYV(only({Type::kBind, Type::kCache}));
    m.from = value;
  } else if (key == "readonly" || key == "ro") {
    TRY(m.read_only, flag_value(key, value));
  } else if (key == "readwrite" || key == "rw") {
    TRY(const bool writable, flag_value(key, value));
    m.read_only = !writable;
  } else if (key == "id") {
    TRYV(only({Type::kCache, Type::kSecret, Type::kSsh}));
    m.id = value;
  } else if (key == "sharing") {
    TRYV(only({Type::kCache}));
    if (value == "shared")
      m.sharing = RunMount::Sharing::kShared;
    else if (value == "private")
      m.sharing = RunMount::Sharing::kPrivate;
    else if (value == "locked")
      m.sharing = RunMount::Sharing::kLocked;
    else
      return bad("unsupported sharing value \"" + value.substr(0, 64) + "\"");
  } else if (key == "required") {
    TRYV(only({Type::kSecret, Type::kSsh}));
    TRY(m.required, flag_value(key, value));
  } else if (key == "env") {
    TRYV(only({Type::kSecret}));
    m.env = value;
  } else if (key == "mode") {
    TRY(m.mode, number(key, value, 8));
    if (*m.mode > 07777) return bad("invalid value for mode: " + value);
  } else if (key == "uid") {
    TRY(m.uid, number(key, value, 10));
  } else if (key == "gid") {
    TRY(m.gid, number(key, value, 10));
  } else if (key == "size") {
    TRYV(only({Type::kTmpfs}));
    const auto bytes = parse_bytes(value);
    if (!bytes || *bytes <= 0) return bad("invalid value for size: " + value.substr(0, 64));
    m.size_bytes = *bytes;
  } else {
    return bad("unexpected key '" + key.substr(0, 64) + "' in '" + key.substr(0, 64) + "=" +
               value.substr(0, 64) + "'");
  }
  return {};
}

Result<RunMount> parse_run_mount(const std::string& text) {
  RunMount m;
  std::vector<std::pair<std::string, std::string>> words;
  for (const auto& field : split(text, ',')) {
    const size_t equals = field.find('=');
    words.emplace_back(lower(field.substr(0, equals)),
                       equals == std::string::npos ? "" : field.substr(equals + 1));
    if (words.back().first == "type") {
      TRY(m.type, type_of(lower(words.back().second)));
    }
  }
  m.read_only = m.type == RunMount::Type::kBind;
  for (const auto& [key, value] : words) TRYV(take(m, key, value));
  if (m.target.empty() && m.type != RunMount::Type::kSecret && m.type != RunMount::Type::kSsh)
    return bad("invalid mount: target is required");
  return m;
}

}  // namespace panal
