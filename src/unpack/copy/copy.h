// COPY, ADD and WORKDIR of a Dockerfile, on trees that are open.
#pragma once
#include <vector>

#include "base/fd.h"
#include "image/copy_job.h"

namespace panal {

/// Over names, kinds, modes, attributes, links and contents of what is taken; not over times, owners (but a
/// stage's) and the destination.
Result<CopyDigestLine> digest_copy(const CopyJob& job, const std::vector<Fd>& trees);
/// The layer that the copy adds to the root file system `base`, as a tar; nothing at all when it changes
/// nothing.
Result<> write_copy(const CopyJob& job, const std::vector<Fd>& trees, int base, int to);

}  // namespace panal
