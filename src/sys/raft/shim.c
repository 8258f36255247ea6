#include "sys/raft/shim.h"

#include <raft.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(RAFT_VERSION_NUMBER == 2201, "the rules of memory ownership below are libraft 0.22.1's");

struct praft {
  struct raft raft;
  struct praft_sink sink;
  bool refusing; /* what comes in is of an earlier term */
};

struct praft* praft_new(uint64_t id, const char* address, unsigned seed, unsigned election_ms,
                        unsigned heartbeat_ms, struct praft_sink sink) {
  struct praft* p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->sink = sink;
  if (raft_init(&p->raft, NULL, NULL, id, address) != 0) {
    free(p);
    return NULL;
  }
  raft_seed(&p->raft, seed); /* before the setters: they draw */
  raft_set_election_timeout(&p->raft, election_ms);
  raft_set_heartbeat_timeout(&p->raft, heartbeat_ms);
  raft_set_pre_vote(&p->raft, true);
  raft_set_max_inflight_entries(&p->raft, 1024);
  return p;
}

void praft_free(struct praft* p) {
  if (!p) return;
  raft_close(&p->raft, NULL);
  free(p);
}

/* One malloc'ed batch holds the data of all entries: libraft frees it, or hands it back, as one. */
static int make_entries(const struct praft_entry* in, unsigned n, struct raft_entry** out) {
  size_t total = 1;
  for (unsigned i = 0; i < n; i++) total += (in[i].size + 7) / 8 * 8;
  struct raft_entry* entries = raft_malloc(n * sizeof *entries);
  char* batch = raft_malloc(total);
  if (!entries || !batch) {
    raft_free(entries);
    raft_free(batch);
    return RAFT_NOMEM;
  }
  size_t at = 0;
  for (unsigned i = 0; i < n; i++) {
    memcpy(batch + at, in[i].data, in[i].size);
    entries[i] = (struct raft_entry){.term = in[i].term,
                                     .type = (enum raft_entry_type)in[i].type,
                                     .buf = {batch + at, in[i].size},
                                     .batch = batch};
    at += (in[i].size + 7) / 8 * 8;
  }
  *out = entries;
  return 0;
}

static int decode(const void* data, size_t size, struct raft_configuration* c) {
  struct raft_buffer b = {(void*)data, size};
  raft_configuration_init(c);
  return raft_configuration_decode(&b, c);
}

static void emit_message(struct praft* p, const struct raft_message* m) {
  struct praft_message out = {.type = m->type, .peer = m->server_id, .address = m->server_address};
  switch (m->type) {
    case RAFT_APPEND_ENTRIES:
      out.term = m->append_entries.term;
      out.prev_index = m->append_entries.prev_log_index;
      out.prev_term = m->append_entries.prev_log_term;
      out.commit = m->append_entries.leader_commit;
      out.n_entries = m->append_entries.n_entries;
      break;
    case RAFT_APPEND_ENTRIES_RESULT:
      out.term = m->append_entries_result.term;
      out.rejected = m->append_entries_result.rejected;
      /* libraft 0.22.1 leaves it unset in a refusal (its commit 9d911c1d); that of a snapshot looks like
       * success */
      out.last_index = !p->refusing   ? m->append_entries_result.last_log_index
                       : out.rejected ? raft_last_index(&p->raft)
                                      : 0;
      break;
    case RAFT_REQUEST_VOTE:
      out.term = m->request_vote.term;
      out.prev_index = m->request_vote.last_log_index;
      out.prev_term = m->request_vote.last_log_term;
      out.disrupt = m->request_vote.disrupt_leader;
      out.pre_vote = m->request_vote.pre_vote;
      break;
    case RAFT_REQUEST_VOTE_RESULT:
      out.term = m->request_vote_result.term;
      out.granted = m->request_vote_result.vote_granted;
      out.pre_vote = m->request_vote_result.pre_vote;
      break;
    case RAFT_INSTALL_SNAPSHOT:
      out.term = m->install_snapshot.term;
      out.snapshot.index = m->install_snapshot.last_index;
      out.snapshot.term = m->install_snapshot.last_term;
      break;
    case RAFT_TIMEOUT_NOW:
      out.term = m->timeout_now.term;
      out.prev_index = m->timeout_now.last_log_index;
      out.prev_term = m->timeout_now.last_log_term;
      break;
  }
  p->sink.message(p->sink.context, &out);
}

