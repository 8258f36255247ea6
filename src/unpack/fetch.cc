// One HTTP exchange for the daemon, with libcurl. libcurl and its forty libraries are loaded here and not
// linked, so that the other verbs start as fast as before. Files are opened before the process is locked in;
// from then on it has its descriptors, the network and what name resolution reads. Redirects are followed for
// GET and HEAD; credentials stay with the host they are for (libcurl).
#include <curl/curl.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <openssl/x509_vfy.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/fd.h"
#include "base/json.h"
#include "base/text.h"
#include "image/fetch_job.h"
#include "unpack/digest.h"
#include "unpack/unpack.h"

namespace panal {
namespace {

constexpr size_t kMaxJob = 16 << 20, kMaxErrorBody = 64 << 10, kMaxHeaders = 128 << 10,
                 kMaxCertificates = 16 << 20;
constexpr long kConnectSeconds = 15, kStillSeconds = 60, kMaxRedirects = 10;

// clang-format off: it never settles on this list
#define CURL_CALLS(X) \
  X(global_init) X(easy_init) X(easy_cleanup) X(easy_setopt) X(easy_perform) X(easy_getinfo) \
  X(easy_strerror) X(slist_append) X(slist_free_all)
// clang-format on
struct Curl {
#define X(name) decltype(&curl_##name) name = nullptr;
  CURL_CALLS(X)
#undef X
  Result<> load() {
    void* library = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library)
      return fail(Code::kInternal, std::string("libcurl (Debian's package libcurl4): ") + ::dlerror());
#define X(call)                                                                    \
  if (!(call = reinterpret_cast<decltype(call)>(::dlsym(library, "curl_" #call)))) \
    return fail(Code::kInternal, "libcurl has no curl_" #call);
    CURL_CALLS(X)
#undef X
    if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
      return fail(Code::kInternal, "libcurl cannot be initialised");
    return {};
  }
};

struct Exchange {
  FetchJob job;
  Curl curl;
  CURL* easy = nullptr;
  Fd save, send;
  int64_t held = 0, size = 0, shown = -1, send_size = 0, header_bytes = 0;
  std::unique_ptr<Digest> digest = std::make_unique<Digest>();
  FetchLine answer;
  std::string failure, failure_kind;
  bool begun = false;  // the body of the final answer
  std::chrono::steady_clock::time_point told;

  bool fails(std::string kind, std::string why) {
    if (failure.empty()) failure = std::move(why), failure_kind = std::move(kind);
    return false;
  }
  long status() const {
    long code = 0;
    curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    return code;
  }
  bool tell(int64_t at) {
    const auto now = std::chrono::steady_clock::now();
    if (at == shown || now - told < std::chrono::milliseconds(100)) return true;
    told = now, shown = at;
    std::printf("{\"at\":%lld}\n", static_cast<long long>(at));
    return std::fflush(stdout) == 0;  // nobody listens any more
  }
  bool begin_body();
  bool take(std::string_view data);
};

// What save_file holds already counts only when the server goes on just behind it.
bool Exchange::begin_body() {
  begun = true;
  if (!save || (status() != 200 && status() != 206)) return true;
  bool goes_on = false;
  if (auto range = answer.headers.find("content-range"); status() == 206 && range != answer.headers.end())
    goes_on = range->second.starts_with("bytes " + std::to_string(held) + "-");
  if (status() == 206 && !goes_on) return fails("broken", "the server sent another range than asked for");
  if (status() == 200 && held > 0) {
    if (::ftruncate(save.get(), 0) != 0 || ::lseek(save.get(), 0, SEEK_SET) != 0)
      return fails("local", sys_error(errno, "truncate", job.save_file).message);
    digest = std::make_unique<Digest>(), held = 0;
  }
  size = held;
  return true;
}

bool Exchange::take(std::string_view data) {
  if (!begun && !begin_body()) return false;
  const bool good = status() == 200 || status() == 206, saves = save && good;
  if (!good) {
    answer.body += data.substr(0, kMaxErrorBody - answer.body.size());  // an error's text is long enough
    return true;
  }
  if (size + static_cast<int64_t>(data.size()) > job.limit_bytes)
    return fails("large",
                 "the answer is larger than the limit of " + std::to_string(job.limit_bytes) + " bytes");
  size += static_cast<int64_t>(data.size());
  if (!saves) {
    answer.body += data;
    return true;
  }
  digest->add(data);
  if (auto written = write_all(save.get(), data); !written)
    return fails("local", wrap(job.save_file, written.error()).message);
  return tell(size);
}

size_t on_body(char* data, size_t, size_t count, void* user) {
  return static_cast<Exchange*>(user)->take({data, count}) ? count : CURL_WRITEFUNC_ERROR;
}

size_t on_header(char* data, size_t, size_t count, void* user) {
  auto* x = static_cast<Exchange*>(user);
  const std::string_view line = trim({data, count});
  if (line.starts_with("HTTP/")) x->answer.headers.clear(), x->header_bytes = 0;
  x->header_bytes += static_cast<int64_t>(count);
  if (x->header_bytes > static_cast<int64_t>(kMaxHeaders))
    return x->fails("large", "the answer's headers are too large"), 0;
  if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
    std::string& value = x->answer.headers[lower(line.substr(0, colon))];
    value += (value.empty() ? "" : ", ") + std::string(trim(line.substr(colon + 1)));
  }
  return count;
}

size_t on_send(char* into, size_t, size_t room, void* user) {
  const ssize_t n = ::read(static_cast<Exchange*>(user)->send.get(), into, room);
  return n < 0 ? CURL_READFUNC_ABORT : static_cast<size_t>(n);
}

int on_seek(void* user, curl_off_t offset, int whence) {
  return ::lseek(static_cast<Exchange*>(user)->send.get(), offset, whence) < 0 ? CURL_SEEKFUNC_FAIL
                                                                               : CURL_SEEKFUNC_OK;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t sent) {
  auto* x = static_cast<Exchange*>(user);
  return !x->send || sent == 0 || x->tell(sent) ? 0 : 1;
}

// Files of /etc/docker/certs.d/HOST, as Docker reads them.
struct Certificates {
  std::string authorities, shown, key;
};
Result<Certificates> read_certificates(const std::string& dir) {
  Certificates out;
  if (dir.empty()) return out;
  for (const auto& name : list_dir(dir)) {
    const auto take = [&](std::string& into) -> Result<> {
      TRY(const std::string text, read_file(dir + "/" + name, kMaxCertificates));
      into += text + "\n";
      return {};
    };
    if (name.ends_with(".crt")) TRYV(take(out.authorities));
    if (name.ends_with(".cert")) {
      const std::string key = name.substr(0, name.size() - 5) + ".key";
      if (!exists(dir + "/" + key))
        return fail(Code::kInvalid, "missing key " + key + " for client certificate " + name +
                                        ". CA certificates must use the extension .crt");
      TRYV(take(out.shown));
      TRY(out.key, read_file(dir + "/" + key, kMaxCertificates));
    }
    if (name.ends_with(".key") && !exists(dir + "/" + name.substr(0, name.size() - 4) + ".cert"))
      return fail(Code::kInvalid,
                  "missing client certificate " + name.substr(0, name.size() - 4) + ".cert for key " + name);
  }
  return out;
}

struct Blob : curl_blob {
  explicit Blob(const std::string& text)
      : curl_blob{const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY} {}
};

void set_tls(const Exchange& x, const Certificates& c, const std::string& authorities) {
  const auto set = [&](CURLoption option, auto value) { x.curl.easy_setopt(x.easy, option, value); };
  if (x.job.skip_verify) set(CURLOPT_SSL_VERIFYPEER, 0L), set(CURLOPT_SSL_VERIFYHOST, 0L);
  Blob all(authorities), shown(c.shown), key(c.key);
  set(CURLOPT_CAINFO_BLOB, &all);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (c.shown.empty()) return;
  set(CURLOPT_SSLCERT_BLOB, &shown), set(CURLOPT_SSLKEY_BLOB, &key);
}

std::string host_of(const std::string& url, bool with_port) {
  const size_t begin = url.find("://") == std::string::npos ? 0 : url.find("://") + 3;
  std::string host = url.substr(begin, url.find_first_of("/?#", begin) - begin);
  if (const size_t colon = host.rfind(':');
      colon != std::string::npos && host.find(']', colon) == std::string::npos)
    return with_port ? host : host.substr(0, colon);
  return with_port ? host + (url.starts_with("https") ? ":443" : ":80") : host;
}

// In the words of the errors that Docker's users know.
void describe(Exchange& x, CURLcode code, const char* detail) {
  const std::string text = *detail ? detail : x.curl.easy_strerror(code);
  const std::string peer = host_of(x.job.url, true), host = host_of(x.job.url, false);
  long os = 0, verdict = 0;
  double connected = 0;
  x.curl.easy_getinfo(x.easy, CURLINFO_OS_ERRNO, &os),
      x.curl.easy_getinfo(x.easy, CURLINFO_SSL_VERIFYRESULT, &verdict),
      x.curl.easy_getinfo(x.easy, CURLINFO_CONNECT_TIME, &connected);
  if (const size_t alert = text.find(" alert ");
      (code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR) &&
      alert != std::string::npos)  // TLS 1.3 refuses after its handshake
    return void(x.fails("connect",
                        "remote error: tls: " + text.substr(alert + 1, text.find(',', alert) - alert - 1)));
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return void(x.fails("connect", "dial tcp: lookup " + host + ": no such host"));
    case CURLE_COULDNT_RESOLVE_PROXY:
      return void(x.fails("connect", "proxyconnect tcp: " + text));
    case CURLE_COULDNT_CONNECT:
      return void(x.fails("connect", "dial tcp " + peer + ": connect: " +
                                         (os ? lower(std::strerror(static_cast<int>(os))) : text)));
    case CURLE_OPERATION_TIMEDOUT:
      if (connected == 0) return void(x.fails("connect", "dial tcp " + peer + ": i/o timeout"));
      return void(x.fails("broken", "the connection stands still"));
    case CURLE_PEER_FAILED_VERIFICATION:
      return void(x.fails(
          "verify", std::string("tls: failed to verify certificate: x509: ") +
                        (verdict == 0 ? "certificate is not valid for " + host
                         : verdict == X509_V_ERR_CERT_HAS_EXPIRED || verdict == X509_V_ERR_CERT_NOT_YET_VALID
                             ? "certificate has expired or is not yet valid"
                             : "certificate signed by unknown authority")));
    case CURLE_SSL_CONNECT_ERROR:
      return void(x.fails("connect", text.find("wrong version number") != std::string::npos ||
                                             text.find("packet length too long") != std::string::npos
                                         ? "http: server gave HTTP response to HTTPS client"
                                         : "tls: " + text));
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return void(x.fails("broken", "unexpected EOF: " + text));
    default:
      x.fails("local", text);
  }
}

Result<> open_files(Exchange& x) {
  if (!x.job.save_file.empty()) {
    x.save = Fd(
        ::open(x.job.save_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | (x.job.resume ? 0 : O_TRUNC), 0600));
    if (!x.save) return fail(sys_error(errno, "open", x.job.save_file));
    std::string chunk(1 << 18, '\0');
    for (ssize_t n; (n = ::read(x.save.get(), chunk.data(), chunk.size())) != 0;) {
      if (n < 0) return fail(sys_error(errno, "read", x.job.save_file));
      x.digest->add({chunk.data(), static_cast<size_t>(n)}), x.held += n;
    }
  }
  if (!x.job.send_file.empty()) {
    x.send = Fd(::open(x.job.send_file.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info;
    if (!x.send || ::fstat(x.send.get(), &info) != 0) return fail(sys_error(errno, "open", x.job.send_file));
    x.send_size = info.st_size;
  }
  return {};
}

void set_up(Exchange& x, curl_slist*& list) {
  const auto set = [&](CURLoption option, auto value) { x.curl.easy_setopt(x.easy, option, value); };
  const FetchJob& j = x.job;
  set(CURLOPT_URL, j.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https"),
      set(CURLOPT_REDIR_PROTOCOLS_STR, j.url.starts_with("https") ? "https" : "http,https");
  set(CURLOPT_USERAGENT, "panal/" PANAL_VERSION), set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds), set(CURLOPT_LOW_SPEED_LIMIT, 1L),
      set(CURLOPT_LOW_SPEED_TIME, kStillSeconds);
  set(CURLOPT_FOLLOWLOCATION, j.method == "GET" || j.method == "HEAD" ? 1L : 0L),
      set(CURLOPT_MAXREDIRS, kMaxRedirects);
  set(CURLOPT_WRITEFUNCTION, on_body), set(CURLOPT_WRITEDATA, &x), set(CURLOPT_HEADERFUNCTION, on_header),
      set(CURLOPT_HEADERDATA, &x);
  set(CURLOPT_NOPROGRESS, 0L), set(CURLOPT_XFERINFOFUNCTION, on_progress), set(CURLOPT_XFERINFODATA, &x);
  const char* env = std::getenv("no_proxy");
  if (!env) env = std::getenv("NO_PROXY");
  set(CURLOPT_NOPROXY,
      (std::string("localhost,127.0.0.0/8,::1") + (env ? std::string(",") + env : "")).c_str());
  // libcurl reads http_proxy in small letters only, as a CGI program should; a daemon is none.
  if (const char* proxy = std::getenv("HTTP_PROXY");
      proxy && !std::getenv("http_proxy") && !std::getenv("all_proxy") && j.url.starts_with("http:"))
    set(CURLOPT_PROXY, proxy);
  if (x.held > 0) set(CURLOPT_RANGE, (std::to_string(x.held) + "-").c_str());
  if (j.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (x.send) {
    set(CURLOPT_UPLOAD, 1L), set(CURLOPT_READFUNCTION, on_send), set(CURLOPT_READDATA, &x),
        set(CURLOPT_SEEKFUNCTION, on_seek), set(CURLOPT_SEEKDATA, &x);
    set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(x.send_size)),
        set(CURLOPT_CUSTOMREQUEST, j.method.c_str());
  } else if (j.method != "GET") {
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(j.body.size())),
        set(CURLOPT_POSTFIELDS, j.body.c_str()), set(CURLOPT_CUSTOMREQUEST, j.method.c_str());
  }
  const auto header = [&](const std::string& line) { list = x.curl.slist_append(list, line.c_str()); };
  for (const auto& [name, value] : j.headers) header(name + ": " + value);
  header("Expect:");
  if (!x.send && j.method != "GET" && !j.headers.contains("Content-Type")) header("Content-Type:");
  set(CURLOPT_HTTPHEADER, list);
}

}  // namespace

Result<> fetch() {
  Exchange x;
  TRY(const std::string text, read_all(0, kMaxJob));
  TRY(x.job, from_text<FetchJob>(text));
  for (const auto& [name, value] : x.job.headers)
    if ((name + value).find_first_of("\r\n") != std::string::npos)
      return fail(Code::kInvalid, "invalid header " + name);
  TRYV(open_files(x));
  TRYV(x.curl.load());
  Certificates certificates;
  std::string authorities;
  if (x.job.url.starts_with("https:")) {
    TRY(certificates, read_certificates(x.job.certs_dir));
    authorities = read_file("/etc/ssl/certs/ca-certificates.crt", kMaxCertificates).value_or("") + "\n" +
                  certificates.authorities;
  }
  TRYV(lock_in_online(x.job.dir));
  char detail[CURL_ERROR_SIZE] = "";
  curl_slist* list = nullptr;
  x.easy = x.curl.easy_init();
  if (!x.easy) return fail(Code::kInternal, "libcurl has no handle");
  set_up(x, list);
  set_tls(x, certificates, authorities);
  x.curl.easy_setopt(x.easy, CURLOPT_ERRORBUFFER, detail);
  const CURLcode code = x.curl.easy_perform(x.easy);
  if (code != CURLE_OK)
    describe(x, code, detail);
  else if (!x.begun)
    (void)x.begin_body();  // an empty one
  if (!x.failure.empty()) {
    x.answer.error = x.failure, x.answer.kind = x.failure_kind;
  } else {
    x.answer.status = static_cast<int>(x.status()), x.answer.size = x.size;
    if (x.save) x.answer.digest = x.digest->text();
  }
  x.answer.last = true;
  std::puts(to_text(x.answer).c_str());
  x.curl.slist_free_all(list), x.curl.easy_cleanup(x.easy);
  return {};
}

}  // namespace panal
