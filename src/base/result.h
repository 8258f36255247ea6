// Operating errors. An Error is a code, a lower-case sentence without full stop, and context prepended on
// the way up. Where a client parses a message, the message is Docker's. One table maps codes to HTTP status.
#pragma once
#include <expected>
#include <string>
#include <utility>

namespace panal {

enum class Code {
  kInvalid,       // 400 the request is wrong
  kUnauthorized,  // 401
  kForbidden,     // 403
  kNotFound,      // 404
  kConflict,      // 409 state stands against it
  kTooLarge,      // 413
  kNotModified,   // 304 already so
  kInternal,      // 500
  kUnsupported,   // 501 named, not there yet
  kUnavailable,   // 503 not now: no leader, not in a swarm, no quorum
  kTimeout,       // 500 a deadline passed
  kCancelled,     // 500 the asker is gone or the daemon stops
};

struct Error {
  Code code = Code::kInternal;
  std::string message;
};

template <class T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Code code, std::string message) {
  return std::unexpected(Error{code, std::move(message)});
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

/// Prepends context: "load image: open /x: no such file or directory".
inline Error wrap(std::string_view context, Error error) {
  error.message = std::string(context) + ": " + error.message;
  return error;
}

/// "CALL OBJECT: strerror", mapping the errno values that callers tell apart.
Error sys_error(int err, std::string_view call, std::string_view object = {});

int http_status(Code code);

}  // namespace panal

#define PANAL_CAT2(a, b) a##b
#define PANAL_CAT(a, b) PANAL_CAT2(a, b)
#define PANAL_TRY_IMPL(ret, tmp, decl, ...)              \
  auto tmp = (__VA_ARGS__);                              \
  if (!tmp) ret std::unexpected(std::move(tmp.error())); \
  decl = std::move(*tmp)
/// TRY(auto x, expr): unwraps a Result or returns its error from this function.
#define TRY(decl, ...) PANAL_TRY_IMPL(return, PANAL_CAT(try_, __LINE__), decl, __VA_ARGS__)
#define CO_TRY(decl, ...) PANAL_TRY_IMPL(co_return, PANAL_CAT(try_, __LINE__), decl, __VA_ARGS__)
#define TRYV(...) \
  if (auto r_ = (__VA_ARGS__); !r_) return std::unexpected(std::move(r_.error()))
#define CO_TRYV(...) \
  if (auto r_ = (__VA_ARGS__); !r_) co_return std::unexpected(std::move(r_.error()))
