// The image-processing system: a Redis queue, workers on libvips, a sender that collects and checks, a
// monitor. One program, a role each.
//
//   image-pipeline worker                                takes tasks until it is told to end
//   image-pipeline send FOLDER OUT [--count N]           queues every photograph with every filter, waits,
//   checks, writes results to OUT image-pipeline monitor [--once]                      queue and workers
//   REDIS=host:port says where Redis is (default redis:6379).
//
// Hand-over is reliable: a task moves from `tasks` to the worker's own list in one step (LMOVE) and leaves
// that only together with its result; what stands in the list of a worker without a heartbeat goes back to
// the queue. A result is written once per task id, so doing a task twice changes nothing.
#include <hiredis/hiredis.h>
#include <signal.h>
#include <unistd.h>
#include <vips/vips.h>

#include <algorithm>
#include <chrono>
#include <cstdarg>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
volatile sig_atomic_t stop_asked = 0;

const std::map<std::string, double> kFilters = {
    {"blur", 0}, {"brightness", 0}, {"grayscale", 0}, {"resize", 0.5}, {"thumbnail", 128}};
constexpr int kThumbnail = 128;

using Reply = std::unique_ptr<redisReply, decltype(&freeReplyObject)>;

class Redis {
 public:
  Redis() {
    const char* env = std::getenv("REDIS");
    const std::string text = env ? env : "redis:6379";
    host_ = text.substr(0, text.rfind(':'));
    port_ = text.find(':') == std::string::npos ? 6379 : std::atoi(text.substr(text.rfind(':') + 1).c_str());
  }
  ~Redis() {
    if (context_) redisFree(context_);
  }
  /// Sends one command; connects again, for a minute, when the connection is lost.
  Reply command(const std::vector<std::string>& words) {
    std::vector<const char*> argv;
    std::vector<size_t> sizes;
    for (const auto& w : words) argv.push_back(w.data()), sizes.push_back(w.size());
    const auto deadline = Clock::now() + 60s;
    for (;;) {
      if (connect()) {
        if (void* reply =
                redisCommandArgv(context_, static_cast<int>(argv.size()), argv.data(), sizes.data()))
          return {static_cast<redisReply*>(reply), freeReplyObject};
        redisFree(context_);
        context_ = nullptr;
      }
      if (stop_asked || Clock::now() > deadline) {
        std::fprintf(stderr, "redis at %s:%d cannot be reached\n", host_.c_str(), port_);
        std::exit(1);
      }
      std::this_thread::sleep_for(200ms);
    }
  }
  std::string text(const std::vector<std::string>& words) {
    const Reply r = command(words);
    return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS ? std::string(r->str, r->len) : "";
  }
  long long number(const std::vector<std::string>& words) { return command(words)->integer; }
  std::vector<std::string> list(const std::vector<std::string>& words) {
    const Reply r = command(words);
    std::vector<std::string> out;
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; ++i)
      out.emplace_back(r->element[i]->str ? std::string(r->element[i]->str, r->element[i]->len) : "");
    return out;
  }

 private:
  bool connect() {
    if (context_) return true;
    const timeval patience{2, 0}, answer{10, 0};
    context_ = redisConnectWithTimeout(host_.c_str(), port_, patience);
    if (context_ && !context_->err) {
      redisSetTimeout(context_, answer);
      return true;
    }
    if (context_) redisFree(context_);
    context_ = nullptr;
    return false;
  }
  std::string host_;
  int port_ = 6379;
  redisContext* context_ = nullptr;
};

struct Image {
  VipsImage* p = nullptr;
  Image() = default;
  Image(const Image&) = delete;
  ~Image() {
    if (p) g_object_unref(p);
  }
};

// The picture after `filter`, as JPEG; empty on failure, with the reason in vips' error buffer.
std::string apply_filter(const std::string& filter, const std::string& bytes) {
  Image in, out;
  if (filter == "thumbnail") {
    if (vips_thumbnail_buffer(const_cast<char*>(bytes.data()), bytes.size(), &out.p, kThumbnail, nullptr))
      return {};
  } else {
    in.p = vips_image_new_from_buffer(bytes.data(), bytes.size(), "", nullptr);
    if (!in.p) return {};
    int failed = 1;
    if (filter == "blur")
      failed = vips_gaussblur(in.p, &out.p, 4.0, nullptr);
    else if (filter == "brightness")
      failed = vips_linear1(in.p, &out.p, 1.25, 10.0, "uchar", TRUE, nullptr);
    else if (filter == "grayscale")
      failed = vips_colourspace(in.p, &out.p, VIPS_INTERPRETATION_B_W, nullptr);
    else if (filter == "resize")
      failed = vips_resize(in.p, &out.p, 0.5, nullptr);
    else
      vips_error("pipeline", "unknown filter %s", filter.c_str());
    if (failed) return {};
  }
  void* data = nullptr;
  size_t size = 0;
  if (vips_jpegsave_buffer(out.p, &data, &size, "Q", 85, nullptr)) return {};
  std::string jpeg(static_cast<char*>(data), size);
  g_free(data);
  return jpeg;
}

