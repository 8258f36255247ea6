#include "sys/raft/libraft_core.h"

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "sys/raft/shim.h"

namespace panal::raft {
namespace {

constexpr int kNotLeader = 7, kCantChange = 11;  // raft.h's RAFT_NOTLEADER and RAFT_CANTCHANGE

class LibraftCore final : public Core {
 public:
  explicit LibraftCore(const Settings& s) {
    const praft_sink sink = {this, &on_term, &on_entries, &on_install, &on_message};
    raft_ = praft_new(s.id, s.address.c_str(), s.seed, s.election_ms, s.heartbeat_ms, sink);
    CHECK(raft_);
    id_ = s.id;
  }
  ~LibraftCore() override { praft_free(raft_); }

  Result<> start(uint64_t now, Term term, Id vote, const Snapshot* snapshot, Index log_start,
                 const std::vector<Entry>& entries, Effects& out) override {
    out_ = &out;
    TRYV(check_changes(entries));
    const auto flat = flatten(entries);
    std::string configuration;
    praft_snapshot s{};
    if (snapshot) {
      TRY(configuration, pack(snapshot->configuration));
      s = {snapshot->index, snapshot->term, snapshot->configuration_index, configuration.data(),
           configuration.size()};
    }
    return check(praft_start(raft_, now, term, vote, snapshot ? &s : nullptr, log_start, flat.data(),
                             static_cast<unsigned>(flat.size())));
  }

  Result<> receive(uint64_t now, const Message& m, Effects& out) override {
    out_ = &out;
    praft_message flat{};
    flat.type = static_cast<int>(m.type), flat.peer = m.from, flat.address = m.address.c_str(),
    flat.term = m.term;
    flat.prev_index = m.prev_index, flat.prev_term = m.prev_term, flat.commit = m.commit,
    flat.rejected = m.rejected, flat.last_index = m.last_index;
    flat.granted = m.granted, flat.pre_vote = m.pre_vote, flat.disrupt = m.disrupt;
    if (m.type == MessageType::kAppendResult && m.rejected != 0 && m.term == term()) {
      if (const auto match = match_index(m.from); match && m.last_index < *match) {
        log::error(
            "msg=\"a manager lost its log: remove it and let it join again\" raft_id={} has={} "
            "acknowledged={}",
            m.from, m.last_index, *match);
        return {};
      }
    }
    std::string configuration;
    if (auto sound = check_changes(m.entries); !sound) return refused(m, sound.error());
    if (m.type == MessageType::kInstall) {
      auto packed = pack(m.snapshot.configuration);
      if (!packed) return refused(m, packed.error());
      configuration = std::move(*packed);
      flat.snapshot = {m.snapshot.index, m.snapshot.term, m.snapshot.configuration_index,
                       configuration.data(), configuration.size()};
      incoming_ = &m.snapshot;
    }
    const auto entries = flatten(m.entries);
    flat.entries = entries.data(), flat.n_entries = static_cast<unsigned>(entries.size());
    return check(praft_receive(raft_, now, &flat));
  }

  Result<> timeout(uint64_t now, Effects& out) override {
    out_ = &out;
    return check(praft_timeout(raft_, now));
  }
  Result<> submit(uint64_t now, const Entry& entry, Effects& out) override {
    out_ = &out;
    return check(
        praft_submit(raft_, now, static_cast<int>(entry.type), entry.data.data(), entry.data.size()));
  }
  Result<> persisted(uint64_t now, Index index, Effects& out) override {
    out_ = &out;
    return check(praft_persisted(raft_, now, index));
  }
  Result<> configuration_committed(uint64_t now, Index index, const Configuration& configuration,
                                   Effects& out) override {
    out_ = &out;
    const std::string bytes = encode(configuration);
    return check(praft_configuration(raft_, now, index, bytes.data(), bytes.size()));
  }
  Result<> snapshot_taken(uint64_t now, const Snapshot& s, uint32_t trailing, Effects& out) override {
    out_ = &out;
    const std::string bytes = encode(s.configuration);
    const praft_snapshot flat = {s.index, s.term, s.configuration_index, bytes.data(), bytes.size()};
    return check(praft_snapshot_taken(raft_, now, &flat, trailing));
  }
  Result<> snapshot_installed(uint64_t now, const Snapshot& s, Effects& out) override {
    out_ = &out;
    const std::string bytes = encode(s.configuration);
    const praft_snapshot flat = {s.index, s.term, s.configuration_index, bytes.data(), bytes.size()};
    return check(praft_installed(raft_, now, &flat));
  }
  Result<> transfer(uint64_t now, Id to, Effects& out) override {
    out_ = &out;
    return check(praft_transfer(raft_, now, to));
  }

  State state() const override { return static_cast<State>(praft_state(raft_)); }
  Term term() const override { return praft_term(raft_); }
  Id vote() const override { return praft_vote(raft_); }
  Id leader() const override { return praft_leader(raft_); }
  Index commit_index() const override { return praft_commit_index(raft_); }
  Index last_index() const override { return praft_last_index(raft_); }
  uint64_t next_timeout_ms() const override { return praft_next_timeout(raft_); }
  std::optional<Index> match_index(Id server) const override {
    uint64_t index = 0;
    return praft_match_index(raft_, server, &index) ? std::optional<Index>(index) : std::nullopt;
  }

