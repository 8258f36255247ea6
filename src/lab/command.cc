// panal lab up|ls|exec|shell|logs|stop|kill|start|cut|heal|down
#include <signal.h>

#include <cstdio>
#include <cstdlib>

#include "base/fd.h"
#include "base/text.h"
#include "cli/commands.h"
#include "lab/lab.h"

namespace panal {

static const char* kLabHelp =
    "Usage:  panal lab [--name NAME] COMMAND\n\nA playground: a swarm of several nodes on this machine, with "
    "no way out.\n\nCommands:\n"
    "  up [--managers 3] [--workers 2]   Start it\n  ls                                Its nodes\n  exec "
    "NODE COMMAND [ARG...]        Run a command in a node; NODE \"switch\" is a client outside\n"
    "  shell NODE                        A shell in a node, its DOCKER_HOST set\n  logs NODE                 "
    "        What its daemon wrote\n  stop NODE                         Stop the daemon (containers go on)\n"
    "  kill NODE                         Cut the power: daemon and containers die at once\n  start NODE      "
    "                  Start the daemon again\n  cut NODE | heal NODE              Pull its network cable, "
    "put it back\n"
    "  down                              End it and remove everything\n";

static int list(Lab& lab) {
  std::vector<std::vector<std::string>> rows = {{"NODE", "ROLE AT START", "ADDRESS", "DAEMON", "SOCKET"}};
  for (const auto& n : lab.nodes())
    rows.push_back({n.name, n.manager ? "manager" : "worker", lab.address(n),
                    lab.alive(n) ? "pid " + std::to_string(n.daemon) : "stopped", "unix://" + lab.socket(n)});
  print_table(rows);
  return 0;
}

int lab_command(const Words& given, const std::string& bin_dir) {
  Words words = given;
  std::string name = "lab";
  if (words.size() > 1 && words[0] == "--name")
    name = words[1], words.erase(words.begin(), words.begin() + 2);
  if (words.empty() || words[0] == "--help" || words[0] == "-h") return std::fputs(kLabHelp, stdout), 0;
  if (::geteuid() != 0)
    return report(
        {Code::kForbidden, "panal lab needs root: it makes network namespaces and runs containers"});
  const std::string verb = words[0];
  words.erase(words.begin());
  Lab lab(name, bin_dir);
  if (verb == "up") {
    auto args = parse_flags(words, {{"managers"}, {"workers"}});
    if (!args) return report(args.error());
    const auto managers = parse_int(args->get("managers", "3")),
               workers = parse_int(args->get("workers", "2"));
    if (!managers || !workers) return usage("--managers and --workers take numbers");
    auto done = lab.up(static_cast<int>(*managers), static_cast<int>(*workers));
    return done ? list(lab) : report(done.error());
  }
  if (verb == "down") {
    auto done = lab.down();
    return done ? 0 : report(done.error());
  }
  if (auto loaded = lab.load(); !loaded) return report(loaded.error());
  if (verb == "ls") return list(lab);
  if (words.empty()) return usage(kLabHelp);
  const std::string node = words[0];
  Result<> done;
  if (verb == "exec") {
    words.erase(words.begin());
    if (!words.empty() && words[0] == "--") words.erase(words.begin());
    if (words.empty()) return usage("usage: panal lab exec NODE COMMAND [ARG...]");
    auto status = lab.exec(node, words);
    return status ? *status : report(status.error());
  }
  if (verb == "shell") {
    const char* shell = std::getenv("SHELL");
    auto status = lab.exec(node, {shell ? shell : "/bin/sh"});
    return status ? *status : report(status.error());
  }
  if (verb == "logs") {
    auto found = lab.find(node);
    if (!found) return report(found.error());
    auto text = read_file(lab.log(*found), 64 << 20);
    if (!text) return report(text.error());
    std::fputs(text->c_str(), stdout);
    return 0;
  }
  if (verb == "start")
    done = lab.start(node);
  else if (verb == "stop")
    done = lab.stop(node, SIGTERM);
  else if (verb == "kill")
    done = lab.stop(node, SIGKILL);
  else if (verb == "cut")
    done = lab.link(node, false);
  else if (verb == "heal")
    done = lab.link(node, true);
  else
    return usage(kLabHelp);
  return done ? 0 : report(done.error());
}

}  // namespace panal
