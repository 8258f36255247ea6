// What Go's JSON decoder would say of a text that is no JSON: Docker's clients and tests know its words.
#pragma once
#include <string>
#include <string_view>

namespace panal {

/// Of the first value in `text`; empty: nothing is wrong with it.
std::string json_complaint(std::string_view text);

}  // namespace panal
