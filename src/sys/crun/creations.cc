// A daemon that is killed while conmon and crun make a container does not stop them: they go on, and nobody
// knows of what they make.
#include <algorithm>
#include <set>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "sys/crun/crun_runtime.h"

namespace panal {

// Containers that a monitor or the runtime works on, and that the runtime has not recorded as made.
static std::set<std::string> being_made(const std::string& state) {
  std::set<std::string> out;
  const std::string mark = std::string("--root=") + state;
  for (const auto& pid : list_dir("/proc")) {
    if (!parse_int(pid)) continue;
    const auto text = read_file("/proc/" + pid + "/cmdline", 65536);
    if (!text || text->find(mark) == std::string::npos) continue;
    auto words = split(*text, '\0');
    while (!words.empty() && words.back().empty()) words.pop_back();
    if (std::ranges::find(words, mark) == words.end()) continue;
    const auto named = std::ranges::find(words, "-c");  // conmon; the runtime has it as its last word
    const std::string id = named != words.end() && named + 1 != words.end() ? named[1] : words.back();
    if (id.size() == 64 && id.find_first_not_of("0123456789abcdef") == std::string::npos &&
        !exists(state + "/" + id + "/status"))
      out.insert(id);
  }
  return out;
}

Task<void> CrunRuntime::settle_creations() {
  const MonoTime end = loop_.now() + 5s;
  for (auto left = being_made(paths_.state); !left.empty(); left = being_made(paths_.state)) {
    if (loop_.now() > end) {
      log::warn("msg=\"a container that an earlier daemon began to make is not done\" container={}",
                *left.begin());
      co_return;
    }
    co_await loop_.sleep(5ms);
  }
}

}  // namespace panal
