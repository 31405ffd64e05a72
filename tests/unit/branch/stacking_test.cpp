#include "branch/stacking.h"

#include <doctest/doctest.h>

using plyfs::stacking_of;

TEST_CASE("stacking: what file systems are by their type, and those on FUSE by their name") {
    constexpr std::uint64_t kExt4 = 0xef53, kOverlay = 0x794c7630, kEcryptfs = 0xf15f, kFuse = 0x65735546;
    CHECK(stacking_of(kExt4, "ext4") == 0);
    CHECK(stacking_of(kOverlay, "overlay") == 1);
    CHECK(stacking_of(kEcryptfs, "ecryptfs") == 1);
    // Their data is elsewhere, or in another form.
    for (const char* name : {"fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.gocryptfs", "fuseblk"}) {
        CAPTURE(name);
        CHECK(stacking_of(kFuse, name) == 0);
    }
    // These may have handed on what lies on another file system.
    for (const char* name : {"fuse.plyfs", "fuse.mergerfs", "fuse.fuse-overlayfs", "fuse", "fuse.", ""}) {
        CAPTURE(name);
        CHECK(stacking_of(kFuse, name) == 1);
    }
}
