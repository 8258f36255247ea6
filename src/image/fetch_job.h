// What the daemon asks of `panal-unpack fetch` and what it hears: JSON lines, on standard input because they
// hold credentials.
#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace panal {

struct FetchJob {
  std::string method, url, body, send_file, save_file, certs_dir;
  std::string dir;  // an empty folder: all of the file system that the process can see, but for what name
                    // resolution reads
  std::map<std::string, std::string> headers;
  int64_t limit_bytes = 0;
  bool resume = false, skip_verify = false;
};
template <class A>
void fields(A& a, FetchJob& j) {
  a("method", j.method), a("url", j.url), a("body", j.body), a("send_file", j.send_file),
      a("save_file", j.save_file), a("certs_dir", j.certs_dir);
  a("dir", j.dir), a("headers", j.headers), a("limit_bytes", j.limit_bytes), a("resume", j.resume),
      a("skip_verify", j.skip_verify);
}

struct FetchLine {
  int64_t at = 0;  // progress; every line but the last
  bool last = false;
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body, digest;
  int64_t size = 0;
  std::string error, kind;  // kind: connect, verify, broken, large, local
};
template <class A>
void fields(A& a, FetchLine& l) {
  a.opt("at", l.at), a.opt("last", l.last), a.opt("status", l.status), a.opt("headers", l.headers),
      a.opt("body", l.body), a.opt("digest", l.digest), a.opt("size", l.size);
  a.opt("error", l.error), a.opt("kind", l.kind);
}

}  // namespace panal
