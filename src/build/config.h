// What the instructions do to an image's config: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, MAINTAINER, ONBUILD, SHELL,
// STOPSIGNAL, USER, VOLUME, WORKDIR. Source: the Dockerfile reference.
#pragma once
#include "build/dockerfile.h"
#include "build/expand.h"
#include "model/container.h"

namespace panal {

struct ImageDraft {
  ContainerConfig config;
  std::string author;
  bool command_set = false;  // CMD was given in this stage: ENTRYPOINT leaves it
};

/// Applies an instruction that changes the config only; `variables` expand its words.
Result<> apply_instruction(ImageDraft& draft, const Instruction& instruction, char escape, const Variables& variables);
/// `docker commit --change`, `docker import --change`: instructions one by one.
Result<> apply_changes(ImageDraft& draft, const std::vector<std::string>& changes);
bool changes_config_only(Word word);
/// "PATH=..." entries: the one of this name is replaced in its place, or a new one added.
void set_env(std::vector<std::string>& env, const std::string& name, const std::string& value);
/// What runs the shell form: the config's SHELL, or /bin/sh -c.
std::vector<std::string> shell_of(const ContainerConfig& config);
/// "/app" and "b/../c" -> "/app/c".
std::string join_path(const std::string& base, const std::string& path);

}  // namespace panal
