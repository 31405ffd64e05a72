// The one place that includes libfuse's headers, for all files of this room.
#pragma once

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 17)
#include <fuse_lowlevel.h>

// statx arrived with libfuse 3.18.
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
#define PLYFS_FUSE_HAS_STATX 1
#else
#define PLYFS_FUSE_HAS_STATX 0
#endif