static int step(struct praft* p, struct raft_event* event) {
  struct raft_update update;
  const int rv = raft_step(&p->raft, event, &update);
  if (rv != 0) return rv;
  if (update.flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR))
    p->sink.term_or_vote(p->sink.context);
  if (update.flags & RAFT_UPDATE_ENTRIES) {
    const unsigned n = update.entries.n;
    struct praft_entry* entries = malloc((n + 1) * sizeof *entries);
    if (!entries) abort();
    for (unsigned i = 0; i < n; i++) {
      const struct raft_entry* e = &update.entries.batch[i];
      entries[i] = (struct praft_entry){e->term, (int)e->type, e->buf.base, e->buf.len};
    }
    p->sink.entries(p->sink.context, update.entries.index, entries, n);
    free(entries);
    if (n > 0) raft_free(update.entries.batch[0].batch); /* the data is ours now, once for the batch */
  }
  if (update.flags & RAFT_UPDATE_SNAPSHOT) {
    struct praft_snapshot s = {.index = update.snapshot.metadata.index,
                               .term = update.snapshot.metadata.term,
                               .configuration_index = update.snapshot.metadata.configuration_index};
    p->sink.install(p->sink.context, &s);
  }
  if (update.flags & RAFT_UPDATE_MESSAGES)
    for (unsigned i = 0; i < update.messages.n; i++) emit_message(p, &update.messages.batch[i]);
  return 0;
}

int praft_start(struct praft* p, uint64_t now, uint64_t term, uint64_t vote,
                const struct praft_snapshot* snapshot, uint64_t log_start, const struct praft_entry* in,
                unsigned n) {
  struct raft_event event = {.time = now, .type = RAFT_START};
  struct raft_snapshot_metadata metadata;
  struct raft_entry* entries = NULL;
  event.start.term = term;
  event.start.voted_for = vote;
  event.start.start_index = log_start;
  if (snapshot) {
    metadata = (struct raft_snapshot_metadata){.index = snapshot->index,
                                               .term = snapshot->term,
                                               .configuration_index = snapshot->configuration_index};
    const int rv = decode(snapshot->configuration, snapshot->configuration_size, &metadata.configuration);
    if (rv != 0) return rv;
    event.start.metadata = &metadata; /* its configuration moves into raft */
  }
  if (n > 0) {
    const int rv = make_entries(in, n, &entries);
    if (rv != 0) return rv;
  }
  event.start.entries = entries;
  event.start.n_entries = n;
  const int rv = step(p, &event);
  if (rv == 0 && entries) { /* on success the data stays ours; raft keeps terms and configurations only */
    raft_free(entries[0].batch);
    raft_free(entries);
  }
  return rv;
}

static bool is_bystander(struct praft* p) {
  return raft_state(&p->raft) == RAFT_FOLLOWER && raft_role(&p->raft) != RAFT_VOTER;
}

/* Who counts a vote is the candidate's to know: its log may make this server a voter, in an entry that is yet
   to come here (Raft's dissertation, section 4.1: requests are taken without a look at one's own
   configuration). libraft 0.22.1 refuses; a manager that crashed while it made the second one a voter would
   need that one's vote for ever. All else that a vote takes stays libraft's: one in a term, durable before it
   is told, none for a log that is behind. So for this one event the server's own configuration names it
   alone. */
static int vote_as_voter(struct praft* p, struct raft_event* event) {
  struct raft_server self = {.id = p->raft.id, .address = p->raft.address, .role = RAFT_VOTER};
  const struct raft_configuration own = p->raft.configuration;
  p->raft.configuration = (struct raft_configuration){.servers = &self, .n = 1};
  const int rv = step(p, event);
  p->raft.configuration = own;
  return rv;
}

