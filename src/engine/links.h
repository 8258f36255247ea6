// --link, Docker's old way to tell one container of another: environment variables. Pure.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/container.h"

namespace panal {

struct Link {
  std::string target, alias;
};
/// "db:alias", "db" or "/db:/web/alias" as inspect shows it.
Result<Link> parse_link(const std::string& text);

/// Variables of `other` at `address`, known as `alias` in the container called `name`.
std::vector<std::string> link_variables(const std::string& name, const std::string& alias,
                                        const std::string& address, const ContainerConfig& other);

}  // namespace panal
