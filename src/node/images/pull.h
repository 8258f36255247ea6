// docker pull: images from registries. Layers come up to three at a time over all pulls, are verified, and
// are unpacked in order while others still come. An image appears only when it is whole; what a pull that
// failed has fetched goes, unless something else uses it.
#pragma once
#include "image/progress.h"
#include "node/images/images.h"
#include "node/images/registry_client.h"

namespace panal {

/// At most `limit` at once, which may change; those who come later wait in order of coming.
class Slots {
 public:
  explicit Slots(std::function<int()> limit) : limit_(std::move(limit)) {}
  bool free() const { return used_ < limit_(); }
  Task<void> take(Loop& loop) {
    while (!free()) (void)co_await changed_.wait(loop);
    ++used_;
  }
  void give(Loop& loop) {
    --used_;
    changed_.notify(loop);
  }

 private:
  std::function<int()> limit_;
  int used_ = 0;
  Event changed_;
};

struct PullOptions {
  ImagePlatform platform = host_platform();
  bool platform_asked = false;
  RegistryAuth auth;
  std::shared_ptr<Halt> halt = std::make_shared<Halt>();
};

/// What a registry has under a name: /distribution.
struct Described {
  std::string digest, media_type;
  size_t size_bytes = 0;
  std::vector<ImagePlatform> platforms;
};

class ImagePull {
 public:
  ImagePull(Loop& loop, RegistryClient& client, Images& images, Layers& layers, Events& events)
      : loop_(loop), client_(client), images_(images), layers_(layers), events_(events), slots_([&client] {
          return client.options().max_concurrent_downloads;
        }) {}

  /// The image's id.
  Task<Result<std::string>> pull(ImageRef ref, PullOptions options, Report report);
  /// pull -a: every tag of the repository.
  Task<Result<>> pull_all(ImageRef ref, PullOptions options, Report report);
  /// For a task of the cluster: nobody watches. `auth`: an X-Registry-Auth header.
  Task<Result<std::string>> pull_for_task(std::string reference, std::string auth,
                                          std::shared_ptr<Halt> halt);
  Task<Result<Described>> describe(ImageRef ref, RegistryAuth auth, std::shared_ptr<Halt> halt);

 private:
  struct Job;
  Task<Result<>> fetch(RegistrySession& session, Job& job);
  Task<Result<>> fetch_layers(RegistrySession& session, Job& job);
  Task<void> fetch_layer(RegistrySession& session, Job& job, size_t at);
  Task<Result<>> download(RegistrySession& session, Job& job, size_t at);
  Task<Result<>> transfer(RegistrySession& session, Job& job, size_t at, std::string file);
  Task<void> unpack(Job& job);
  Task<Result<>> choose(RegistrySession& session, Job& job);

  Loop& loop_;
  RegistryClient& client_;
  Images& images_;
  Layers& layers_;
  Events& events_;
  Slots slots_;
  std::map<std::string, std::shared_ptr<Event>> fetching_;  // digests under way, whoever wants them
};

}  // namespace panal
