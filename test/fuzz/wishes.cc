// Small languages of a container's options: device rules, links, log tags and addresses; and what ps answers.
#include "engine/devices/devices.h"
#include "engine/links.h"
#include "engine/log_options.h"
#include "engine/top.h"
#include "fuzz.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(as_text(data, size));
  if (const auto rule = parse_device_rule(text)) MUST(valid_device_access(rule->access));
  if (const auto link = parse_link(text))
    MUST(!link->target.empty() && !link->alias.empty() && link->alias.find('/') == std::string::npos);
  if (const auto address = parse_syslog_address(text)) MUST(!address->target.empty());
  Container c;
  c.id = std::string(64, 'a'), c.name = "name", c.image_id = "sha256:" + std::string(64, 'b');
  if (const auto tag = log_tag(text, c)) MUST(text.find("{{") != std::string::npos || *tag == text);
  c.host.log_config = {"json-file", {{"labels-regex", text}, {"max-size", text}}},
  c.config.labels = {{"a", "b"}, {text, text}};
  if (const auto plan = log_plan(c.host.log_config)) {
    MUST(plan->limits.max_size_bytes >= 0);
    MUST(log_attributes(c).size() <= 2);
  }
  if (const auto table = parse_ps(text, {1, 22}))
    for (const auto& row : table->rows) MUST(row.size() <= table->titles.size());
  return 0;
}
