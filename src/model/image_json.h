// JSON of model/image.h as the daemon stores it. Include in .cc files only.
#pragma once
#include "model/container_json.h"
#include "model/image.h"

namespace panal {

template <class A>
void fields(A& a, HistoryEntry& h) {
  a.opt("created", h.created), a.opt("created_by", h.created_by), a.opt("author", h.author),
      a.opt("comment", h.comment), a.opt("empty_layer", h.empty_layer);
}
template <class A>
void fields(A& a, Image& i) {
  a("Id", i.id), a("Tags", i.tags), a("ManifestDigest", i.manifest_digest), a("Manifest", i.manifest),
      a.opt("Index", i.index), a.opt("RepoDigests", i.repo_digests), a("ConfigJson", i.config_json);
  a("Architecture", i.architecture), a("Os", i.os), a("Variant", i.variant), a("Author", i.author),
      a("Created", i.created), a("Comment", i.comment);
  a("Config", i.config), a("DiffIds", i.diff_ids), a("ChainIds", i.chain_ids),
      a("LayerDigests", i.layer_digests), a("History", i.history);
  a("Size", i.size_bytes), time_field(a, "CreatedAt", i.created_at), time_field(a, "TaggedAt", i.tagged_at);
  a.opt("Parent", i.parent), a.opt("BuildKey", i.build_key), a.opt("BuildStep", i.build_step),
      a.opt("CacheHits", i.cache_hits), time_field(a, "UsedAt", i.used_at), a.opt("Boot", i.boot);
}
template <class A>
void fields(A& a, Layer& l) {
  a("ChainId", l.chain_id), a("DiffId", l.diff_id), a("BlobDigest", l.blob_digest), a("Number", l.number),
      a("Size", l.size_bytes), a.opt("Boot", l.boot);
}
template <class A>
void fields(A& a, IpamPool& p) {
  a("Subnet", p.subnet), a.opt("Gateway", p.gateway), a.opt("IPRange", p.ip_range),
      a.opt("AuxiliaryAddresses", p.auxiliary);
}
template <class A>
void fields(A& a, Network& n) {
  a("Id", n.id), a("Name", n.name), a("Driver", n.driver), a("Scope", n.scope),
      time_field(a, "Created", n.created), a("Internal", n.internal);
  a("Attachable", n.attachable), a("Ingress", n.ingress), a("EnableIPv4", n.enable_ipv4),
      a("EnableIPv6", n.enable_ipv6), a("Pools", n.pools), a("Options", n.options);
  a("Labels", n.labels), a.opt("IpamOptions", n.ipam_options), a("Bridge", n.bridge), a("Vni", n.vni);
}
template <class A>
void fields(A& a, Volume& v) {
  a("Name", v.name), a("Driver", v.driver), a("Mountpoint", v.mountpoint),
      time_field(a, "Created", v.created), a("Labels", v.labels);
  a("Options", v.options), a("Anonymous", v.anonymous), a.opt("MadeFor", v.made_for);
}

PANAL_JSON(extern, Image)
PANAL_JSON(extern, IpamPool)
PANAL_JSON(extern, Network)
PANAL_JSON(extern, Volume)

}  // namespace panal
