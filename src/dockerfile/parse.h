// The Dockerfile language: instructions, their flags and forms, grouped into stages. Nothing is expanded
// here. Source: the Dockerfile reference. Errors name file and line: "Dockerfile:7: unknown instruction: RUNN
// (did you mean RUN?)".
#pragma once
#include <map>

#include "dockerfile/source.h"

namespace panal {

enum class Word {
  kAdd,
  kArg,
  kCmd,
  kCopy,
  kEntrypoint,
  kEnv,
  kExpose,
  kFrom,
  kHealthcheck,
  kLabel,
  kMaintainer,
  kOnbuild,
  kRun,
  kShell,
  kStopsignal,
  kUser,
  kVolume,
  kWorkdir
};

struct Instruction {
  Word word = Word::kRun;
  int line = 0;
  std::string
      text;  // "RUN make": the name in capitals, then the rest as written, here-documents' contents left out
  std::vector<std::pair<std::string, std::string>>
      flags;                      // {"from", "builder"}; a flag without a value has "true"
  std::string rest;               // what follows name and flags
  bool exec_form = false;         // a JSON array
  std::vector<std::string> args;  // its strings, or the words of `rest`, as the instruction takes them
  std::vector<std::pair<std::string, std::string>> pairs;  // ENV, LABEL, ARG
  std::vector<bool> has_value;                             // ARG: whether the pair has a default
  std::vector<Heredoc> heredocs;

  /// The last value of a flag; "" when it is not given.
  std::string flag(std::string_view name) const;
};

struct Stage {
  Instruction from;        // args: the base, unexpanded
  std::string base, name;  // name in lower case, "" when it has none
  std::vector<Instruction> steps;
};

struct Dockerfile {
  char escape = '\\';
  std::vector<Instruction> arguments;  // ARG before the first FROM
  std::vector<Stage> stages;           // at least one
  std::vector<std::string> warnings;
};

Result<Dockerfile> parse_dockerfile(std::string_view text, std::string_view name = "Dockerfile");
/// One instruction by itself: an ONBUILD trigger, or a `changes` entry of commit and import.
Result<Instruction> parse_instruction(const SourceLine& line, char escape, std::string_view name);
std::string_view word_name(Word word);

}  // namespace panal
