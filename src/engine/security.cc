#include "engine/security.h"

#include <optional>

#include "base/text.h"

namespace panal {

static std::pair<std::string, std::optional<std::string>> key_and_value(const std::string& option) {
  const size_t cut = option.find_first_of("=:");  // the colon is Docker's old spelling
  if (cut == std::string::npos) return {option, std::nullopt};
  return {option.substr(0, cut), option.substr(cut + 1)};
}

static std::optional<bool> parse_bool(const std::string& text) {
  const std::string word = lower(text);
  if (word == "true" || word == "t" || word == "1") return true;
  if (word == "false" || word == "f" || word == "0") return false;
  return std::nullopt;
}

// The last word counts.
static std::optional<bool> switched(const std::vector<std::string>& options, std::string_view name) {
  std::optional<bool> out;
  for (const auto& option : options)
    if (const auto [key, value] = key_and_value(option); key == name)
      out = !value || parse_bool(*value).value_or(true);
  return out;
}

bool no_new_privileges(const std::vector<std::string>& options) {
  return switched(options, "no-new-privileges").value_or(false);
}

std::optional<bool> writable_cgroups(const std::vector<std::string>& options) {
  return switched(options, "writable-cgroups");
}

Result<SecurityOptions> parse_security_options(const std::vector<std::string>& options) {
  SecurityOptions out;
  for (const auto& option : options) {
    const auto [key, value] = key_and_value(option);
    const std::string shown = ": \"" + option.substr(0, 256) + "\"";
    if (key == "no-new-privileges" || key == "writable-cgroups") {
      if (value && !parse_bool(*value)) return fail(Code::kInvalid, "invalid --security-opt 2" + shown);
    } else if (key == "seccomp" && value) {
      if (*value != "unconfined" && *value != "builtin")
        TRYV(seccomp_config(*value, SeccompKind::kAsWritten, {}, {}));
      out.seccomp = *value;
    } else if (key == "apparmor" && value) {
      out.apparmor = *value;
    } else if (key == "label" && value && value != "disable") {
      return fail(Code::kUnsupported, "security option " + option.substr(0, 256) + " is not supported yet");
    } else if (key != "label" && option != "disable") {
      return fail(Code::kInvalid, std::string("invalid --security-opt ") + (value ? "2" : "1") + shown);
    } else if (key == "label" && !value) {
      return fail(Code::kInvalid, "invalid --security-opt 1" + shown);
    }
  }
  out.no_new_privileges = no_new_privileges(options);
  return out;
}

SeccompDefault::SeccompDefault(std::string setting, Result<std::string> builtin, Result<std::string> text,
                               SeccompMachine machine)
    : setting_(std::move(setting)),
      builtin_(std::move(builtin)),
      text_(std::move(text)),
      machine_(std::move(machine)) {}

Result<> SeccompDefault::check() const {
  if (setting_ == "unconfined") return {};
  const auto& text = setting_ == "builtin" ? builtin_ : text_;
  if (!text) return std::unexpected(text.error());
  TRYV(seccomp_config(*text, setting_ == "builtin" ? SeccompKind::kDebian : SeccompKind::kAsWritten, {},
                      machine_));
  return {};
}

Result<std::string> SeccompDefault::config(const SecurityOptions& options, bool privileged,
                                           const std::vector<std::string>& capabilities) {
  const std::string wish = !options.seccomp.empty() ? options.seccomp : privileged ? "unconfined" : setting_;
  if (wish == "unconfined") return std::string();
  if (!options.seccomp.empty() && wish != "builtin")
    return seccomp_config(options.seccomp, SeccompKind::kAsWritten, capabilities, machine_);
  const bool builtin = wish == "builtin";
  const auto& text = builtin ? builtin_ : text_;
  if (!text) return std::unexpected(text.error());
  const std::pair key{builtin, capabilities};
  if (auto it = translated_.find(key); it != translated_.end()) return it->second;
  TRY(std::string made, seccomp_config(*text, builtin ? SeccompKind::kDebian : SeccompKind::kAsWritten,
                                       capabilities, machine_));
  if (translated_.size() >= 64) translated_.clear();
  return translated_[key] = std::move(made);
}

}  // namespace panal
