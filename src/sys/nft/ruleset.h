// What stands in nftables, and who changed it: notifications of other programs' changes to our tables, and
// what others drop that is forwarded. Blocking, in the calling thread's namespace.
#pragma once
#include <set>
#include <string_view>
#include <vector>

#include "sys/nft/batch.h"

namespace panal::nft {

using TableName = std::pair<Family, std::string>;

/// The table's comment; nullopt when there is no such table.
std::optional<std::string> table_comment(const TableName& table);
inline bool table_exists(const TableName& table) { return table_comment(table).has_value(); }

/// A socket that hears every change of nftables in this namespace.
Result<Fd> hear_changes();
struct News {
  bool damage = false;  // somebody else changed one of our tables, or notifications were lost
  bool chains = false;  // somebody else's chains came, went or changed
};
/// All that has come since the last time.
News read_changes(int fd, const std::set<TableName>& ours);
/// What one read says; pure.
News news_in(std::string_view messages, const std::set<TableName>& ours);

struct ClosedChain {
  std::string description;  // "FORWARD of table ip filter (policy drop)"
  std::string remedy;       // commands for its owner
};
/// Base chains of others at the forward hook that drop what no rule of theirs accepts, and that do not accept
/// our bridges by their group.
Result<std::vector<ClosedChain>> closed_forward_chains(const std::set<TableName>& ours);

}  // namespace panal::nft
