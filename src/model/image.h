// Images as the engine stores them, networks and volumes of one node.
#pragma once
#include "model/container.h"

namespace panal {

/// "docker.io/library/alpine", tag, digest; names as the distribution specification's grammar.
struct ImageRef {
  std::string domain, path, tag, digest;  // digest "sha256:..."
  /// As Docker shows it: "alpine", "localhost:5000/app", without tag or digest.
  std::string familiar_name() const;
  /// "alpine:latest"; with `digest` "alpine:latest@sha256:...".
  std::string familiar() const;
  /// Fully spelled: "docker.io/library/alpine:latest".
  std::string full() const;
};

struct HistoryEntry {
  std::string created, created_by, author, comment;
  bool empty_layer = false;
};

struct Image {
  PANAL_RECORD(Image);
  std::string id;                 // "sha256:" + digest of the config blob
  std::vector<std::string> tags;  // familiar, sorted
  std::string manifest_digest;    // of the OCI manifest in the content store
  std::string manifest;           // its bytes
  std::string index;              // bytes of the image index it was chosen from, when a registry had one
  std::vector<std::string> repo_digests;  // "alpine@sha256:...": what registries have it under, sorted
  std::string config_json;                // the config blob, as given
  std::string architecture, os, variant, author, created, comment;
  ContainerConfig config;
  std::vector<std::string> diff_ids, chain_ids;
  std::vector<std::string> layer_digests;  // blobs, as in the manifest
  std::vector<HistoryEntry> history;
  int64_t size_bytes = 0;  // unpacked
  WallTime created_at, tagged_at;
  // Of docker build: what a step began with and the key of what it did; the cache is all images that have a
  // key.
  std::string parent, build_key;
  bool build_step = false;  // made on the way: nobody has asked for it by itself
  int64_t cache_hits = 0;
  WallTime used_at;
  std::string boot;  // while its blobs may not be on the disk: the boot they were written in
  /// Listed only on request; goes with what was made of it.
  bool hidden() const { return build_step && tags.empty(); }
};

struct Layer {
  std::string chain_id, diff_id, blob_digest;
  int64_t number = 0;  // its folder in the layer store
  int64_t size_bytes = 0;
  std::string boot;  // as Image::boot, of its folder and blob
};

struct IpamPool {
  std::string subnet, gateway, ip_range;
  std::map<std::string, std::string> auxiliary;  // name -> address that no container gets
};

struct Network {
  PANAL_RECORD(Network);
  std::string id, name, driver = "bridge", scope = "local";
  WallTime created;
  bool internal = false, attachable = false, ingress = false, enable_ipv4 = true, enable_ipv6 = false;
  std::vector<IpamPool> pools;
  std::map<std::string, std::string> options, labels, ipam_options;
  std::string bridge;  // interface name
  uint32_t vni = 0;    // overlay
};

struct Volume {
  std::string name, driver = "local", mountpoint;
  WallTime created;
  std::map<std::string, std::string> labels, options;
  bool anonymous = false;
  std::string made_for;  // an anonymous one: the container that takes it along when both are removed
};

}  // namespace panal
