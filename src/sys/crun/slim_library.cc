#include "sys/crun/slim_library.h"

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "sys/crun/runtime_file.h"

namespace panal {

// The loader parts LD_PRELOAD at these; and what somebody preloads into all that the daemon starts stays.
static bool can_be_named(const std::string& path) {
  return path.find_first_of(" :") == std::string::npos && !std::getenv("LD_PRELOAD");
}

SlimLibrary::SlimLibrary(AsioLoop& loop, Scope& scope, std::string path, std::vector<std::string> programs)
    : loop_(loop), scope_(scope), path_(std::move(path)), programs_(std::move(programs)) {
  if (!can_be_named(path_)) path_.clear();
}

SlimLibrary::Seen SlimLibrary::look() const {
  Seen out(programs_.size() + 1);
  if (::stat(path_.c_str(), &out[0]) != 0) return {};
  for (size_t i = 0; i < programs_.size(); ++i)
    if (::stat(programs_[i].c_str(), &out[i + 1]) != 0) return {};
  return out;
}

void SlimLibrary::prepare() {
  if (!path_.empty() && !trying_) scope_.spawn(try_all());
}

void SlimLibrary::give(Spawn& what) {
  if (path_.empty() || trying_) return;
  if (!std::ranges::equal(look(), tried_, same_file)) return prepare();
  if (usable_) what.env.push_back("LD_PRELOAD=" + path_);
}

Task<void> SlimLibrary::try_all() {
  trying_ = true, usable_ = false;
  Seen files = look();
  bool all = !files.empty();
  for (size_t i = 0; all && i < programs_.size(); ++i) {
    all = co_await loads(programs_[i]);
    if (!all) log::info("msg=\"started without {}\" program={}", path_, programs_[i]);
  }
  tried_ = std::move(files), usable_ = all, trying_ = false;
}

Task<bool> SlimLibrary::loads(std::string program) {
  Spawn what;
  what.argv = {std::move(program), "--version"}, what.env = {"LD_PRELOAD=" + path_, "LD_BIND_NOW=1"};
  const auto child = spawn(what);
  if (!child) co_return false;
  const auto status = co_await wait_status(loop_, *child, 10s);
  co_return status && *status == 0;
}

}  // namespace panal
