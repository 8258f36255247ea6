// Variables and quotes of a Dockerfile word, as the reference's "Environment replacement": $name, ${name},
// ${name:-word} :+ :? and their forms without colon, # ## % %% / //; single quotes are literal; the escape
// character keeps the next one.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace panal {

/// A variable's value; nullopt: not set.
using Variables = std::function<std::optional<std::string>(const std::string& name)>;

/// One word, quotes removed.
Result<std::string> expand_word(std::string_view text, char escape, const Variables& variables);
/// Several words: blanks in a value that is not quoted separate.
Result<std::vector<std::string>> expand_words(std::string_view text, char escape, const Variables& variables);
/// A here-document's content: variables only, quotes are text.
Result<std::string> expand_text(std::string_view text, const Variables& variables);

}  // namespace panal
