#include "sys/crun/streams.h"

namespace panal {

static constexpr const char* kEmptyPipe = " <<.\n.\n";

StreamFix fix_streams(const MonitorStart& spec) {
  if (!spec.mapped_users || (spec.open_stdin && !spec.tty)) return {};
  return {"", std::string(spec.tty ? " >&2" : "") + kEmptyPipe};
}

StreamFix fix_streams(const ExecStart& spec) {
  if (spec.root_uid)
    return {
        "for n in 0 1 2; do [ -p /proc/self/fd/$n ] && p=\"$p /proc/self/fd/$n\"; done; [ -z \"$p\" ] || "
        "chown " +
            std::to_string(spec.root_uid) + ":" + std::to_string(spec.root_gid) + " $p; ",
        ""};
  if (spec.uid == 0 || spec.open_stdin || spec.tty) return {};
  return {"", kEmptyPipe};
}

std::string runtime_program(const StreamFix& fix, const std::string& program) {
  return fix.none() ? program : "/bin/sh";
}

void add_runtime_script(std::vector<std::string>& argv, const StreamFix& fix, const std::string& program) {
  if (fix.none()) return;
  const std::string script = fix.before + "exec " + program + " \"$@\"" + fix.after;
  for (const auto& word : {std::string("-c"), script, std::string("crun")})
    argv.insert(argv.end(), {"--runtime-arg", word});
}

}  // namespace panal
