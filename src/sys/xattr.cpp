#include "sys/xattr.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <optional>

#include "sys/call_numbers.h"
#include "sys/open.h"

namespace plyfs::sys {
namespace {

struct XattrArgs {
    alignas(8) std::uint64_t value;
    std::uint32_t size;
    std::uint32_t flags;
};

std::uint64_t address_of(const void* p) {
    return reinterpret_cast<std::uintptr_t>(p);
}

Result<std::size_t> counted(long n) {
    if (n < 0) return Errno::last();
    return static_cast<std::size_t>(n);
}

Status done(long rc) {
    if (rc < 0) return Errno::last();
    return {};
}

// Runs `real` on the descriptor, and for an O_PATH one `by_path` on its path under /proc: the f*xattr calls
// answer EBADF for O_PATH at the cost of an empty system call, and so do the *xattrat calls with
// AT_EMPTY_PATH.
template <typename Real, typename ByPath>
long on_descriptor(BorrowedFd fd, Real real, ByPath by_path) {
    long rc = real(fd.get());
    if (rc >= 0 || errno != EBADF) return rc;
    rc = by_path(ProcPath(fd).c_str());
    if (rc < 0 && errno == ENOENT) errno = EBADF;  // no such descriptor at all
    return rc;
}

// False once a call has said that this kernel (before 6.13) has none of them.
std::atomic<bool> have_xattrat{true};

// One *xattrat call; nothing if the other way has to be taken.
template <typename... Args>
std::optional<long> try_xattrat(long number, BorrowedFd dir, const char* entry, Args... args) {
    if (!have_xattrat.load(std::memory_order_relaxed)) return std::nullopt;
    const long rc = ::syscall(number, dir.get(), entry, AT_SYMLINK_NOFOLLOW, args...);
    if (rc >= 0 || errno != ENOSYS) return rc;
    have_xattrat.store(false, std::memory_order_relaxed);
    return std::nullopt;
}

// The other way: an O_PATH descriptor of the entry itself.
Result<UniqueFd> open_entry(BorrowedFd dir, const char* entry) {
    UniqueFd fd(::openat(dir.get(), entry, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) return Errno::last();
    return fd;
}

constexpr int kTries = 8;

// Asks for the size, then for the bytes, again when somebody made it larger in between.
template <typename T, typename Ask>
Result<std::vector<T>> fetch_all(Ask ask) {
    std::vector<T> out(256);
    for (int i = 0; i < kTries; ++i) {
        auto got = ask(std::span<T>(out));
        if (got) {
            out.resize(*got);
            return out;
        }
        if (!got.failed_with(ERANGE)) return got.error();
        out.resize(TRY(ask(std::span<T>())) + 64);
    }
    return Errno(ERANGE);
}

}  // namespace

Result<std::size_t> get_xattr(BorrowedFd fd, const char* name, std::span<std::byte> buffer) {
    return counted(on_descriptor(
        fd, [&](int n) { return ::fgetxattr(n, name, buffer.data(), buffer.size()); },
        [&](const char* path) { return ::getxattr(path, name, buffer.data(), buffer.size()); }));
}

Result<std::vector<std::byte>> get_xattr_all(BorrowedFd fd, const char* name) {
    return fetch_all<std::byte>([&](std::span<std::byte> buffer) { return get_xattr(fd, name, buffer); });
}

Status set_xattr(BorrowedFd fd, const char* name, std::span<const std::byte> value, int flags) {
    return done(on_descriptor(
        fd, [&](int n) { return ::fsetxattr(n, name, value.data(), value.size(), flags); },
        [&](const char* path) { return ::setxattr(path, name, value.data(), value.size(), flags); }));
}

Status remove_xattr(BorrowedFd fd, const char* name) {
    return done(on_descriptor(
        fd, [&](int n) { return ::fremovexattr(n, name); },
        [&](const char* path) { return ::removexattr(path, name); }));
}

Result<std::size_t> list_xattr_raw(BorrowedFd fd, std::span<char> buffer) {
    return counted(on_descriptor(
        fd, [&](int n) { return ::flistxattr(n, buffer.data(), buffer.size()); },
        [&](const char* path) { return ::listxattr(path, buffer.data(), buffer.size()); }));
}

Result<std::vector<std::string>> list_xattr(BorrowedFd fd) {
    auto raw = fetch_all<char>([&](std::span<char> buffer) { return list_xattr_raw(fd, buffer); });
    std::vector<std::string> names;
    if (raw.failed_with(ENOTSUP)) return names;
    if (!raw) return raw.error();
    const char* end = raw->data() + raw->size();
    for (const char* at = raw->data(); at < end; at += names.back().size() + 1) names.emplace_back(at);
    return names;
}

Result<std::size_t> get_xattr_at(BorrowedFd dir, const char* entry, const char* name, std::span<std::byte> buffer) {
    XattrArgs args{address_of(buffer.data()), static_cast<std::uint32_t>(buffer.size()), 0};
    if (auto rc = try_xattrat(kGetxattrat, dir, entry, name, &args, sizeof args)) return counted(*rc);
    return get_xattr(TRY(open_entry(dir, entry)), name, buffer);
}

Status set_xattr_at(BorrowedFd dir, const char* entry, const char* name, std::span<const std::byte> value, int flags) {
    XattrArgs args{address_of(value.data()), static_cast<std::uint32_t>(value.size()),
                   static_cast<std::uint32_t>(flags)};
    if (auto rc = try_xattrat(kSetxattrat, dir, entry, name, &args, sizeof args)) return done(*rc);
    return set_xattr(TRY(open_entry(dir, entry)), name, value, flags);
}

Status remove_xattr_at(BorrowedFd dir, const char* entry, const char* name) {
    if (auto rc = try_xattrat(kRemovexattrat, dir, entry, name)) return done(*rc);
    return remove_xattr(TRY(open_entry(dir, entry)), name);
}

Result<std::size_t> list_xattr_raw_at(BorrowedFd dir, const char* entry, std::span<char> buffer) {
    if (auto rc = try_xattrat(kListxattrat, dir, entry, buffer.data(), buffer.size())) return counted(*rc);
    return list_xattr_raw(TRY(open_entry(dir, entry)), buffer);
}

bool may_use_trusted_xattrs() {
    const UniqueFd probe(::memfd_create("plyfs-probe", MFD_CLOEXEC));
    return !probe.valid() || (::fremovexattr(probe.get(), "trusted.plyfs.probe") == 0 || errno != EPERM);
}

}  // namespace plyfs::sys