struct Size {
  int width = 0, height = 0, bands = 0;
  bool jpeg = false;
};
Size size_of(const std::string& bytes) {
  Image image;
  image.p = vips_image_new_from_buffer(bytes.data(), bytes.size(), "", nullptr);
  if (!image.p) return {};
  const char* loader = nullptr;
  vips_image_get_string(image.p, "vips-loader", &loader);
  return {vips_image_get_width(image.p), vips_image_get_height(image.p), vips_image_get_bands(image.p),
          loader && std::strstr(loader, "jpegload")};
}

std::string host_name() {
  char name[256] = "worker";
  gethostname(name, sizeof name - 1);
  return name;
}

// Tasks in the lists of workers without a sign of life go back to the queue.
void rescue(Redis& redis) {
  for (const auto& worker : redis.list({"SMEMBERS", "workers"})) {
    if (redis.number({"EXISTS", "alive:" + worker}) != 0) continue;
    while (!redis.text({"LMOVE", "doing:" + worker, "tasks", "RIGHT", "LEFT"}).empty())
      redis.number({"INCR", "rescued"});
    redis.command({"SREM", "workers", worker});
  }
}

// A task is "<id> <filter> <picture>"; its pixels stand under "picture:<picture>".
bool do_one(Redis& redis, const std::string& self, const std::string& node, const std::string& task) {
  std::istringstream words(task);
  std::string id, filter, picture;
  words >> id >> filter >> picture;
  const std::string bytes = redis.text({"GET", "picture:" + picture});
  const std::string result = apply_filter(filter, bytes);
  if (result.empty()) {
    const std::string why = vips_error_buffer();
    vips_error_clear();
    std::printf("{\"task\":\"%s\",\"filter\":\"%s\",\"error\":true}\n", id.c_str(), filter.c_str());
    redis.command({"HSET", "failed", id, why});
  } else if (redis.number({"HSETNX", "who", id, self + "@" + node}) == 1) {
    redis.command({"SET", "result:" + id, result});
    redis.command({"LPUSH", "done", id});
  } else if (redis.number({"EXISTS", "result:" + id}) ==
             0) {  // its first worker died between claim and result
    redis.command({"HSET", "who", id, self + "@" + node});
    redis.command({"SET", "result:" + id, result});
    redis.command({"LPUSH", "done", id});
  }
  redis.command({"LREM", "doing:" + self, "1", task});
  redis.number({"HINCRBY", "count", self + "@" + node, "1"});
  return !result.empty();
}

int work() {
  Redis redis;
  const std::string self = host_name(), node = std::getenv("NODE") ? std::getenv("NODE") : "?";
  const int pause_ms = std::getenv("PAUSE_MS") ? std::atoi(std::getenv("PAUSE_MS")) : 0;
  std::printf("{\"worker\":\"%s\",\"node\":\"%s\",\"state\":\"up\"}\n", self.c_str(), node.c_str());
  std::fflush(stdout);
  auto next_rescue = Clock::now();
  while (!stop_asked) {
    redis.command({"SET", "alive:" + self, node, "EX", "4"});
    redis.command({"SADD", "workers", self});
    if (Clock::now() >= next_rescue) {
      rescue(redis);
      next_rescue = Clock::now() + 2s;
    }
    const std::string task = redis.text({"BLMOVE", "tasks", "doing:" + self, "RIGHT", "LEFT", "1"});
    if (task.empty()) continue;
    do_one(redis, self, node, task);
    if (pause_ms) std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
  }
  redis.command({"DEL", "alive:" + self});
  return 0;
}

int monitor(bool once) {
  Redis redis;
  for (;;) {
    std::printf("%squeue %lld  done %lld  rescued %s\n", once ? "" : "\033[H\033[2J",
                redis.number({"LLEN", "tasks"}), redis.number({"LLEN", "done"}),
                redis.text({"GET", "rescued"}).c_str());
    for (const auto& w : redis.list({"SMEMBERS", "workers"})) {
      const std::string node = redis.text({"GET", "alive:" + w});
      std::printf("  %-14s %-8s %-6s doing %lld  done %s\n", w.c_str(), node.empty() ? "-" : node.c_str(),
                  node.empty() ? "silent" : "alive", redis.number({"LLEN", "doing:" + w}),
                  redis.text({"HGET", "count", w + "@" + node}).c_str());
    }
    if (once || stop_asked) return 0;
    std::this_thread::sleep_for(500ms);
  }
}