int praft_receive(struct praft* p, uint64_t now, const struct praft_message* in) {
  if (in->type == RAFT_REQUEST_VOTE_RESULT && raft_state(&p->raft) != RAFT_CANDIDATE)
    return 0; /* it would read another state's union */
  struct raft_message m = {
      .type = (enum raft_message_type)in->type, .server_id = in->peer, .server_address = in->address};
  struct raft_entry* entries = NULL;
  uint64_t prev_index = in->prev_index, prev_term = in->prev_term;
  unsigned n = in->n_entries, known = 0;
  switch (m.type) {
    case RAFT_APPEND_ENTRIES:
      /* Entries that a snapshot has cut off look new to libraft, which would write them again at the log's
         end when a message from the log's beginning comes late. What the snapshot covers is committed: every
         leader has it, so the log is compared behind it. */
      if (prev_index < p->raft.trail.snapshot.index) {
        const uint64_t covered = p->raft.trail.snapshot.index - prev_index;
        known = covered < n ? (unsigned)covered : n;
        prev_index = p->raft.trail.snapshot.index, prev_term = p->raft.trail.snapshot.term, n -= known;
      }
      if (n > 0) {
        const int rv = make_entries(in->entries + known, n, &entries);
        if (rv != 0) return rv;
      }
      m.append_entries = (struct raft_append_entries){.term = in->term,
                                                      .prev_log_index = prev_index,
                                                      .prev_log_term = prev_term,
                                                      .leader_commit = in->commit,
                                                      .entries = entries,
                                                      .n_entries = n};
      break;
    case RAFT_APPEND_ENTRIES_RESULT:
      m.append_entries_result = (struct raft_append_entries_result){
          .version = 2, .term = in->term, .rejected = in->rejected, .last_log_index = in->last_index};
      break;
    case RAFT_REQUEST_VOTE:
      m.request_vote = (struct raft_request_vote){.version = 2,
                                                  .term = in->term,
                                                  .candidate_id = in->peer,
                                                  .last_log_index = in->prev_index,
                                                  .last_log_term = in->prev_term,
                                                  .disrupt_leader = in->disrupt,
                                                  .pre_vote = in->pre_vote};
      break;
    case RAFT_REQUEST_VOTE_RESULT:
      m.request_vote_result = (struct raft_request_vote_result){
          .version = 2, .term = in->term, .vote_granted = in->granted, .pre_vote = in->pre_vote};
      break;
    case RAFT_INSTALL_SNAPSHOT:
      /* raft only hands configuration and data back: the caller keeps the real ones. */
      m.install_snapshot = (struct raft_install_snapshot){.term = in->term,
                                                          .last_index = in->snapshot.index,
                                                          .last_term = in->snapshot.term,
                                                          .conf_index = in->snapshot.configuration_index};
      break;
    case RAFT_TIMEOUT_NOW:
      m.timeout_now = (struct raft_timeout_now){
          .term = in->term, .last_log_index = in->prev_index, .last_log_term = in->prev_term};
      break;
    default:
      return RAFT_MALFORMED;
  }
  struct raft_event event = {.time = now, .type = RAFT_RECEIVE};
  event.receive.message = &m;
  p->refusing = in->term < raft_current_term(&p->raft);
  const int rv = m.type == RAFT_REQUEST_VOTE && is_bystander(p) ? vote_as_voter(p, &event) : step(p, &event);
  p->refusing = false;
  raft_free(entries); /* the array is ours; its batch went with the update or was freed inside */
  return rv;
}

int praft_timeout(struct praft* p, uint64_t now) {
  /* Who hears a leader does not vote. A voter that hears it no more becomes a candidate; who is none would
   * believe in it for ever. */
  if (is_bystander(p) && now >= raft_timeout(&p->raft)) p->raft.follower_state.current_leader.id = 0;
  struct raft_event event = {.time = now, .type = RAFT_TIMEOUT};
  return step(p, &event);
}

int praft_submit(struct praft* p, uint64_t now, int type, const void* data, size_t size) {
  struct praft_entry in = {raft_current_term(&p->raft), type, data, size};
  struct raft_entry* entry;
  int rv = make_entries(&in, 1, &entry);
  if (rv != 0) return rv;
  struct raft_event event = {.time = now, .type = RAFT_SUBMIT};
  event.submit.entries = entry;
  event.submit.n = 1;
  rv = step(p, &event);
  if (rv != 0) raft_free(entry[0].batch);
  raft_free(entry);
  return rv;
}

