// A Dockerfile's text as logical lines: parser directives read, comments gone, continuations joined,
// here-documents taken out. Source: the Dockerfile reference, "Format", "Parser directives",
// "Here-Documents".
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace panal {

/// One here-document of a RUN, COPY or ADD line.
struct Heredoc {
  std::string name;     // the delimiter; what COPY takes as the file's name
  std::string word;     // "<<EOT" as written on the line
  std::string content;  // with each line's end
  bool expand = true;   // false: the delimiter was quoted
  int descriptor = 0;
};

struct SourceLine {
  int line = 0;  // where it begins, from 1
  std::string text;
  std::vector<Heredoc> heredocs;
};

struct DockerfileSource {
  char escape = '\\';
  std::vector<SourceLine> lines;
  std::vector<std::string> warnings;
};

/// `name` stands in front of errors: "Dockerfile:7: unterminated heredoc".
Result<DockerfileSource> read_dockerfile(std::string_view text, std::string_view name);

/// Words of a line, quotes and escapes kept: what stands between them belongs to one word.
std::vector<std::string> dockerfile_words(std::string_view text, char escape);

}  // namespace panal