// What a result must look like, from the picture it was made of.
std::string fault(const std::string& filter, const Size& before, const Size& after) {
  if (!after.jpeg) return "not a JPEG";
  int width = before.width, height = before.height;
  if (filter == "resize") width = (width + 1) / 2, height = (height + 1) / 2;
  if (filter == "thumbnail")
    return after.width <= kThumbnail && after.height <= kThumbnail &&
                   std::max(after.width, after.height) == kThumbnail
               ? ""
               : "wrong size";
  if (std::abs(after.width - width) > 1 || std::abs(after.height - height) > 1) return "wrong size";
  if (filter == "grayscale" && after.bands != 1) return "not gray";
  return "";
}

int send(const std::string& folder, const std::string& out, int count) {
  Redis redis;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string ending = entry.path().extension();
    if (entry.is_regular_file() && (ending == ".jpg" || ending == ".jpeg" || ending == ".png") &&
        entry.file_size() < (32u << 20))
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  if (count > 0 && files.size() > static_cast<size_t>(count)) files.resize(static_cast<size_t>(count));
  if (files.empty()) return std::fprintf(stderr, "no photographs in %s\n", folder.c_str()), 1;
  std::filesystem::create_directories(out);
  redis.command({"FLUSHALL"});
  std::map<std::string, std::pair<std::string, Size>> wanted;  // task id -> filter, original
  std::vector<std::string> tasks;
  for (size_t i = 0; i < files.size(); ++i) {
    std::ifstream in(files[i], std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    redis.command({"SET", "picture:" + std::to_string(i), bytes});
    const Size size = size_of(bytes);
    for (const auto& [filter, unused] : kFilters) {
      const std::string id = files[i].stem().string() + "-" + std::to_string(i) + "-" + filter;
      wanted[id] = {filter, size};
      tasks.push_back(id + " " + filter + " " + std::to_string(i));
    }
  }
  std::printf("%zu photographs, %zu tasks\n", files.size(), tasks.size());
  std::fflush(stdout);
  const auto begin = Clock::now();
  for (const auto& t : tasks) redis.command({"LPUSH", "tasks", t});
  const auto deadline = begin + 180s;
  long long done = 0, shown = -1;
  while ((done = redis.number({"LLEN", "done"}) + redis.number({"HLEN", "failed"})) <
             static_cast<long long>(tasks.size()) &&
         Clock::now() < deadline && !stop_asked) {
    if (done * 10 / static_cast<long long>(tasks.size()) != shown) {
      shown = done * 10 / static_cast<long long>(tasks.size());
      std::printf("  %lld of %zu\n", done, tasks.size());
      std::fflush(stdout);
    }
    std::this_thread::sleep_for(50ms);
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  size_t good = 0;
  std::map<std::string, int> by_worker, by_node;
  for (const auto& [id, about] : wanted) {
    const std::string result = redis.text({"GET", "result:" + id});
    const std::string wrong = result.empty() ? "missing" : fault(about.first, about.second, size_of(result));
    if (!wrong.empty()) {
      std::printf("  WRONG %s: %s %s\n", id.c_str(), wrong.c_str(),
                  redis.text({"HGET", "failed", id}).c_str());
      continue;
    }
    ++good;
    std::ofstream(out + "/" + id + ".jpg", std::ios::binary) << result;
    const std::string who = redis.text({"HGET", "who", id});
    ++by_worker[who], ++by_node[who.substr(who.find('@') + 1)];
  }
  for (const auto& [who, n] : by_worker) std::printf("  %-28s %4d tasks\n", who.c_str(), n);
  std::printf(
      "%zu of %zu results right (size and format checked), %zu nodes took part, %s tasks rescued from dead "
      "workers, %.2f s\n",
      good, wanted.size(), by_node.size(),
      redis.text({"GET", "rescued"}).empty() ? "0" : redis.text({"GET", "rescued"}).c_str(), seconds);
  return good == wanted.size() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGTERM, [](int) { stop_asked = 1; });
  signal(SIGINT, [](int) { stop_asked = 1; });
  if (VIPS_INIT(argv[0])) return std::fprintf(stderr, "libvips: %s\n", vips_error_buffer()), 1;
  vips_concurrency_set(1);
  const std::string role = argc > 1 ? argv[1] : "";
  if (role == "worker") return work();
  if (role == "monitor") return monitor(argc > 2 && std::string(argv[2]) == "--once");
  if (role == "send" && argc >= 4)
    return send(argv[2], argv[3], argc > 5 && std::string(argv[4]) == "--count" ? std::atoi(argv[5]) : 0);
  std::fprintf(stderr, "usage: image-pipeline worker | send FOLDER OUT [--count N] | monitor [--once]\n");
  return 2;
}
