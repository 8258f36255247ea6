#include "sim/checkers.h"

namespace panal::sim {

static uint64_t hash_of(const raft::Entry& e) {
  return std::hash<std::string>{}(e.data) * 31 + static_cast<uint64_t>(e.type);
}

static std::string name(const SimNode& n) { return "n" + std::to_string(n.index + 1); }

void RaftChecker::look(SimNode& node) {
  if (const auto m = node.manager()) follow(node, m->replica());
  for (const auto& ack : std::exchange(acks_, {})) {
    auto it = accepted_.find(ack.hash);
    if (it == accepted_.end())
      world_.violate("n" + std::to_string(ack.node + 1) +
                     " acknowledged a write that is not committed: " + ack.text);
    else if (ack.index < it->second)
      world_.violate("n" + std::to_string(ack.node + 1) +
                     " acknowledged a write it has not applied: " + ack.text);
  }
}

void RaftChecker::follow(SimNode& node, const raft::Replica& r) {
  if (r.leader()) {
    const auto [it, fresh] = leaders_.try_emplace(r.term(), node.raft_id);
    if (it->second != node.raft_id)
      world_.violate("two leaders in term " + std::to_string(r.term()) + ", one is " + name(node));
  }
  const RecordedLog& log = *node.process->log;
  auto& [boot, id, upto, base] = seen_[node.index];
  if (boot != node.boots || id != node.raft_id)
    boot = node.boots, id = node.raft_id, upto = base = log.base();
  if (log.base() > base) ++world_.installs, base = log.base();
  upto = std::max(upto, base);
  while (upto < r.applied()) {
    const auto* e = log.entry(++upto);
    if (!e)
      return world_.violate(name(node) + " applied index " + std::to_string(upto) +
                            " and never had it in its log");
    observe(node, upto, *e);
  }
}

void RaftChecker::observe(SimNode& node, raft::Index index, const raft::Entry& entry) {
  const uint64_t hash = hash_of(entry);
  if (index <= history_.size()) {
    const auto& known = history_[index - 1];
    if (known.term != entry.term || known.hash != hash)
      world_.violate(name(node) + " committed another entry at index " + std::to_string(index));
    return;
  }
  if (index != history_.size() + 1)
    return world_.violate(name(node) + " applied index " + std::to_string(index) +
                          " before anyone knew the one before");
  history_.push_back({entry.term, hash, entry.type});
  if (entry.type == raft::EntryType::kCommand && tables_.apply(index, entry.data)) accepted_[hash] = index;
}

void RaftChecker::acknowledged(SimNode& node, const Command& command, raft::Index applied) {
  const std::string text = encode(command);
  acks_.push_back({node.index, hash_of({0, raft::EntryType::kCommand, text}), applied, text.substr(0, 300)});
}

void RaftChecker::compare_logs() {
  for (auto& n : world_.nodes) {
    const auto m = n->manager();
    if (!m) continue;
    const raft::Replica& r = m->replica();
    for (raft::Index i = r.last_index(); i > 0 && i + 200 > r.last_index(); --i) {
      const auto* e = r.entry(i);
      if (!e) break;
      const uint64_t hash = hash_of(*e);
      const auto [it, fresh] = entries_.try_emplace({i, e->term}, hash);
      if (it->second != hash)
        return world_.violate("logs differ at index " + std::to_string(i) + ", term " +
                              std::to_string(e->term) + " (" + name(*n) + ")");
    }
  }
}

void RaftChecker::compare_tables() {
  std::map<uint64_t, std::pair<uint64_t, std::string>> at;
  if (tables_.store().index > 0) at[tables_.store().index] = {tables_.store().hash(), "the history"};
  for (auto& n : world_.nodes) {
    const auto m = n->manager();
    if (!m) continue;
    const uint64_t hash = m->store().hash();
    const auto [it, fresh] = at.try_emplace(m->store().index, hash, name(*n));
    if (it->second.first != hash)
      return world_.violate(name(*n) + " and " + it->second.second + " have different tables at index " +
                            std::to_string(m->store().index));
  }
}

}  // namespace panal::sim
