#include "raft/replica.h"

#include <algorithm>

#include "base/check.h"
#include "base/log.h"

namespace panal::raft {

static constexpr uint64_t kLeaderTickMs = 100;

Replica::Replica(std::unique_ptr<Core> core, Id id, Disk& disk, StateMachine& machine,
                 std::function<void(Message)> send, Retention retention)
    : core_(std::move(core)),
      id_(id),
      disk_(disk),
      machine_(machine),
      send_(std::move(send)),
      retention_(retention) {}

void Replica::fail_stop(std::string why) {
  if (failed_) return;
  failed_ = true;
  failure_ = std::move(why);
  log::error("msg=\"replicated log stopped\" error=\"{}\"", failure_);
  lose_pending();
}

void Replica::stop() {
  if (std::exchange(failed_, true)) return;
  failure_ = "this manager is shutting down";
  lose_pending();
}

Result<> Replica::start(uint64_t now_ms, const Configuration& bootstrap) {
  TRY(Persistent p, disk_.load());
  if (p.term == 0 && p.entries.empty() && !p.snapshot && !bootstrap.empty()) {
    p.term = 1;
    p.entries.push_back({1, EntryType::kChange, core_->encode(bootstrap)});
    TRYV(disk_.save_vote(1, 0));
    disk_.append(1, p.entries, Disk::When::kNow, [this](Result<> done) {
      if (!done) fail_stop(done.error().message);
    });
  }
  // A log that does not reach back to the snapshot is what a crash in the middle of an install leaves.
  if (p.snapshot) {
    const Index end = p.log_start + p.entries.size();
    const bool joins = p.snapshot->index + 1 >= p.log_start && p.snapshot->index < end &&
                       (p.snapshot->index < p.log_start ||
                        p.entries[p.snapshot->index - p.log_start].term == p.snapshot->term);
    const bool follows = p.log_start == p.snapshot->index + 1;
    if (!joins && !follows) {
      TRYV(disk_.save_snapshot(*p.snapshot, true));
      p.entries.clear();
      p.log_start = p.snapshot->index + 1;
    }
    TRYV(machine_.restore(p.snapshot->data));
    applied_ = p.snapshot->index;
    configuration_ = p.snapshot->configuration, configuration_index_ = p.snapshot->configuration_index;
    snapshot_ = p.snapshot;
  }
  log_start_ = p.log_start;
  log_.assign(p.entries.begin(), p.entries.end());
  durable_ = log_start_ + log_.size() - 1;
  // A lone voter elects itself without a new term, so two leaders could share one: give it a term of its own.
  Configuration last = configuration_;
  for (const auto& e : log_)
    if (e.type == EntryType::kChange) {
      TRY(last, core_->decode(e.data));
    }
  const auto voters = std::ranges::count_if(last, [](const Server& s) { return s.role == Role::kVoter; });
  const bool alone = voters == 1 && std::ranges::any_of(last, [&](const Server& s) {
                       return s.id == id_ && s.role == Role::kVoter;
                     });
  if (alone) {
    ++p.term;
    p.vote = id_;
    TRYV(disk_.save_vote(p.term, p.vote));
  }
  const std::vector<Entry> entries(log_.begin(), log_.end());
  Result<> started;
  run(now_ms, [&](Effects& out) {
    started =
        core_->start(now_ms, p.term, p.vote, snapshot_ ? &*snapshot_ : nullptr, log_start_, entries, out);
    return started;
  });
  return started;
}

Result<> Replica::start_alone(uint64_t now_ms, const std::string& address) {
  TRY(Persistent p, disk_.load());
  if (p.entries.empty() && !p.snapshot)
    return fail(Code::kInvalid, "there is no cluster state on this node to start from");
  Entry change{p.term + 1, EntryType::kChange, core_->encode({{id_, address, Role::kVoter}})};
  TRYV(disk_.save_vote(p.term + 1, id_));
  Result<> written;
  disk_.append(p.log_start + p.entries.size(), {change}, Disk::When::kNow, [&](Result<> r) { written = r; });
  TRYV(written);
  return start(now_ms, {});
}

void Replica::run(uint64_t now_ms, const std::function<Result<>(Effects&)>& event) {
  if (failed_) return;
  now_ms_ = std::max(now_ms_, now_ms);
  queue_.push_back(event);
  if (busy_) return;
  busy_ = true;
  while (!queue_.empty() && !failed_) {
    auto next = std::move(queue_.front());
    queue_.pop_front();
    Effects effects;
    auto done = next(effects);
    if (!done && done.error().code == Code::kInternal) {
      fail_stop(done.error().message);
      break;
    }
    consume(now_ms_, effects);
    apply_committed(now_ms_);
  }
  busy_ = false;
  if (failed_) return;
  if (!leader()) {
    lose_pending();
  } else if (barrier_term_ != core_->term()) {
    barrier_term_ = core_->term();
    const Term term = barrier_term_;
    barrier(now_ms_, [this, term](Result<Index> done) {
      if (done) ready_term_ = term;
    });
  }
  if (on_progress) on_progress();
}

const Entry* Replica::entry(Index index) const {
  return index >= log_start_ && index < log_start_ + log_.size() ? &log_[index - log_start_] : nullptr;
}

void Replica::consume(uint64_t now_ms, Effects& effects) {
  if (effects.term_or_vote)
    if (auto saved = disk_.save_vote(core_->term(), core_->vote()); !saved)
      return fail_stop(saved.error().message);
  if (effects.truncate_from) {
    const Index from = *effects.truncate_from;
    CHECK(from >= log_start_ && from <= log_start_ + log_.size());
    log_.resize(from - log_start_);
    durable_ = std::min(durable_, from - 1);
    for (const auto& e : effects.append) log_.push_back(e);
    const Index last = log_start_ + log_.size() - 1;
    const Term last_term = log_.empty() ? 0 : log_.back().term;
    const uint64_t epoch = epoch_;
    disk_.append(from, std::move(effects.append), Disk::When::kLater,
                 [this, last, last_term, epoch](Result<> done) {
                   if (!done) return fail_stop(done.error().message);
                   // Only what is still in the log counts, and nothing while an install replaced it.
                   const Entry* e = entry(last);
                   if (epoch != epoch_ || !e || e->term != last_term || last <= durable_) return;
                   run(now_ms_, [this, last](Effects& out) -> Result<> {
                     if (last <= durable_ || !entry(last)) return {};
                     durable_ = last;
                     return core_->persisted(now_ms_, last, out);
                   });
                 });
  }
  if (effects.install) install(now_ms, std::move(*effects.install));
  size_t counted = 0;
  for (size_t i = 0; i < effects.messages.size(); ++i) {
    uint32_t count = 0;
    if (counted < effects.append_counts.size() && effects.append_counts[counted].first == i)
      count = effects.append_counts[counted++].second;
    Message& m = effects.messages[i];
    if (m.type == MessageType::kAppend) {
      send_append(std::move(m), count);
    } else if (m.type == MessageType::kInstall) {
      if (!snapshot_) continue;
      m.snapshot = *snapshot_;
      send_(std::move(m));
    } else {
      send_(std::move(m));
    }
  }
}

// Messages are bounded in bytes: a large batch goes out as several, each carrying on where the last one
// ended.
void Replica::send_append(Message message, uint32_t count) {
  Message part = message;
  size_t bytes = 0;
  for (Index index = message.prev_index + 1; index <= message.prev_index + count; ++index) {
    const Entry* e = entry(index);
    if (!e) return;  // snapshotted meanwhile: the core will ask for an install
    if (bytes > 0 && bytes + e->data.size() > kMaxMessageBytes) {
      Message next = message;
      next.prev_index = index - 1, next.prev_term = part.entries.back().term;
      send_(std::move(part));
      part = std::move(next);
      bytes = 0;
    }
    part.entries.push_back(*e);
    bytes += e->data.size() + 32;
  }
  send_(std::move(part));
}

void Replica::receive(uint64_t now_ms, const Message& message) {
  if (message.type != MessageType::kAppend || message.entries.empty()) {
    run(now_ms, [this, message](Effects& out) { return core_->receive(now_ms_, message, out); });
    return;
  }
  // libraft 0.22.1 records a membership change under the first index of its batch: cut batches before each
  // change.
  Message part = message;
  part.entries.clear();
  bool later = false;
  for (size_t i = 0; i <= message.entries.size(); ++i) {
    const bool cut = i == message.entries.size() ||
                     (message.entries[i].type == EntryType::kChange && !part.entries.empty());
    if (cut) {
      run(now_ms, [this, part, later](Effects& out) -> Result<> {
        // Later parts only follow on what the earlier ones achieved; the first must be answered, also when it
        // is refused.
        if (later && part.prev_index > core_->last_index()) return {};
        return core_->receive(now_ms_, part, out);
      });
      later = true;
      if (i == message.entries.size()) break;
      part.prev_index += part.entries.size(), part.prev_term = part.entries.back().term;
      part.entries.clear();
    }
    part.entries.push_back(message.entries[i]);
  }
}

void Replica::tick(uint64_t now_ms) {
  if (leader()) next_leader_tick_ms_ = now_ms + kLeaderTickMs;
  run(now_ms, [this](Effects& out) { return core_->timeout(now_ms_, out); });
}

// As leader every tick demotes followers not heard from since the last one: tick at a fixed, slow pace.
uint64_t Replica::next_tick_ms(uint64_t now_ms) const {
  const uint64_t due = leader() ? next_leader_tick_ms_ : core_->next_timeout_ms();
  return std::max(due, now_ms + 1);
}

void Replica::propose(uint64_t now_ms, std::string command, Done done) {
  if (failed_) return done(fail(Code::kUnavailable, "the replicated log has stopped: " + failure_));
  if (pending_.size() >= kMaxPending) return done(fail(Code::kUnavailable, "too many writes are waiting"));
  run(now_ms, [this, command = std::move(command), done = std::move(done)](Effects& out) -> Result<> {
    const Index index = core_->last_index() + 1;
    auto submitted = core_->submit(now_ms_, {core_->term(), EntryType::kCommand, command}, out);
    if (!submitted) {
      done(std::unexpected(submitted.error()));
      return {};
    }
    pending_[index] = {core_->term(), done};
    return {};
  });
}

void Replica::barrier(uint64_t now_ms, Done done) {
  run(now_ms, [this, done = std::move(done)](Effects& out) -> Result<> {
    const Index index = core_->last_index() + 1;
    auto submitted = core_->submit(now_ms_, {core_->term(), EntryType::kBarrier, std::string(8, '\0')}, out);
    if (!submitted) {
      done(std::unexpected(submitted.error()));
      return {};
    }
    pending_[index] = {core_->term(), done};
    return {};
  });
}

void Replica::change(uint64_t now_ms, Server server, bool remove, Done done) {
  if (!ready()) return done(fail(Code::kUnavailable, "raft: not the leader"));
  // Exactly one server differs, order is kept, new ones go last: the core relies on it.
  Configuration next = configuration_;
  auto it = std::ranges::find(next, server.id, &Server::id);
  if (remove) {
    if (it == next.end()) return done(Index{0});
    next.erase(it);
  } else if (it == next.end()) {
    next.push_back(server);
  } else {
    if (it->role == Role::kVoter) server.role = Role::kVoter;  // who votes goes on voting
    if (*it == server) return done(Index{0});
    *it = server;
  }
  run(now_ms, [this, next, done = std::move(done)](Effects& out) -> Result<> {
    const Index index = core_->last_index() + 1;
    auto submitted = core_->submit(now_ms_, {core_->term(), EntryType::kChange, core_->encode(next)}, out);
    if (!submitted) {
      done(std::unexpected(submitted.error()));
      return {};
    }
    pending_[index] = {core_->term(), done};
    return {};
  });
}

void Replica::transfer(uint64_t now_ms, Id to) {
  run(now_ms, [this, to](Effects& out) -> Result<> {
    (void)core_->transfer(now_ms_, to, out);
    return {};
  });
}

void Replica::finish(Index index, Term term, Result<> result) {
  auto it = pending_.find(index);
  if (it == pending_.end()) return;
  Pending pending = std::move(it->second);
  pending_.erase(it);
  if (pending.term != term)
    pending.done(fail(Code::kUnavailable, "raft: the write was lost in a change of leader"));
  else if (!result)
    pending.done(std::unexpected(result.error()));
  else
    pending.done(index);
}

void Replica::lose_pending() {
  for (auto& [index, pending] : std::exchange(pending_, {}))
    pending.done(fail(Code::kUnavailable, kLostWrite));
}

void Replica::apply_committed(uint64_t now_ms) {
  while (!failed_ && applied_ < core_->commit_index()) {
    const Index index = applied_ + 1;
    const Entry* e = entry(index);
    if (!e) return;  // an install is on its way
    const Entry now = *e;
    applied_ = index;
    Result<> result;
    if (now.type == EntryType::kCommand) {
      result = machine_.apply(index, now.data);
    } else if (now.type == EntryType::kChange) {
      auto configuration = core_->decode(now.data);
      if (!configuration) return fail_stop(configuration.error().message);
      configuration_ = *configuration, configuration_index_ = index;
      Effects effects;
      if (auto told = core_->configuration_committed(now_ms, index, configuration_, effects); !told)
        return fail_stop(told.error().message);
      consume(now_ms, effects);
    }
    finish(index, now.term, result);
  }
  const Index last_snapshot = snapshot_ ? snapshot_->index : 0;
  if (!failed_ && applied_ >= last_snapshot + retention_.snapshot_every && applied_ <= durable_)
    take_snapshot(now_ms);
}

void Replica::take_snapshot(uint64_t now_ms) {
  const Entry* e = entry(applied_);
  if (!e) return;
  Snapshot s{applied_, e->term, configuration_, configuration_index_, machine_.snapshot()};
  if (auto saved = disk_.save_snapshot(s, false); !saved) return fail_stop(saved.error().message);
  Effects effects;
  if (auto told = core_->snapshot_taken(now_ms, s, retention_.trailing, effects); !told)
    return fail_stop(told.error().message);
  snapshot_ = std::move(s);
  if (applied_ > retention_.trailing && applied_ - retention_.trailing >= log_start_) {
    const Index drop = applied_ - retention_.trailing;
    log_.erase(log_.begin(), log_.begin() + static_cast<long>(drop - log_start_ + 1));
    log_start_ = drop + 1;
    disk_.drop_prefix(drop);
  }
  consume(now_ms, effects);
}

void Replica::install(uint64_t now_ms, Snapshot s) {
  ++epoch_;
  if (auto saved = disk_.save_snapshot(s, true); !saved) return fail_stop(saved.error().message);
  if (auto restored = machine_.restore(s.data); !restored) return fail_stop(restored.error().message);
  log_.clear();
  log_start_ = s.index + 1, applied_ = s.index, durable_ = s.index;
  configuration_ = s.configuration, configuration_index_ = s.configuration_index;
  snapshot_ = s;
  Effects effects;
  if (auto told = core_->snapshot_installed(now_ms, s, effects); !told)
    return fail_stop(told.error().message);
  consume(now_ms, effects);
}

}  // namespace panal::raft
