// docker push: an image's layers, configuration and manifest to a registry, byte for byte as they stand in
// the content store, so that the digest there is the one the cluster knows. Layers the registry has are not
// sent; one it has elsewhere is mounted from there.
#pragma once
#include "image/progress.h"
#include "node/images/pull.h"

namespace panal {

class ImagePush {
 public:
  ImagePush(Loop& loop, RegistryClient& client, Images& images, Layers& layers, Events& events)
      : loop_(loop), client_(client), images_(images), layers_(layers), events_(events), slots_([&client] {
          return client.options().max_concurrent_uploads;
        }) {}

  /// `ref` with a tag: that one; without: every tag of the repository.
  Task<Result<>> push(ImageRef ref, RegistryAuth auth, std::shared_ptr<Halt> halt, Report report);

 private:
  struct Job;
  Task<Result<>> push_tag(RegistrySession& session, Job& job);
  Task<void> push_layer(RegistrySession& session, Job& job, size_t at);
  Task<Result<>> send_layer(RegistrySession& session, Job& job, size_t at);
  Task<Result<>> upload(RegistrySession& session, std::string digest, std::string location,
                        std::function<void(int64_t)> progress);
  Task<Result<>> send_config(RegistrySession& session, Job& job);
  std::string mount_source(const ImageRef& ref, const std::string& digest) const;

  Loop& loop_;
  RegistryClient& client_;
  Images& images_;
  Layers& layers_;
  Events& events_;
  Slots slots_;
};

}  // namespace panal
