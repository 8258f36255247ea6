// A Dockerfile: what parses has stages whose instructions have names; expanding and matching end.
#include "dockerfile/config.h"
#include "dockerfile/expand.h"
#include "dockerfile/parse.h"
#include "fuzz.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(as_text(data, size));
  const auto file = parse_dockerfile(text, "Dockerfile");
  if (!file) {
    MUST(!file.error().message.empty());
    return 0;
  }
  MUST(!file->stages.empty());
  const Variables variables = [](const std::string& name) -> std::optional<std::string> {
    return name.size() % 2 ? std::optional(name) : std::nullopt;
  };
  for (const auto& stage : file->stages) {
    ImageDraft draft;
    for (const auto& in : stage.steps) {
      MUST(in.text.starts_with(word_name(in.word)) && in.line > 0);
      (void)apply_instruction(draft, in, file->escape, variables);
      (void)expand_words(in.rest, file->escape, variables);
      for (const auto& doc : in.heredocs) (void)expand_text(doc.content, variables);
    }
  }
  return 0;
}
