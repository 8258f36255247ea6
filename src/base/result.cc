#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace panal {

Error sys_error(int err, std::string_view call, std::string_view object) {
  Code code = Code::kInternal;
  if (err == ENOENT) code = Code::kNotFound;
  if (err == EEXIST || err == EBUSY) code = Code::kConflict;
  if (err == ETIMEDOUT) code = Code::kTimeout;
  char buf[128];
  const char* text = strerror_r(err, buf, sizeof buf);
  std::string message(call);
  if (!object.empty()) message.append(" ").append(object);
  message.append(": ");
  // strerror starts with a capital; ours are lower-case sentences, like Go's.
  std::string reason = text;
  if (reason.size() > 1 && reason[1] >= 'a' && reason[1] <= 'z')
    reason[0] = static_cast<char>(reason[0] | 0x20);
  return {code, message + reason};
}

int http_status(Code code) {
  switch (code) {
    case Code::kInvalid:
      return 400;
    case Code::kUnauthorized:
      return 401;
    case Code::kForbidden:
      return 403;
    case Code::kNotFound:
      return 404;
    case Code::kConflict:
      return 409;
    case Code::kTooLarge:
      return 413;
    case Code::kNotModified:
      return 304;
    case Code::kUnsupported:
      return 501;
    case Code::kUnavailable:
      return 503;
    case Code::kInternal:
    case Code::kTimeout:
    case Code::kCancelled:
      return 500;
  }
  return 500;
}

}  // namespace panal
