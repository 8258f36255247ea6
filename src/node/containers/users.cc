// User namespaces (userns-remap). A container with mapped users has one of its own, made together with its
// network's, and sees the owners of its files mapped (Layers::Ids::kMapped). Host paths are closed to such
// users; of its root the runtime finds a second mount, in a folder that only they and root may enter.
#include <unistd.h>

#include "node/containers/containers.h"

namespace panal {

Result<> check_mapped_users(const HostConfig& host, const IdMap& ids) {
  if (ids.empty() || host.userns_mode == "host") return {};
  if (host.privileged)
    return fail(Code::kInvalid,
                "privileged mode is incompatible with user namespaces.  You must run the container in the "
                "host namespace when running privileged mode");
  if (host.network_mode == "host")
    return fail(Code::kInvalid, "cannot share the host's network namespace when user namespaces are enabled");
  if (host.pid_mode == "host")
    return fail(Code::kInvalid, "cannot share the host PID namespace when user namespaces are enabled");
  return {};
}

bool Containers::has_mapped_users(const Container& c) const {
  if (is_up(c.state.phase)) return c.state.root_uid != 0;
  return !paths_.ids.empty() && c.host.userns_mode != "host";
}

Layers::Ids Containers::ids_of(const Container& c) const {
  return has_mapped_users(c) ? Layers::Ids::kMapped : Layers::Ids::kAsStored;
}

// Namespaces of another container can only be joined from within its user namespace.
Result<std::string> Containers::joined_user_namespace(const Container& c) const {
  for (const auto* mode : {&c.host.network_mode, &c.host.pid_mode, &c.host.ipc_mode}) {
    if (!mode->starts_with("container:")) continue;
    TRY(std::string path, namespace_for(c, *mode, "user"));
    TRY(const LivePtr other, find(mode->substr(10)));
    if (other->c.state.root_uid != c.state.root_uid)
      return fail(Code::kConflict, "cannot join a namespace of container " + other->c.name +
                                       ": it runs in another user namespace");
    return path;
  }
  return std::string();
}

Result<std::optional<NamespaceOwner>> Containers::namespace_owner(const Container& c) const {
  if (!has_mapped_users(c)) return std::optional<NamespaceOwner>();
  TRY(std::string joined, joined_user_namespace(c));
  return std::optional(NamespaceOwner{paths_.ids, std::move(joined)});
}

Result<> Containers::set_up_users(const Container& c, OciInputs& in) {
  in.ids = paths_.ids, in.user_ns = user_namespace_of(networks_.namespace_path(c.id));
  if (joins_network(c)) {
    TRY(in.user_ns, joined_user_namespace(c));
  }
  TRYV(layers_.bind_in_root(in.rootfs, "/", mapped_root(c)));
  in.rootfs = mapped_root(c);
  return {};
}

void Containers::take_down_users(const Container& c) {
  (void)layers_.unmount(mapped_root(c));
  ::rmdir(mapped_root(c).c_str());
}

void Containers::put_into_user_namespace(const Container& c, Tree& tree) const {
  const bool up = is_up(c.state.phase);
  tree.user_ns = up ? "/proc/" + std::to_string(c.state.pid) + "/ns/user" : paths_.mapped_namespace;
  tree.root_uid = up ? c.state.root_uid : paths_.ids.root_uid();
  tree.root_gid = up ? c.state.root_gid : paths_.ids.root_gid();
}

}  // namespace panal
