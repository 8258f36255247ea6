#include "base/as_user.h"

#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

#include "base/check.h"

namespace panal {

// Without that bit the powers over files went with the user id.
AsUser::AsUser(uint32_t uid, uint32_t gid) : changed_(uid != 0) {
  if (!changed_) return;
  CHECK(::prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0);
  ::setfsgid(gid), ::setfsuid(uid);
}

AsUser::~AsUser() {
  if (!changed_) return;
  ::setfsuid(0), ::setfsgid(0);
  CHECK(::prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) == 0);
}

}  // namespace panal
