// One stage of a build: its base, then step by step.
#pragma once
#include "build/builder.h"
#include "dockerfile/config.h"

namespace panal {

bool is_proxy_arg(const std::string& name);
/// As Docker's history writes lists: ["a" "b"].
std::string history_list(const std::vector<std::string>& words);
/// An instruction as history keeps it and the cache compares it: variables expanded where they take effect.
Result<std::string> history_text(const Instruction& in, const ImageDraft& draft, char escape,
                                 const Variables& variables);

class StageRun {
 public:
  StageRun(Build& build, Transcript& transcript, size_t at)
      : build_(build), parts_(build.parts_), transcript_(transcript), at_(at) {}
  Task<Result<>> run();
  const std::string& image_id() const { return image_id_; }
  int exit_code() const { return exit_code_; }
  std::vector<std::unique_ptr<Images::Pin>> take_pins() { return std::move(pins_); }

 private:
  using Pack = std::function<Task<Result<>>(Sink)>;
  struct RunMounts;
  Task<Result<>> from();
  Task<Result<>> triggers();
  Task<Result<>> step(const Instruction& in);
  Task<Result<>> dispatch(const Instruction& in);
  Result<> take_arguments(const Instruction& in);
  Task<Result<>> run_command(const Instruction& in);
  Task<Result<int>> run_container(const std::string& created_by, const std::string& key,
                                  ContainerConfig config, HostConfig host);
  Task<Result<>> prepare_mounts(const Instruction& in, RunMounts& mounts);
  Task<Result<>> prepare_bind(const RunMount& wish, RunMounts& mounts);
  Task<Result<>> prepare_cache(const RunMount& wish, RunMounts& mounts);
  Task<void> end_mounts(RunMounts& mounts);
  Task<Result<>> copy(const Instruction& in);
  /// `image`: what --from names, mounted when it must be read; `identity`: of the source, "" when its content
  /// may change.
  Task<Result<>> copy_with(const Instruction& in, CopyWish& wish, std::string image, std::string identity);
  Task<Result<CopyDigest>> digest_of(CopyWish& wish, const std::string& image, const std::string& identity);
  Task<Result<>> mount_source(CopyWish& wish, const std::string& image);
  Task<Result<std::string>> source_of(const std::string& from);  // --from: an image's id
  Result<CopyWish> copy_wish(const Instruction& in);
  Task<Result<>> download(const Instruction& in, const std::string& url, CopyWish& wish);
  Task<Result<>> work_dir();
  /// The step's image: one that was made before, or a new one. `pack` null: nothing but the configuration
  /// changes.
  Task<Result<bool>> cached(const std::string& created_by, const std::string& key);
  Task<Result<bool>> cached_elsewhere(const std::string& created_by, const std::string& key);
  Task<Result<>> commit(std::string created_by, std::string key, Pack pack);
  void take_image(const std::string& id);
  std::optional<std::string> variable(const std::string& name) const;
  Variables variables() const {
    return [this](const std::string& name) { return variable(name); };
  }
  std::string nop(const std::string& text) const;  // how history shows what no program did
  Task<void> say(std::string text) { return transcript_.say(at_, std::move(text)); }
  Report report() {
    return [this](ProgressLine line) { transcript_.report(at_, line); };
  }
  const Stage& stage() const { return build_.file_.stages[at_]; }
  const StagePlan& plan() const { return build_.plan_.stages[at_]; }
  WallTime now() const {
    return build_.epoch_ ? WallTime(std::chrono::seconds(*build_.epoch_)) : parts_.loop.wall_now();
  }

  Build& build_;
  BuildParts& parts_;
  Transcript& transcript_;
  size_t at_;
  std::string image_id_;  // "": nothing yet
  ImagePlatform platform_ = host_platform();
  ImageDraft draft_;
  std::map<std::string, std::optional<std::string>> args_;  // ARG of this stage
  std::vector<std::unique_ptr<Images::Pin>> pins_;
  int exit_code_ = 0;
};

}  // namespace panal