  std::string encode(const Configuration& configuration) const override {
    auto packed = pack(configuration);
    CHECK(packed);
    return *packed;
  }
  Result<Configuration> decode(const std::string& bytes) const override {
    Configuration out;
    const auto each = [](void* context, praft_server s) {
      static_cast<Configuration*>(context)->push_back({s.id, s.address, static_cast<Role>(s.role)});
    };
    if (!well_formed(bytes)) return fail(Code::kInvalid, "raft: malformed configuration");
    if (const int code = praft_decode(bytes.data(), bytes.size(), each, &out); code != 0)
      return fail(Code::kInvalid, std::string("raft: ") + praft_error(code));
    return out;
  }

 private:
  // What another manager, or the disk, says may be anything.
  static std::unexpected<Error> refused(const Message& m, const Error& why) {
    log::warn("msg=\"a manager's message is not taken\" raft_id={} error=\"{}\"", m.from, why.message);
    return fail(Code::kInvalid, why.message);
  }
  Result<> check_changes(const std::vector<Entry>& entries) const {
    for (const auto& e : entries)
      if (e.type == EntryType::kChange) TRYV(decode(e.data));
    return {};
  }
  static Result<std::string> pack(const Configuration& configuration) {
    std::vector<praft_server> servers;
    for (const auto& s : configuration)
      servers.push_back({s.id, s.address.c_str(), static_cast<int>(s.role)});
    void* data = nullptr;
    size_t size = 0;
    if (const int code = praft_encode(servers.data(), static_cast<unsigned>(servers.size()), &data, &size);
        code != 0)
      return fail(Code::kInvalid, std::string("raft: ") + praft_error(code));
    std::string out(static_cast<const char*>(data), size);
    praft_release(data);
    return out;
  }

  // libraft's decoder checks no bounds: version 1, count, then per server id, NUL-terminated address, role.
  static bool well_formed(const std::string& bytes) {
    if (bytes.size() < 9 || bytes[0] != 1) return false;
    uint64_t left = 0;
    for (int i = 0; i < 8; ++i)
      left |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[1 + i])) << (8 * i);
    size_t at = 9;
    for (; left > 0; --left) {
      if (bytes.size() - at < 8 + 1 + 1) return false;
      const size_t end = bytes.find('\0', at + 8);
      if (end == std::string::npos || end + 1 >= bytes.size() ||
          static_cast<unsigned char>(bytes[end + 1]) > 1)
        return false;
      at = end + 2;
    }
    for (; at < bytes.size(); ++at)  // libraft pads to whole words
      if (bytes[at] != 0) return false;
    return true;
  }
  static std::vector<praft_entry> flatten(const std::vector<Entry>& entries) {
    std::vector<praft_entry> out;
    out.reserve(entries.size());
    for (const auto& e : entries)
      out.push_back({e.term, static_cast<int>(e.type), e.data.data(), e.data.size()});
    return out;
  }
  static Result<> check(int code) {
    if (code == 0) return {};
    if (code == kNotLeader) return fail(Code::kUnavailable, "raft: not the leader");
    if (code == kCantChange)
      return fail(Code::kConflict, "raft: another change of the managers is in progress");
    return fail(Code::kInternal, std::string("raft: ") + praft_error(code));
  }

  static void on_term(void* self) { static_cast<LibraftCore*>(self)->out_->term_or_vote = true; }
  static void on_entries(void* self, uint64_t from, const praft_entry* entries, unsigned n) {
    Effects& out = *static_cast<LibraftCore*>(self)->out_;
    out.truncate_from = from;
    for (unsigned i = 0; i < n; ++i)
      out.append.push_back({entries[i].term, static_cast<EntryType>(entries[i].type),
                            std::string(static_cast<const char*>(entries[i].data), entries[i].size)});
  }
  static void on_install(void* context, const praft_snapshot*) {
    auto* self = static_cast<LibraftCore*>(context);
    CHECK(self->incoming_);
    self->out_->install = *self->incoming_;
  }
  static void on_message(void* context, const praft_message* m) {
    auto* self = static_cast<LibraftCore*>(context);
    Message out;
    out.type = static_cast<MessageType>(m->type), out.from = self->id_, out.to = m->peer,
    out.address = m->address ? m->address : "", out.term = m->term;
    out.prev_index = m->prev_index, out.prev_term = m->prev_term, out.commit = m->commit,
    out.rejected = m->rejected, out.last_index = m->last_index;
    out.granted = m->granted, out.pre_vote = m->pre_vote, out.disrupt = m->disrupt;
    out.snapshot.index = m->snapshot.index, out.snapshot.term = m->snapshot.term;
    if (m->n_entries > 0) self->out_->append_counts.emplace_back(self->out_->messages.size(), m->n_entries);
    self->out_->messages.push_back(std::move(out));
  }

  praft* raft_ = nullptr;
  Id id_ = 0;
  Effects* out_ = nullptr;
  const Snapshot* incoming_ = nullptr;
};

}  // namespace

std::unique_ptr<Core> make_libraft_core(const Settings& settings) {
  return std::make_unique<LibraftCore>(settings);
}

}  // namespace panal::raft
