#include "node/events.h"

namespace panal {

void Events::publish(std::string type, std::string action, std::string id,
                     std::map<std::string, std::string> attributes, std::string scope) {
  EngineEvent e{next_++,          std::move(type),       std::move(action), std::move(id),
                std::move(scope), std::move(attributes), loop_.wall_now()};
  memory_.push_back(std::move(e));
  if (memory_.size() > kMemory) memory_.pop_front();
  changed_.notify(loop_);
}

}  // namespace panal
