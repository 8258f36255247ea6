// ?platform= of inspect, history, save, load, push and remove. An image here is for one platform, as in
// Docker's classic store.
#pragma once
#include <optional>
#include <string>

#include "base/result.h"
#include "image/index.h"

namespace panal {

struct HttpRequest;

/// JSON, as the OCI describes platforms; not looked at in the versions of the API before `since`.
Result<std::optional<ImagePlatform>> asked_platform(const HttpRequest& request, int since,
                                                    const std::string& key = "platform");

}  // namespace panal
