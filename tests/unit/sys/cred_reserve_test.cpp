// Reserved blocks of ext4 are root's: who may use them decides whether a full disk stays full for a user.
#include <vector>

#include "scratch.h"
#include "sys/cred.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

constexpr std::size_t kChunk = 64 << 10;

// Appends until an error or `limit` bytes; the bytes written.
std::size_t fill(BorrowedFd fd, std::size_t limit, int& error) {
    const std::vector<char> chunk(kChunk, 'x');
    std::size_t written = 0;
    error = 0;
    while (written < limit) {
        const ssize_t n = ::write(fd.get(), chunk.data(), chunk.size());
        if (n < 0) {
            error = errno;
            break;
        }
        written += static_cast<std::size_t>(n);
    }
    return written;
}

std::optional<LoopFs> make_reserving_fs(const ScratchDir& scratch) {
    auto fs = LoopFs::make(scratch, "ext4", 64 << 20, "-m 10");
    if (!fs) MESSAGE("skipped: no loop ext4 here");
    return fs;
}

template <typename Guard>
void check_reserve_is_kept(const std::string& at, Guard make_guard) {
    auto fd = open_or_fail(at + "/fill", O_CREAT | O_WRONLY);
    int error = 0;
    {
        auto guard = make_guard();
        REQUIRE(guard.status());
        CHECK(fill(fd, 64 << 20, error) > 30 << 20);
        CHECK(error == ENOSPC);
        REQUIRE(::fsync(fd.get()) == 0);
        fill(fd, 64 << 20, error);
        CHECK(error == ENOSPC);
    }
    // The daemon itself still gets at the 6 MiB.
    CHECK(fill(fd, 3 << 20, error) == 3 << 20);
    CHECK(error == 0);
    {
        auto guard = make_guard();
        CHECK(fill(fd, 1 << 20, error) == 0);
        CHECK(error == ENOSPC);
    }
    REQUIRE(::unlink((at + "/fill").c_str()) == 0);
}

}  // namespace

TEST_CASE("data written under RegistrationCred leaves the reserved blocks alone") {
    ScratchDir scratch;
    auto fs = make_reserving_fs(scratch);
    if (!fs) return;
    check_reserve_is_kept(fs->path(), [] { return sys::RegistrationCred(); });
}

TEST_CASE("data written as a user leaves the reserved blocks alone") {
    ScratchDir scratch;
    auto fs = make_reserving_fs(scratch);
    if (!fs) return;
    check_reserve_is_kept(fs->path(), [] { return sys::ActAs({.uid = 1000, .gid = 1000}); });
}
