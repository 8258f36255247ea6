#include "raft/codec.h"

#include "wire.pb.h"

namespace panal::raft {

static void put(const Entry& in, RaftEntry& out) {
  out.set_term(in.term), out.set_type(static_cast<uint32_t>(in.type)), out.set_data(in.data);
}
static Entry get(const RaftEntry& in) { return {in.term(), static_cast<EntryType>(in.type()), in.data()}; }
static bool valid(const RaftEntry& in) { return in.type() >= 1 && in.type() <= 3; }

static void put(const Snapshot& in, RaftSnapshot& out) {
  out.set_index(in.index), out.set_term(in.term), out.set_configuration_index(in.configuration_index),
      out.set_data(in.data);
  for (const auto& s : in.configuration) {
    auto* server = out.add_configuration();
    server->set_id(s.id), server->set_address(s.address), server->set_role(static_cast<uint32_t>(s.role));
  }
}
static Snapshot get(const RaftSnapshot& in) {
  Snapshot out{in.index(), in.term(), {}, in.configuration_index(), in.data()};
  for (const auto& s : in.configuration())
    out.configuration.push_back({s.id(), s.address(), s.role() == 1 ? Role::kVoter : Role::kStandby});
  return out;
}

std::string encode_batch(const std::vector<Message>& messages) {
  RaftBatch batch;
  for (const auto& m : messages) {
    auto* out = batch.add_messages();
    out->set_type(static_cast<uint32_t>(m.type)), out->set_from(m.from), out->set_to(m.to),
        out->set_term(m.term);
    out->set_prev_index(m.prev_index), out->set_prev_term(m.prev_term), out->set_commit(m.commit),
        out->set_rejected(m.rejected);
    out->set_last_index(m.last_index), out->set_granted(m.granted), out->set_pre_vote(m.pre_vote),
        out->set_disrupt(m.disrupt);
    for (const auto& e : m.entries) put(e, *out->add_entries());
    if (m.type == MessageType::kInstall) put(m.snapshot, *out->mutable_snapshot());
  }
  return batch.SerializeAsString();
}

Result<std::vector<Message>> decode_batch(const std::string& bytes) {
  RaftBatch batch;
  if (!batch.ParseFromString(bytes)) return fail(Code::kInvalid, "raft: malformed message");
  std::vector<Message> out;
  for (const auto& in : batch.messages()) {
    if (in.type() < 1 || in.type() > 6) return fail(Code::kInvalid, "raft: unknown message type");
    Message m;
    m.type = static_cast<MessageType>(in.type()), m.from = in.from(), m.to = in.to(), m.term = in.term();
    m.prev_index = in.prev_index(), m.prev_term = in.prev_term(), m.commit = in.commit(),
    m.rejected = in.rejected(), m.last_index = in.last_index();
    m.granted = in.granted(), m.pre_vote = in.pre_vote(), m.disrupt = in.disrupt();
    for (const auto& e : in.entries()) {
      if (!valid(e)) return fail(Code::kInvalid, "raft: unknown entry type");
      m.entries.push_back(get(e));
    }
    if (in.has_snapshot()) m.snapshot = get(in.snapshot());
    out.push_back(std::move(m));
  }
  return out;
}

std::string encode_write(Index from, const std::vector<Entry>& entries) {
  RaftLogWrite write;
  auto& append = *write.add_appends();
  append.set_from(from);
  for (const auto& e : entries) put(e, *append.add_entries());
  return write.SerializeAsString();
}
Result<std::vector<Append>> decode_write(const std::string& bytes) {
  RaftLogWrite write;
  if (!write.ParseFromString(bytes)) return fail(Code::kInvalid, "raft: malformed log record");
  std::vector<Append> out;
  for (const auto& append : write.appends()) {
    out.emplace_back(append.from(), std::vector<Entry>{});
    for (const auto& e : append.entries()) {
      if (!valid(e)) return fail(Code::kInvalid, "raft: unknown entry type");
      out.back().second.push_back(get(e));
    }
  }
  return out;
}
std::string encode_snapshot(const Snapshot& snapshot) {
  RaftSnapshot out;
  put(snapshot, out);
  return out.SerializeAsString();
}
Result<Snapshot> decode_snapshot(const std::string& bytes) {
  RaftSnapshot in;
  if (!in.ParseFromString(bytes)) return fail(Code::kInvalid, "raft: malformed snapshot");
  return get(in);
}

}  // namespace panal::raft
