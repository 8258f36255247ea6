// What a container may ask for, as Docker checks it.
#pragma once
#include "engine/resources.h"
#include "model/container.h"
#include "model/id_map.h"
#include "model/image.h"

namespace panal {

Result<> check_restart_policy(const RestartPolicy& policy);
/// What a user asks of one network; Docker's texts.
Result<> check_endpoint(Endpoint& endpoint);
/// What the predefined networks cannot give.
Result<> check_endpoint_on(const Network& network, const Endpoint& endpoint);
/// Whether what is mounted later can pass to or from a bind mount as it wants.
Result<> check_propagation(const MountPoint& mount);
/// Checks what a user asks of a new container; Docker's texts.
Result<> validate(const ContainerConfig& config, const HostConfig& host, const HostLimits& machine);
/// What cannot be where containers' users are mapped (userns-remap); Docker's texts.
Result<> check_mapped_users(const HostConfig& host, const IdMap& ids);
/// Fills in what the image gives: command, environment, user, working directory...
Result<> merge_image(ContainerConfig& config, const Image& image);

}  // namespace panal
