// Translation of a seccomp profile; the format is the one of Docker's documentation ("Seccomp security
// profiles for Docker").
#include <algorithm>
#include <array>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "engine/security.h"

namespace panal {
namespace {

struct Argument {
  unsigned index = 0;
  uint64_t value = 0, value_two = 0;
  std::string op;
};
template <class A>
void fields(A& a, Argument& x) {
  a("index", x.index), a("value", x.value), a("valueTwo", x.value_two), a("op", x.op);
}
struct Condition {
  std::vector<std::string> caps, arches;
  std::string min_kernel;
};
template <class A>
void fields(A& a, Condition& c) {
  a("caps", c.caps), a("arches", c.arches), a("minKernel", c.min_kernel);
}
struct Rule {
  std::string name, action;
  std::vector<std::string> names;
  std::vector<Argument> args;
  std::optional<int64_t> errno_ret;
  Condition includes, excludes;
};
template <class A>
void fields(A& a, Rule& r) {
  a("name", r.name), a("names", r.names), a("action", r.action), a("args", r.args),
      a("errnoRet", r.errno_ret), a("includes", r.includes), a("excludes", r.excludes);
}
struct ArchMap {
  std::string architecture;
  std::vector<std::string> subs;
};
template <class A>
void fields(A& a, ArchMap& m) {
  a("architecture", m.architecture), a("subArchitectures", m.subs);
}
struct Profile {
  std::string default_action;
  std::optional<int64_t> default_errno;
  std::vector<std::string> architectures, flags;
  std::vector<ArchMap> arch_map;
  std::vector<Rule> rules;
};
template <class A>
void fields(A& a, Profile& p) {
  a("defaultAction", p.default_action), a("defaultErrnoRet", p.default_errno),
      a("architectures", p.architectures), a("flags", p.flags);
  a("archMap", p.arch_map), a("syscalls", p.rules), a.refuse("listenerPath"), a.refuse("listenerMetadata");
}

constexpr size_t kMostRules = 4096, kMostNames = 65536;

template <size_t N>
Result<> one_of(const std::array<std::string_view, N>& known, const std::string& word, const char* what) {
  if (std::ranges::find(known, std::string_view(word)) != known.end()) return {};
  return fail(Code::kInvalid, std::string("unknown ") + what + " \"" + word.substr(0, 64) + "\"");
}
Result<> check_action(const std::string& action) {
  static constexpr std::array<std::string_view, 8> kKnown = {
      "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP",
      "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE",        "SCMP_ACT_ALLOW",       "SCMP_ACT_LOG"};
  return one_of(kKnown, action, "action");
}

// Names are checked for what they look like only: which of them exist, the runtime's libseccomp knows.
Result<> check_profile(const Profile& p) {
  static constexpr std::array<std::string_view, 7> kOperators = {
      "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
      "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
  static constexpr std::array<std::string_view, 3> kFlags = {
      "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"};
  TRYV(check_action(p.default_action));
  if (!p.architectures.empty() && !p.arch_map.empty())
    return fail(Code::kInvalid,
                "both 'architectures' and 'archMap' are specified in the seccomp profile, use either "
                "'architectures' or 'archMap'");
  for (const auto& flag : p.flags) TRYV(one_of(kFlags, flag, "flag"));
  size_t names = 0;
  for (const auto& r : p.rules) {
    if (!r.name.empty() && !r.names.empty())
      return fail(
          Code::kInvalid,
          "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'");
    TRYV(check_action(r.action));
    for (const auto& arg : r.args) {
      TRYV(one_of(kOperators, arg.op, "operator"));
      if (arg.index > 5)
        return fail(Code::kInvalid, "a system call has no argument " + std::to_string(arg.index));
    }
    names += r.names.size();
  }
  if (p.rules.size() > kMostRules || names > kMostNames) return fail(Code::kInvalid, "too many rules");
  return {};
}

bool any_in(const std::vector<std::string>& wanted, const std::vector<std::string>& have) {
  return std::ranges::any_of(wanted,
                             [&](const std::string& w) { return std::ranges::find(have, w) != have.end(); });
}
bool kernel_at_least(const std::string& text, const SeccompMachine& m) {
  const auto parts = split(text, '.');
  const auto major = parse_int(parts[0]), minor = parts.size() > 1 ? parse_int(parts[1]) : 0;
  return major && minor &&
         std::pair<int64_t, int64_t>{m.kernel_major, m.kernel_minor} >= std::pair{*major, *minor};
}
bool applies(const Rule& r, const std::vector<std::string>& caps, const SeccompMachine& m) {
  const std::vector<std::string> arch = {m.architecture};
  const Condition &in = r.includes, &ex = r.excludes;
  if (any_in(ex.arches, arch) || any_in(ex.caps, caps) ||
      (!ex.min_kernel.empty() && kernel_at_least(ex.min_kernel, m)))
    return false;
  if (!in.arches.empty() && !any_in(in.arches, arch)) return false;
  if (!std::ranges::all_of(
          in.caps, [&](const std::string& cap) { return std::ranges::find(caps, cap) != caps.end(); }))
    return false;
  return in.min_kernel.empty() || kernel_at_least(in.min_kernel, m);
}

// Docker's documentation, "Significant syscalls blocked by the default profile", against Podman's file: what
// the latter lets through and Docker gives only to containers with a capability ("": to none).
struct Gate {
  std::string_view name, cap;
};
constexpr std::array<Gate, 28> kGates = {{{"fsconfig", "CAP_SYS_ADMIN"},
                                          {"fsmount", "CAP_SYS_ADMIN"},
                                          {"fsopen", "CAP_SYS_ADMIN"},
                                          {"fspick", "CAP_SYS_ADMIN"},
                                          {"mount", "CAP_SYS_ADMIN"},
                                          {"mount_setattr", "CAP_SYS_ADMIN"},
                                          {"move_mount", "CAP_SYS_ADMIN"},
                                          {"open_tree", "CAP_SYS_ADMIN"},
                                          {"setns", "CAP_SYS_ADMIN"},
                                          {"umount", "CAP_SYS_ADMIN"},
                                          {"umount2", "CAP_SYS_ADMIN"},
                                          {"unshare", "CAP_SYS_ADMIN"},
                                          {"clone", "CAP_SYS_ADMIN"},
                                          {"clone3", "CAP_SYS_ADMIN"},
                                          {"get_mempolicy", "CAP_SYS_NICE"},
                                          {"mbind", "CAP_SYS_NICE"},
                                          {"set_mempolicy", "CAP_SYS_NICE"},
                                          {"set_mempolicy_home_node", "CAP_SYS_NICE"},
                                          {"reboot", "CAP_SYS_BOOT"},
                                          {"syslog", "CAP_SYSLOG"},
                                          {"pidfd_getfd", "CAP_SYS_PTRACE"},
                                          {"keyctl", ""},
                                          {"add_key", ""},
                                          {"request_key", ""},
                                          {"pivot_root", ""},
                                          {"io_uring_setup", ""},
                                          {"io_uring_enter", ""},
                                          {"io_uring_register", ""}}};
constexpr std::array<uint64_t, 7> kNamespaceFlags = {
    0x00020000, 0x02000000, 0x04000000, 0x08000000,
    0x10000000, 0x20000000, 0x40000000};  // CLONE_NEW* of sched.h

std::vector<Rule> narrowed(std::vector<Rule> rules, const std::vector<std::string>& caps,
                           const SeccompMachine& machine) {
  std::set<std::string> closed;
  for (const auto& [name, cap] : kGates)
    if (cap.empty() || std::ranges::find(caps, cap) == caps.end()) closed.emplace(name);
  Rule denied;
  denied.action = "SCMP_ACT_ERRNO", denied.errno_ret = 1;
  for (auto& r : rules)
    if (r.action == "SCMP_ACT_ALLOW")
      std::erase_if(r.names, [&](const std::string& name) {
        if (!closed.contains(name)) return false;
        if (name != "clone" && name != "clone3") denied.names.push_back(name);
        return true;
      });
  std::erase_if(rules, [](const Rule& r) { return r.names.empty() && r.name.empty(); });
  if (!denied.names.empty()) rules.push_back(denied);
  if (!closed.contains("clone")) return rules;
  const auto clone = [&](std::string action, uint64_t mask, uint64_t value) {
    Rule r;
    r.names = {"clone"}, r.action = std::move(action),
    r.args = {{machine.architecture == "s390x" ? 1u : 0u, mask, value, "SCMP_CMP_MASKED_EQ"}};
    if (r.action == "SCMP_ACT_ERRNO") r.errno_ret = 1;
    rules.push_back(std::move(r));
  };
  uint64_t all = 0;
  for (const uint64_t flag : kNamespaceFlags) all |= flag, clone("SCMP_ACT_ERRNO", flag, flag);
  clone("SCMP_ACT_ALLOW", all, 0);
  Rule clone3;  // its flags lie in memory, out of a filter's reach: the C library falls back to clone
  clone3.names = {"clone3"}, clone3.action = "SCMP_ACT_ERRNO", clone3.errno_ret = 38;
  rules.push_back(std::move(clone3));
  return rules;
}

std::string_view native_architecture(const std::string& docker) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kNames = {
      {{"amd64", "SCMP_ARCH_X86_64"},
       {"arm64", "SCMP_ARCH_AARCH64"},
       {"arm", "SCMP_ARCH_ARM"},
       {"386", "SCMP_ARCH_X86"},
       {"ppc64le", "SCMP_ARCH_PPC64LE"},
       {"s390x", "SCMP_ARCH_S390X"},
       {"riscv64", "SCMP_ARCH_RISCV64"}}};
  for (const auto& [name, scmp] : kNames)
    if (name == docker) return scmp;
  return "";
}

JsonObject rule_json(const Rule& r) {
  JsonArray names, args;
  for (const auto& n : r.names) names.push_back(Json(n));
  if (!r.name.empty()) names.push_back(Json(r.name));
  for (const auto& a : r.args)
    args.push_back(
        JsonObject{{"index", a.index}, {"value", a.value}, {"valueTwo", a.value_two}, {"op", a.op}});
  JsonObject out{{"names", std::move(names)}, {"action", r.action}};
  if (r.errno_ret) out["errnoRet"] = *r.errno_ret;
  if (!args.empty()) out["args"] = std::move(args);
  return out;
}

}  // namespace

Result<std::string> seccomp_config(const std::string& profile, SeccompKind kind,
                                   const std::vector<std::string>& caps, const SeccompMachine& machine) {
  auto parsed = from_text<Profile>(profile);
  if (!parsed) return fail(wrap("Decoding seccomp profile failed", parsed.error()));
  if (auto good = check_profile(*parsed); !good) return fail(wrap("invalid seccomp profile", good.error()));
  Profile& p = *parsed;
  std::vector<std::string> architectures = p.architectures;
  for (const auto& m : p.arch_map)
    if (m.architecture == native_architecture(machine.architecture)) {
      architectures = {m.architecture};
      architectures.insert(architectures.end(), m.subs.begin(), m.subs.end());
    }
  std::erase_if(p.rules, [&](const Rule& r) { return !applies(r, caps, machine); });
  if (kind == SeccompKind::kDebian) p.rules = narrowed(std::move(p.rules), caps, machine);
  JsonArray rules;
  for (const auto& r : p.rules) rules.push_back(rule_json(r));
  JsonObject out{{"defaultAction", p.default_action}};
  if (p.default_errno) out["defaultErrnoRet"] = *p.default_errno;
  out["architectures"] = to_json(architectures);
  if (!p.flags.empty()) out["flags"] = to_json(p.flags);
  out["syscalls"] = std::move(rules);
  return dump(out);
}

}  // namespace panal
