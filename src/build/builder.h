// docker build, the classic way: each step makes an image of the one before, and a step whose key was met
// before is not done again.
//
// A build's folder (<data>/builds/<id>) holds its context, what it downloads and its mounts; it goes with the
// build, also after a daemon's death. Steps are images with `build_key` (node/images/builds.cc): they are the
// cache. Stages that the target does not need are left out; the others run side by side as far as they do not
// need each other.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "build/cache_mounts.h"
#include "build/transcript.h"
#include "dockerfile/plan.h"
#include "node/containers/containers.h"
#include "node/images/pull.h"
#include "ports/repositories.h"

namespace panal {

struct BuildRequest {
  std::string dockerfile = "Dockerfile", remote, target;
  std::vector<std::string> tags, cache_from;
  std::map<std::string, std::optional<std::string>> args;  // --build-arg; nothing: named without a value
  std::map<std::string, std::string> labels;
  bool no_cache = false, pull = false, quiet = false, keep_containers = false;
  std::optional<ImagePlatform> platform;
  std::string network = "default";
  HostConfig host;                            // limits and options of RUN's containers
  std::map<std::string, RegistryAuth> auths;  // by registry, as X-Registry-Config has them
};

struct BuildParts {
  Loop& loop;
  Entropy& entropy;
  Containers& containers;
  Images& images;
  ImagePull& pull;
  Layers& layers;
  Files& files;
  HttpClient& http;
  Repositories& repositories;
  std::string dir;
};

/// The context: a folder of files from a client, an address or a repository.
struct BuildContext {
  std::string root;
  std::vector<std::string> ignore;  // lines of .dockerignore
  std::string identity;             // the digest of what the client sent; "": it came from elsewhere
};

/// Digests of copies from sources that are known by their identity (an image's id, a context's digest): they
/// need not be read again.
class CopyMemo {
 public:
  const CopyDigest* find(const std::string& key) const;
  void keep(std::string key, CopyDigest digest);

 private:
  std::map<std::string, CopyDigest> known_;
  std::deque<std::string> order_;  // the oldest goes first
};

/// What a repository's address looks like.
bool is_repository(const std::string& remote);

/// One build. open(), run(), close(), each once; halt() at any time.
class Build {
 public:
  Build(BuildParts& parts, CacheMounts& caches, CopyMemo& memo, BuildRequest request);
  /// Takes the context and reads the Dockerfile; nothing is built before all of it is understood.
  Task<Result<>> open(Source body);
  size_t stages() const { return file_.stages.size(); }
  /// The image's id. What is said goes to the transcript; the caller takes it from there meanwhile.
  Task<Result<std::string>> run(Transcript& transcript);
  Task<void> close();
  void halt() { halt_->halt(); }
  /// Of the RUN that failed; 0: something else did.
  int exit_code() const { return exit_code_; }
  const std::vector<std::string>& tags() const { return request_.tags; }
  /// --build-arg that no ARG took.
  std::vector<std::string> unused_args() const;

 private:
  friend class StageRun;
  struct StageResult {
    bool ended = false;
    std::string image_id;
    std::vector<std::unique_ptr<Images::Pin>> pins;
  };
  Task<Result<>> take_context(Source body);
  Task<Result<>> take_remote();
  Task<Result<>> unpack(Source tar);
  /// The folder of a repository's files; `remote` may end in "#ref:folder".
  Task<Result<std::string>> check_out(std::string remote, bool keep_git_dir, std::string commit = {});
  Result<> read_dockerfile();
  Result<> take_globals();
  std::optional<std::string> global(const std::string& name) const;
  Task<void> run_stage(size_t at, Transcript& transcript);
  /// An image by name, from a registry when it is not here or `pull` is asked for.
  Task<Result<std::string>> image_named(std::string name, std::optional<ImagePlatform> platform,
                                        Report report);
  /// The folder; its "merged" is the root.
  Task<Result<std::string>> mount_image(std::string id, Layers::Ids ids = Layers::Ids::kAsStored);
  std::string new_path(const std::string& kind) { return dir_ + "/" + kind + std::to_string(++paths_made_); }
  bool halted() const { return halt_->halted(); }
  std::string file_name() const;  // of the Dockerfile, as errors have it

  BuildParts& parts_;
  CacheMounts& caches_;
  CopyMemo& memo_;
  BuildRequest request_;
  std::string dir_;
  BuildContext context_;
  Dockerfile file_;
  BuildPlan plan_;
  std::map<std::string, std::string> globals_;  // ARG before FROM, and the platforms
  std::set<std::string> declared_;              // names that some ARG has
  std::set<std::string> pulling_, pulled_;      // images under way, and those that this build has brought
  Event pull_ended_;
  std::vector<StageResult> results_;
  Event stage_ended_;
  std::shared_ptr<Halt> halt_ = std::make_shared<Halt>();
  std::optional<Error> failure_;
  std::optional<int64_t> epoch_;  // SOURCE_DATE_EPOCH
  int exit_code_ = 0;
  int paths_made_ = 0;
};

class Builder {
 public:
  explicit Builder(BuildParts parts)
      : parts_(std::move(parts)), caches_(parts_.loop, parts_.dir + "/cache") {}
  /// What builds of a daemon that was killed have left: looked for at once, removed beside what comes then.
  Task<void> collect();
  std::unique_ptr<Build> start(BuildRequest request) {
    return std::make_unique<Build>(parts_, caches_, memo_, std::move(request));
  }
  CacheMounts& caches() { return caches_; }

 private:
  BuildParts parts_;
  CacheMounts caches_;
  CopyMemo memo_;
};

}  // namespace panal
