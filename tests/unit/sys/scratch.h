// Where the tests of sys/ work: a scratch directory, and small loop file systems in this process's own mount
// namespace (they vanish with the process, also when it crashes).
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>

#include "base/fd.h"

namespace plyfs::test {

class ScratchDir {
  public:
    explicit ScratchDir(const std::string& base = std::filesystem::temp_directory_path()) {
        path_ = base + "/plyfs-sys-XXXXXX";
        REQUIRE(::mkdtemp(path_.data()) != nullptr);
        REQUIRE(::chmod(path_.c_str(), 0755) == 0);
    }
    ~ScratchDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    ScratchDir(const ScratchDir&) = delete;
    ScratchDir& operator=(const ScratchDir&) = delete;
    const std::string& path() const { return path_; }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

// Makes a file append-only or immutable (FS_APPEND_FL, FS_IMMUTABLE_FL), or with 0 neither. Its other flags stay: to
// ext4 the one for extents taken away is an order to convert the file, which may fail.
inline bool set_protection(const std::string& path, int flags) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    int now = 0;
    if (!fd.valid() || ::ioctl(fd.get(), FS_IOC_GETFLAGS, &now) != 0) return false;
    now = (now & ~(FS_APPEND_FL | FS_IMMUTABLE_FL)) | flags;
    return ::ioctl(fd.get(), FS_IOC_SETFLAGS, &now) == 0;
}

inline UniqueFd open_or_fail(const std::string& path, int flags, mode_t mode = 0644) {
    UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
    INFO(path);
    REQUIRE(fd.valid());
    return fd;
}

inline struct stat lstat_or_fail(const std::string& path) {
    struct stat st = {};
    INFO(path);
    REQUIRE(::lstat(path.c_str(), &st) == 0);
    return st;
}

inline bool is_root() {
    return ::geteuid() == 0;
}

// Runs the body in a child; its result is the exit code (0 to 255), or -1 when it was killed.
inline int in_child(const std::function<int()>& body) {
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) ::_exit(body());
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

inline bool own_mount_namespace() {
    static const bool own =
        ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    return own;
}

// A fresh loop file system; nothing where that is not possible here (not root, no loop devices, no mkfs).
class LoopFs {
  public:
    static std::optional<LoopFs> make(const ScratchDir& in, const std::string& type, off_t bytes,
                                      const std::string& mkfs_options = "") {
        if (!is_root() || !own_mount_namespace()) return std::nullopt;
        const std::string image = in / (type + ".img");
        const std::string at = in / (type + ".mnt");
        { open_or_fail(image, O_CREAT | O_RDWR); }
        REQUIRE(::truncate(image.c_str(), bytes) == 0);
        REQUIRE(::mkdir(at.c_str(), 0755) == 0);
        const std::string mkfs = "PATH=$PATH:/sbin:/usr/sbin; mkfs." + type + " -q " + mkfs_options + " '" + image +
                                 "' >/dev/null 2>&1 && mount -o loop '" + image + "' '" + at + "' 2>/dev/null";
        if (std::system(mkfs.c_str()) != 0) return std::nullopt;
        REQUIRE(::chmod(at.c_str(), 0777) == 0);
        return LoopFs(at);
    }
    LoopFs(LoopFs&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
    LoopFs& operator=(LoopFs&&) = delete;
    ~LoopFs() {
        if (!path_.empty()) ::umount2(path_.c_str(), MNT_DETACH);
    }
    const std::string& path() const { return path_; }

  private:
    explicit LoopFs(std::string path) : path_(std::move(path)) {}
    std::string path_;
};

}  // namespace plyfs::test
