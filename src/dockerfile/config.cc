#include "dockerfile/config.h"

#include <algorithm>

#include "base/path.h"
#include "base/text.h"
#include "engine/oci.h"
#include "network/address.h"

namespace panal {

static Error bad(std::string message) { return {Code::kInvalid, std::move(message)}; }

// What runs the shell form.
static std::vector<std::string> shell_of(const ContainerConfig& config) {
  return config.shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : config.shell;
}

// "/app" and "b/../c" -> "/app/c".
static std::string join_path(const std::string& base, const std::string& path) {
  return "/" + clean_path(path.starts_with('/') ? path : base + "/" + path);
}

// "80", "80/udp", "8000-8005" -> "80/tcp"...
static Result<std::vector<std::string>> exposed_ports(const std::string& text) {
  const size_t slash = text.find('/');
  const std::string protocol = slash == std::string::npos ? "tcp" : lower(text.substr(slash + 1));
  const auto range = parse_port_range(text.substr(0, slash));
  if (!range || (protocol != "tcp" && protocol != "udp" && protocol != "sctp"))
    return fail(bad("invalid containerPort: " + text.substr(0, 64)));
  std::vector<std::string> out;
  for (int port = range->first; port <= range->second; ++port)
    out.push_back(std::to_string(port) + "/" + protocol);
  return out;
}

// "5s" or nothing; Docker's bounds.
static Result<> take_duration(int64_t& out, const Instruction& in, std::string_view flag) {
  const std::string text = in.flag(flag);
  if (text.empty()) return {};
  const auto parsed = parse_duration(text);
  if (!parsed || *parsed < Duration{0})
    return fail(bad("invalid duration \"" + text.substr(0, 64) + "\" for --" + std::string(flag)));
  if (*parsed != Duration{0} && *parsed < 1ms)
    return fail(bad("Interval \"" + std::string(flag) + "\" cannot be less than 1ms"));
  out = *parsed / 1ns;
  return {};
}

static Result<> apply_healthcheck(ImageDraft& d, const Instruction& in) {
  HealthConfig h;
  h.test = in.args;
  TRYV(take_duration(h.interval, in, "interval"));
  TRYV(take_duration(h.timeout, in, "timeout"));
  TRYV(take_duration(h.start_period, in, "start-period"));
  TRYV(take_duration(h.start_interval, in, "start-interval"));
  if (const std::string retries = in.flag("retries"); !retries.empty()) {
    const auto n = parse_int(retries);
    if (!n || *n < 0 || *n > 1'000'000)
      return fail(bad("--retries cannot be negative and must be a number (" + retries.substr(0, 64) + ")"));
    h.retries = static_cast<int>(*n);
  }
  d.config.healthcheck = std::move(h);
  return {};
}

Result<> apply_instruction(ImageDraft& d, const Instruction& in, char escape, const Variables& variables) {
  const auto expand = [&](const std::string& text) { return expand_word(text, escape, variables); };
  const auto command = [&]() -> std::vector<std::string> {
    if (in.exec_form) return in.args;
    auto out = shell_of(d.config);
    out.push_back(in.rest);
    return out;
  };
  switch (in.word) {
    case Word::kCmd:
      d.config.cmd = command();
      if (in.rest.empty() || d.config.cmd->empty()) d.config.cmd = std::nullopt;
      d.command_set = true;
      return {};
    case Word::kEntrypoint:
      d.config.entrypoint =
          in.rest.empty() || (in.exec_form && in.args.empty()) ? std::vector<std::string>{} : command();
      if (!d.command_set) d.config.cmd = std::nullopt;
      return {};
    case Word::kEnv:
      // All values see the environment as it was before this instruction.
      for (std::vector<std::pair<std::string, std::string>> done; const auto& [name, value] : in.pairs) {
        TRY(std::string key, expand(name));
        TRY(std::string text, expand(value));
        if (key.empty() || key.find('=') != std::string::npos) return fail(bad("ENV names can not be blank"));
        done.emplace_back(std::move(key), std::move(text));
        if (done.size() < in.pairs.size()) continue;
        for (const auto& [k, v] : done) set_env(d.config.env, k + "=" + v, true);
      }
      return {};
    case Word::kLabel:
      for (const auto& [name, value] : in.pairs) {
        TRY(const std::string key, expand(name));
        TRY(d.config.labels[key], expand(value));
      }
      return {};
    case Word::kExpose:
      for (const auto& word : in.args) {
        TRY(const auto ports, expand_words(word, escape, variables));
        for (const auto& port : ports) {
          TRY(const auto each, exposed_ports(port));
          for (const auto& p : each) d.config.exposed_ports[p] = {};
        }
      }
      return {};
    case Word::kHealthcheck:
      return apply_healthcheck(d, in);
    case Word::kMaintainer:
      d.author = in.rest;
      return {};
    case Word::kOnbuild:
      d.config.on_build.push_back(in.rest);
      return {};
    case Word::kShell:
      d.config.shell = in.args;
      return {};
    case Word::kStopsignal: {
      TRY(const std::string signal, expand(in.rest));
      TRYV(parse_signal(signal));
      d.config.stop_signal = signal;
      return {};
    }
    case Word::kUser: {
      TRY(d.config.user, expand(in.rest));
      return {};
    }
    case Word::kVolume:
      for (const auto& word : in.args) {
        Result<std::vector<std::string>> paths = std::vector<std::string>{word};
        if (!in.exec_form) paths = expand_words(word, escape, variables);
        if (!paths) return fail(paths.error());
        for (const auto& path : *paths) {
          if (trim(path).empty()) return fail(bad("VOLUME specified can not be an empty string"));
          d.config.volumes[path] = {};
        }
      }
      return {};
    case Word::kWorkdir: {
      TRY(const std::string path, expand(in.rest));
      if (path.empty()) return fail(bad("WORKDIR requires exactly one argument"));
      d.config.working_dir = join_path(d.config.working_dir.empty() ? "/" : d.config.working_dir, path);
      return {};
    }
    default:
      return fail(bad(lower(word_name(in.word)) + " is not a valid change command"));
  }
}

Result<> apply_changes(ImageDraft& draft, const std::vector<std::string>& changes) {
  for (const auto& change : changes) {
    TRY(const auto source, read_dockerfile(change, "change"));
    for (const auto& line : source.lines) {
      auto in = parse_instruction(line, source.escape, "change");
      if (!in) {
        auto error = in.error();  // "change:1: " says nothing here
        if (error.message.starts_with("change:"))
          error.message = error.message.substr(error.message.find(": ") + 2);
        return fail(std::move(error));
      }
      const Variables env = [&draft](const std::string& name) { return env_value(draft.config.env, name); };
      TRYV(apply_instruction(draft, *in, source.escape, env));
    }
  }
  return {};
}

}  // namespace panal
