// The static rules, as nft text loaded once per namespace. What they do and why: the shared design
// (network.md). Map elements are changed by sys/nft/elements only. Loading replaces a table whole, so it
// happens only where the table is absent, damaged or another version's.
#pragma once
#include <string>
#include <string_view>

namespace panal::nft {

/// Interface group of every bridge of ours: the rules know our bridges by it.
constexpr unsigned kBridgeGroup = 0x4443;
/// Endpoint counts that have a chain of their own; larger services spread over the next of the wide ones.
constexpr int kExactChains = 64;

constexpr std::string_view kCommentPrefix = "panal-";
std::string engine_table();
/// The comment that tells this text's version.
std::string comment_in(const std::string& text);
std::string vip_table();
std::string mesh_node_table(const std::string& sandbox_address);
std::string mesh_sandbox_tables(const std::string& subnet);
/// Number of slots of the chain that serves `endpoints` endpoints (1..64 exact, then 256, 1024, 4096).
int slots_for(size_t endpoints);

}  // namespace panal::nft
