// Internal to sys/crun: the attach socket of a conmon.
#pragma once
#include "ports/runtime.h"
#include "sys/loop/async_fd.h"

namespace panal {

class ConmonAttachment final : public Attachment {
 public:
  ConmonAttachment(AsioLoop& loop, Fd fd, bool want_stdin)
      : fd_(loop, std::move(fd)), want_stdin_(want_stdin) {}
  Task<Result<Piece>> read() override;
  Task<Result<>> write(std::string_view data) override;
  void close_stdin() override;
  void close() override { fd_.close(); }

 private:
  AsyncFd fd_;
  bool want_stdin_;
};

/// To a conmon's attach socket. One that takes nobody is waited for, some seconds.
Task<Result<Fd>> connect_attach(AsioLoop& loop, std::string path);

/// Of the terminal of a container or exec, by its monitor's folder.
void resize_terminal(const std::string& dir, int rows, int columns);

/// Reads newline-terminated JSON lines from a conmon pipe.
class LineReader {
 public:
  LineReader(AsioLoop& loop, Fd fd) : stream_(loop, std::move(fd)) {}
  /// Next line without its newline; an empty string at the end.
  Task<Result<std::string>> line();
  void close() { stream_.close(); }

 private:
  FdStream stream_;
  std::string buffer_;
};

struct ConmonAnswer {
  int64_t data = -1;
  std::string message;
};
Result<ConmonAnswer> parse_conmon_line(const std::string& line);
/// What a user should read of crun's stderr, as Docker words it around runc's. `program`: the word that was
/// to be run.
Error runtime_error(std::string message, const std::string& program);

}  // namespace panal
