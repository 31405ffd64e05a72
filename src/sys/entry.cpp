#include "sys/entry.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "sys/open.h"
#include "sys/stat.h"

namespace plyfs::sys {
namespace {

Status check(int rc) {
    if (rc != 0) return Errno::last();
    return {};
}

}  // namespace

Status make_dir(BorrowedFd dir, const Name& name, mode_t mode) {
    return check(::mkdirat(dir.get(), name.c_str(), mode));
}

Status make_node(BorrowedFd dir, const Name& name, mode_t mode, dev_t device) {
    return check(::mknodat(dir.get(), name.c_str(), mode, device));
}

Status make_symlink(BorrowedFd dir, const Name& name, const char* target) {
    return check(::symlinkat(target, dir.get(), name.c_str()));
}

Result<std::string> path_of(BorrowedFd fd) {
    char buffer[PATH_MAX + 1];
    const ssize_t n = ::readlink(ProcPath(fd).c_str(), buffer, sizeof buffer);
    if (n < 0) return Errno::last();
    std::string path(buffer, static_cast<std::size_t>(n));
    if (!path.starts_with('/') || path.ends_with(" (deleted)")) return Errno(ENOENT);
    return path;
}

Result<std::string> read_symlink(BorrowedFd link) {
    char buffer[PATH_MAX + 1];
    ssize_t n = ::readlinkat(link.get(), "", buffer, sizeof buffer);
    if (n < 0) return Errno::last();
    return std::string(buffer, static_cast<std::size_t>(n));
}

Status unlink_file(BorrowedFd dir, const Name& name) {
    return check(::unlinkat(dir.get(), name.c_str(), 0));
}

Status remove_dir(BorrowedFd dir, const Name& name) {
    return check(::unlinkat(dir.get(), name.c_str(), AT_REMOVEDIR));
}

Status rename_entry(BorrowedFd from_dir, const Name& from, BorrowedFd to_dir, const Name& to, unsigned flags) {
    return check(::renameat2(from_dir.get(), from.c_str(), to_dir.get(), to.c_str(), flags));
}

Status link_fd(BorrowedFd fd, BorrowedFd to_dir, const Name& to) {
    // AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH; without it the magic link does the same.
    if (::linkat(fd.get(), "", to_dir.get(), to.c_str(), AT_EMPTY_PATH) == 0) return {};
    if (errno != ENOENT && errno != EPERM) return Errno::last();
    return check(::linkat(AT_FDCWD, ProcPath(fd).c_str(), to_dir.get(), to.c_str(), AT_SYMLINK_FOLLOW));
}

Status set_size(BorrowedFd fd, off_t size) {
    for (;;) {
        if (::ftruncate(fd.get(), size) == 0) return {};
        if (errno != EINTR) return Errno::last();
    }
}

Status change_size(BorrowedFd fd, off_t size) {
    for (;;) {
        if (::truncate(ProcPath(fd).c_str(), size) == 0) return {};
        if (errno != EINTR) return Errno::last();
    }
}

Status sync_file(BorrowedFd fd, bool data_only) {
    for (;;) {
        if ((data_only ? ::fdatasync(fd.get()) : ::fsync(fd.get())) == 0) return {};
        if (errno != EINTR) return Errno::last();
    }
}

Status sync_file_system(BorrowedFd fd) {
    return ::syncfs(fd.get()) == 0 ? Status() : Status(Errno::last());
}

Status write_out(BorrowedFd fd) {
    constexpr unsigned kAll = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    for (;;) {
        if (::sync_file_range(fd.get(), 0, 0, kAll) == 0) return {};
        if (errno != EINTR) return Errno::last();
    }
}

bool orders_content(BorrowedFd dir) {
    const auto type = fs_type(dir);
    const auto st = stat_fd(dir);
    if (!type || *type != EXT4_SUPER_MAGIC || !st) return false;
    const std::string device =
        "/sys/dev/block/" + std::to_string(st->stx_dev_major) + ":" + std::to_string(st->stx_dev_minor);
    char link[PATH_MAX];
    const ssize_t length = ::readlink(device.c_str(), link, sizeof link);
    if (length <= 0) return false;
    const std::string_view target(link, static_cast<std::size_t>(length));
    const std::string name(target.substr(target.rfind('/') + 1));
    // What ext2 mounts is not there; an external journal has the name of its own device.
    if (::access(("/proc/fs/jbd2/" + name + "-8").c_str(), F_OK) != 0) return false;
    const UniqueFd file(::open(("/proc/fs/ext4/" + name + "/options").c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return false;
    std::string text(8192, '\n');
    const ssize_t size = ::read(file.get(), text.data() + 1, text.size() - 2);
    if (size <= 0) return false;
    const auto has = [&](std::string_view option) { return text.find(option) != std::string::npos; };
    return has("\nbarrier\n") && has("\ndata=") && !has("\njournal_async_commit\n");
}

}  // namespace plyfs::sys
