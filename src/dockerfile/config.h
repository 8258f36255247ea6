// What the instructions do to an image's config: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL,
// MAINTAINER, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME, WORKDIR. Source: the Dockerfile reference.
#pragma once
#include "dockerfile/expand.h"
#include "dockerfile/parse.h"
#include "model/container.h"

namespace panal {

struct ImageDraft {
  ContainerConfig config;
  std::string author;
  bool command_set = false;  // CMD was given in this stage: ENTRYPOINT leaves it
};

/// Applies an instruction that changes the config only; `variables` expand its words.
Result<> apply_instruction(ImageDraft& draft, const Instruction& instruction, char escape,
                           const Variables& variables);
/// `docker commit --change`, `docker import --change`: instructions one by one.
Result<> apply_changes(ImageDraft& draft, const std::vector<std::string>& changes);

}  // namespace panal
