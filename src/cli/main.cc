// panal: the command line. `panal daemon` becomes panald, `panal lab` is the playground, the rest speaks to a
// daemon.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "cli/commands.h"

static const char* kHelp =
    "Usage:  panal [-H unix:///path|tcp://host:port] COMMAND\n\nA container engine and cluster orchestrator "
    "that speaks the Docker Engine API.\n\nCommands:\n"
    "  daemon     Run the node\n  lab        A playground of several nodes on this machine\n  image      "
    "load, import, ls\n  network    create, ls, rm\n"
    "  node       ls\n  service    create, ls, ps, logs, scale, update, rm\n  swarm      init, join, leave, "
    "join-token\n  version    Show the version\n\n"
    "Everything else: the stock docker CLI, with DOCKER_HOST=unix:///var/run/panal.sock\n";

int main(int argc, char** argv) {
  using namespace panal;
  ::signal(SIGPIPE, SIG_IGN);
  Words words(argv + 1, argv + argc);
  const std::string bin = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  std::string host;
  while (!words.empty() && (words[0] == "-H" || words[0] == "--host") && words.size() > 1) {
    host = words[1];
    words.erase(words.begin(), words.begin() + 2);
  }
  if (words.empty() || words[0] == "help" || words[0] == "--help" || words[0] == "-h")
    return std::fputs(kHelp, stdout), 0;
  const std::string noun = words[0];
  words.erase(words.begin());
  if (noun == "version" || noun == "--version" || noun == "-v")
    return std::printf("Panal version %s\n", PANAL_VERSION), 0;
  if (noun == "daemon") {
    std::vector<char*> args = {const_cast<char*>("panald")};
    for (auto& w : words) args.push_back(w.data());
    args.push_back(nullptr);
    ::execv((bin + "/panald").c_str(), args.data());
    std::perror("panal: panald");
    return 1;
  }
  if (noun == "lab") return lab_command(words, bin);
  auto daemon = daemon_address(host);
  if (!daemon) return report(daemon.error());
  ApiClient api(*daemon);
  if (noun == "image") return image_command(api, words);
  if (noun == "node") return node_command(api, words);
  if (noun == "service") return service_command(api, words);
  if (noun == "swarm") return swarm_command(api, words);
  if (noun == "network") return network_command(api, words);
  return usage("panal: '" + noun + "' is not a panal command.\nSee 'panal --help'");
}
