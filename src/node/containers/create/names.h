// Names for what its user has not named: two words of the beehive.
#pragma once
#include <functional>
#include <string>

#include "ports/entropy.h"

namespace panal {

/// "amber_clover"; with a number when that is hard to get.
std::string random_name(Entropy& entropy, const std::function<bool(const std::string& name)>& taken);

}  // namespace panal