int praft_persisted(struct praft* p, uint64_t now, uint64_t index) {
  struct raft_event event = {.time = now, .type = RAFT_PERSISTED_ENTRIES};
  event.persisted_entries.index = index;
  return step(p, &event);
}

int praft_configuration(struct praft* p, uint64_t now, uint64_t index, const void* conf, size_t size) {
  struct raft_event event = {.time = now, .type = RAFT_CONFIGURATION};
  event.configuration.index = index;
  const int rv = decode(conf, size, &event.configuration.conf);
  return rv != 0 ? rv : step(p, &event);
}

static int metadata_of(const struct praft_snapshot* s, struct raft_snapshot_metadata* m) {
  *m = (struct raft_snapshot_metadata){
      .index = s->index, .term = s->term, .configuration_index = s->configuration_index};
  return decode(s->configuration, s->configuration_size, &m->configuration);
}

int praft_snapshot_taken(struct praft* p, uint64_t now, const struct praft_snapshot* s, unsigned trailing) {
  struct raft_event event = {.time = now, .type = RAFT_SNAPSHOT};
  event.snapshot.trailing = trailing;
  const int rv = metadata_of(s, &event.snapshot.metadata);
  return rv != 0 ? rv : step(p, &event);
}

int praft_installed(struct praft* p, uint64_t now, const struct praft_snapshot* s) {
  struct raft_event event = {.time = now, .type = RAFT_PERSISTED_SNAPSHOT};
  event.persisted_snapshot.last = true;
  const int rv = metadata_of(s, &event.persisted_snapshot.metadata);
  return rv != 0 ? rv : step(p, &event);
}

int praft_transfer(struct praft* p, uint64_t now, uint64_t id) {
  struct raft_event event = {.time = now, .type = RAFT_TRANSFER};
  event.transfer.server_id = id;
  return step(p, &event);
}

int praft_state(struct praft* p) { return (int)raft_state(&p->raft); }
uint64_t praft_term(struct praft* p) { return raft_current_term(&p->raft); }
uint64_t praft_vote(struct praft* p) { return raft_voted_for(&p->raft); }
uint64_t praft_leader(struct praft* p) {
  raft_id id = 0;
  const char* address;
  raft_leader(&p->raft, &id, &address);
  return id;
}
uint64_t praft_commit_index(struct praft* p) { return raft_commit_index(&p->raft); }
uint64_t praft_last_index(struct praft* p) { return raft_last_index(&p->raft); }
uint64_t praft_next_timeout(struct praft* p) { return raft_timeout(&p->raft); }
bool praft_match_index(struct praft* p, uint64_t id, uint64_t* index) {
  raft_index at = 0;
  if (raft_match_index(&p->raft, id, &at) != 0) return false;
  *index = at;
  return true;
}
const char* praft_error(int code) { return raft_strerror(code); }

int praft_encode(const struct praft_server* servers, unsigned n, void** data, size_t* size) {
  struct raft_configuration c;
  struct raft_buffer b;
  raft_configuration_init(&c);
  int rv = 0;
  for (unsigned i = 0; i < n && rv == 0; i++)
    rv = raft_configuration_add(&c, servers[i].id, servers[i].address, servers[i].role);
  if (rv == 0) rv = raft_configuration_encode(&c, &b);
  raft_configuration_close(&c);
  if (rv != 0) return rv;
  *data = b.base;
  *size = b.len;
  return 0;
}

int praft_decode(const void* data, size_t size, void (*each)(void*, struct praft_server), void* context) {
  struct raft_configuration c;
  const int rv = decode(data, size, &c);
  if (rv != 0) return rv;
  for (unsigned i = 0; i < c.n; i++)
    each(context, (struct praft_server){c.servers[i].id, c.servers[i].address, c.servers[i].role});
  raft_configuration_close(&c);
  return 0;
}
void praft_release(void* data) { raft_free(data); }
