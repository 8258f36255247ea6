#include "sys/http/parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include "base/text.h"

namespace panal {
namespace http = boost::beast::http;

struct Sink {
  HttpHead head;
  const std::function<void(std::string_view)>* on_body = nullptr;
  void body(boost::beast::string_view data) {
    if (on_body) (*on_body)(std::string_view(data.data(), data.size()));
  }
};

template <bool kIsRequest>
class BeastParser final : public http::basic_parser<kIsRequest> {
 public:
  explicit BeastParser(Sink& sink) : sink_(sink) {
    this->header_limit(64 * 1024);
    this->body_limit(boost::none);
    this->eager(true);
  }

 private:
  using error_code = boost::system::error_code;
  using view = boost::beast::string_view;

  void on_request_impl(http::verb, view method, view target, int, error_code&) override {
    sink_.head.method = std::string(method);
    sink_.head.target = std::string(target);
  }
  void on_response_impl(int code, view reason, int, error_code&) override {
    sink_.head.status = code;
    sink_.head.reason = std::string(reason);
  }
  void on_field_impl(http::field, view name, view value, error_code& error) override {
    if (sink_.head.fields.size() >= 256) error = http::error::header_limit;
    sink_.head.fields.emplace_back(lower(std::string_view(name.data(), name.size())), std::string(value));
  }
  void on_header_impl(error_code&) override {
    sink_.head.keep_alive = this->keep_alive();
    sink_.head.upgrade = this->upgrade();
    sink_.head.chunked = this->chunked();
    sink_.head.has_body = this->chunked() || (this->content_length() && *this->content_length() > 0);
  }
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code&) override {}
  std::size_t on_body_impl(view body, error_code&) override {
    sink_.body(body);
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t, view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, view body, error_code&) override {
    sink_.body(body);
    return body.size();
  }
  void on_finish_impl(error_code&) override {}

  Sink& sink_;
};

struct HttpParser::State {
  Sink sink;
  std::unique_ptr<BeastParser<true>> request;
  std::unique_ptr<BeastParser<false>> response;
  bool starved = false;  // what is there was not enough to go on with
};

HttpParser::HttpParser(Kind kind) : state_(std::make_unique<State>()) {
  if (kind == Kind::kRequest)
    state_->request = std::make_unique<BeastParser<true>>(state_->sink);
  else
    state_->response = std::make_unique<BeastParser<false>>(state_->sink);
}
HttpParser::~HttpParser() = default;

// Beast, once it has seen the last chunk's "0\r\n", must not be asked again before all of "0\r\n\r\n" can be
// there.
static bool begun_last_chunk(std::string_view data) { return data.size() < 5 && data.starts_with('0'); }

template <class P>
static Result<size_t> feed_parser(P& parser, std::string_view data, bool& starved) {
  size_t taken = 0;
  while (taken < data.size() && !parser.is_done()) {
    if (starved && parser.is_header_done() && begun_last_chunk(data.substr(taken))) break;
    boost::system::error_code error;
    const size_t n = parser.put(boost::asio::const_buffer(data.data() + taken, data.size() - taken), error);
    taken += n;
    starved = error == http::error::need_more;
    if (starved) break;
    if (error) return fail(Code::kInvalid, "malformed HTTP message: " + error.message());
    if (n == 0) break;
  }
  return taken;
}

Result<size_t> HttpParser::feed(std::string_view data, const std::function<void(std::string_view)>& on_body) {
  state_->sink.on_body = &on_body;
  auto result = state_->request ? feed_parser(*state_->request, data, state_->starved)
                                : feed_parser(*state_->response, data, state_->starved);
  state_->sink.on_body = nullptr;
  return result;
}

Result<> HttpParser::finish() {
  boost::system::error_code error;
  const bool begun = state_->request ? state_->request->got_some() : state_->response->got_some();
  if (!begun) return fail(Code::kInvalid, "incomplete HTTP message");
  if (state_->request)
    state_->request->put_eof(error);
  else
    state_->response->put_eof(error);
  if (error) return fail(Code::kInvalid, "incomplete HTTP message");
  return {};
}

bool HttpParser::header_done() const {
  return state_->request ? state_->request->is_header_done() : state_->response->is_header_done();
}
bool HttpParser::done() const {
  return state_->request ? state_->request->is_done() : state_->response->is_done();
}
HttpHead& HttpParser::head() { return state_->sink.head; }

}  // namespace panal
