#include "swarm/constraint.h"

#include "base/text.h"

namespace panal {

Result<std::vector<Constraint>> parse_constraints(const std::vector<std::string>& texts) {
  std::vector<Constraint> out;
  for (const auto& text : texts) {
    size_t at = text.find("==");
    const size_t unequal = text.find("!=");
    Constraint c;
    if (unequal != std::string::npos && (at == std::string::npos || unequal < at))
      at = unequal, c.equal = false;
    if (at == std::string::npos)
      return fail(Code::kInvalid,
                  "rpc error: code = InvalidArgument desc = constraint expected one operator from ==, !=");
    c.key = std::string(trim(text.substr(0, at))), c.value = std::string(trim(text.substr(at + 2)));
    const std::string key = lower(c.key);
    const bool known = key == "node.id" || key == "node.hostname" || key == "node.role" ||
                       key == "node.platform.os" || key == "node.platform.arch" || key == "node.ip" ||
                       key.starts_with("node.labels.") || key.starts_with("engine.labels.");
    if (!known)
      return fail(Code::kInvalid, "rpc error: code = InvalidArgument desc = key '" + c.key + "' is invalid");
    if (c.value.empty())
      return fail(Code::kInvalid,
                  "rpc error: code = InvalidArgument desc = value '" + c.value + "' is invalid");
    out.push_back(std::move(c));
  }
  return out;
}

static std::string architecture(std::string name) {
  name = lower(name);
  if (name == "x86_64") return "amd64";
  if (name == "aarch64") return "arm64";
  return name;
}

std::string node_value(const std::string& given, const Node& n) {
  const std::string key = lower(given);
  if (key == "node.id") return n.meta.id;
  if (key == "node.hostname") return n.description.hostname;
  if (key == "node.role") return std::string(name_of(n.spec.role));
  if (key == "node.platform.os") return n.description.os;
  if (key == "node.platform.arch") return architecture(n.description.architecture);
  if (key == "node.ip") return n.address;
  const auto label = [&](const Labels& labels, size_t skip) {
    auto it = labels.find(given.substr(skip));
    return it == labels.end() ? std::string() : it->second;
  };
  if (key.starts_with("node.labels.")) return label(n.spec.labels, 12);
  if (key.starts_with("engine.labels.")) return label(n.description.engine_labels, 14);
  return {};
}

bool matches(const Constraint& c, const Node& n) {
  std::string value = node_value(c.key, n), wanted = c.value;
  if (lower(c.key) == "node.platform.arch") wanted = architecture(wanted);
  const bool same = glob_match(lower(wanted), lower(value));
  return same == c.equal;
}

}  // namespace panal
