/* panal-slim.so, preloaded into conmon and the runtime that it starts (sys/crun/slim_library.h says when).

   It owns two savings, and must never change what either program does:

   1. It stands in for libsystemd, as whose name it is known to the dynamic loader. Both programs are linked
   to that for the journal, for readiness messages and for systemd's control group driver. Panal uses none of
   these, and with libsystemd come six more libraries: a third of what loading takes and of a monitor's
   memory. A program that calls one of its functions all the same is told that the system lacks it.
   2. A conmon that has had nothing to do for a while gives back the pages of code it was started with. They
   are shared with every other conmon and with the page cache, and come back when they are used.

   No state, no descriptors, no output. Must be usable from any thread. */
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <poll.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LACKING(name) \
  int name(void);     \
  int name(void) { return -ENOSYS; }
LACKING(sd_bus_call)
LACKING(sd_bus_default_system)
LACKING(sd_bus_default_user)
LACKING(sd_bus_error_get_errno)
LACKING(sd_bus_match_signal_async)
LACKING(sd_bus_message_append)
LACKING(sd_bus_message_append_strv)
LACKING(sd_bus_message_close_container)
LACKING(sd_bus_message_new_method_call)
LACKING(sd_bus_message_open_container)
LACKING(sd_bus_message_read)
LACKING(sd_bus_process)
LACKING(sd_bus_wait)
LACKING(sd_journal_send_with_location)
LACKING(sd_journal_sendv_with_location)
LACKING(sd_notify)
LACKING(sd_notify_barrier)

/* These release what the ones above never gave. */
void sd_bus_error_free(void* error);
void sd_bus_error_free(void* error) { (void)error; }
void* sd_bus_message_unref(void* message);
void* sd_bus_message_unref(void* message) { return (void)message, NULL; }
void* sd_bus_unref(void* bus);
void* sd_bus_unref(void* bus) { return (void)bus, NULL; }

/* Segments that nobody may write to hold what the file holds. (What the loader has relocated and then made
   read-only belongs to a segment with PF_W.) */
static int give_back(struct dl_phdr_info* object, size_t size, void* page) {
  (void)size;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)* segment = &object->dlpi_phdr[i];
    if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W)) continue;
    const size_t mask = *(const size_t*)page - 1, begin = (object->dlpi_addr + segment->p_vaddr) & ~mask,
                 end = (object->dlpi_addr + segment->p_vaddr + segment->p_memsz + mask) & ~mask;
    (void)madvise((void*)begin, end - begin, MADV_DONTNEED);
  }
  return 0;
}

enum { kIdleMs = 500 };

static int wait_ms(struct pollfd* fds, nfds_t count, int timeout_ms) {
  const struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
  return ppoll(fds, count, timeout_ms < 0 ? NULL : &timeout, NULL);
}

/* GLib's main loop waits here. */
int poll(struct pollfd* fds, nfds_t count, int timeout_ms) {
  if (timeout_ms >= 0 && timeout_ms <= kIdleMs) return wait_ms(fds, count, timeout_ms);
  const int ready = wait_ms(fds, count, kIdleMs);
  if (ready != 0) return ready;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  const int before = errno;
  dl_iterate_phdr(give_back, &page);
  errno = before;
  return wait_ms(fds, count, timeout_ms < 0 ? -1 : timeout_ms - kIdleMs);
}
