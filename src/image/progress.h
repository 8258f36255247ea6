// What a long operation on images tells its client, line by line, in the form that the docker CLI draws.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace panal {

struct ProgressLine {
  std::string id, status;
  int64_t current = 0, total = 0;  // bytes; of what is under way
  std::string tag, digest;         // the end of a push: the CLI takes them from here
  int64_t size_bytes = 0;
};
using Report = std::function<void(ProgressLine)>;

/// "[====>     ]  1.2MB/3.4MB"; empty when nothing is known.
std::string progress_bar(int64_t current, int64_t total);
/// One JSON line.
std::string progress_json(const ProgressLine& line);
/// The line that ends a stream that has begun and then failed.
std::string progress_error_json(std::string_view message);
/// The first twelve digits of a digest.
std::string short_digest(std::string_view digest);

}  // namespace panal
