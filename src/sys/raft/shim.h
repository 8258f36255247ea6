/* libraft 0.22.1 behind plain C types: its header does not compile as C++, and its rules of memory ownership
 * (who frees an entry, a configuration, a message) stay in shim.c. Every call is one raft_step(). */
#ifndef PANAL_RAFT_SHIM_H
#define PANAL_RAFT_SHIM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct praft;

struct praft_entry {
  uint64_t term;
  int type;
  const void* data;
  size_t size;
};

struct praft_snapshot {
  uint64_t index, term, configuration_index;
  const void* configuration;
  size_t configuration_size;
};

struct praft_message {
  int type;
  uint64_t peer;
  const char* address;
  uint64_t term, prev_index, prev_term, commit, rejected, last_index;
  bool granted, pre_vote, disrupt;
  const struct praft_entry* entries; /* incoming only */
  unsigned n_entries;
  struct praft_snapshot snapshot;
};

struct praft_sink {
  void* context;
  void (*term_or_vote)(void* context);
  void (*entries)(void* context, uint64_t from, const struct praft_entry* entries, unsigned n);
  void (*install)(void* context, const struct praft_snapshot* snapshot);
  void (*message)(void* context, const struct praft_message* message);
};

struct praft* praft_new(uint64_t id, const char* address, unsigned seed, unsigned election_ms,
                        unsigned heartbeat_ms, struct praft_sink sink);
void praft_free(struct praft* p);

/* All return 0 or one of libraft's error codes. */
int praft_start(struct praft* p, uint64_t now, uint64_t term, uint64_t vote,
                const struct praft_snapshot* snapshot, uint64_t log_start, const struct praft_entry* entries,
                unsigned n);
int praft_receive(struct praft* p, uint64_t now, const struct praft_message* message);
int praft_timeout(struct praft* p, uint64_t now);
int praft_submit(struct praft* p, uint64_t now, int type, const void* data, size_t size);
int praft_persisted(struct praft* p, uint64_t now, uint64_t index);
int praft_configuration(struct praft* p, uint64_t now, uint64_t index, const void* conf, size_t size);
int praft_snapshot_taken(struct praft* p, uint64_t now, const struct praft_snapshot* snapshot,
                         unsigned trailing);
int praft_installed(struct praft* p, uint64_t now, const struct praft_snapshot* snapshot);
int praft_transfer(struct praft* p, uint64_t now, uint64_t id);

int praft_state(struct praft* p);
uint64_t praft_term(struct praft* p);
uint64_t praft_vote(struct praft* p);
uint64_t praft_leader(struct praft* p);
uint64_t praft_commit_index(struct praft* p);
uint64_t praft_last_index(struct praft* p);
uint64_t praft_next_timeout(struct praft* p);
bool praft_match_index(struct praft* p, uint64_t id, uint64_t* index);
const char* praft_error(int code);

/* Configuration bytes: encode writes a malloc'ed buffer; decode calls `each` per server. */
struct praft_server {
  uint64_t id;
  const char* address;
  int role;
};
int praft_encode(const struct praft_server* servers, unsigned n, void** data, size_t* size);
int praft_decode(const void* data, size_t size, void (*each)(void* context, struct praft_server server),
                 void* context);
void praft_release(void* data);

#ifdef __cplusplus
}
#endif
#endif
