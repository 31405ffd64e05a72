// A pool of small disks whose first is about to be full: for what a file does that meets the end of its branch.
#pragma once

#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"
#include "support/stats.h"

namespace plyfs::test {

// Whoever writes does so through the daemon, whatever is free.
inline constexpr const char* kAllCaught =
    "minfreespace=0,create=ff,cache.statfs=0,moveonenospc=ff,moveonenospc-reserve=100%";

struct FullDisks {
    explicit FullDisks(const std::string& kind = "ext4", unsigned mib = 32) {
        if (is_standin()) skip("about plyfs itself");
        for (const char* name : {"a", "b", "c"}) disks.emplace_back(kind, scratch.path(), name, mib);
        mnt = scratch.dir("mnt");
    }
    // Nothing is left behind where files are prepared.
    ~FullDisks() {
        mount.reset();
        for (const LoopFs& disk : disks) {
            for (const std::string& name : list_dir(disk.path())) {
                if (name.starts_with(".plyfs.")) FAILED_CHECK("a work directory stays: " + disk / name);
            }
        }
    }
    void start(const std::string& options = kAllCaught, const std::string& more_branches = "") {
        mount.reset();
        mount.emplace(options, disks[0].path() + ":" + disks[1].path() + ":" + disks[2].path() + more_branches, mnt);
    }
    std::string at(char disk, const std::string& name) const {
        return disks[static_cast<std::size_t>(disk - 'a')] / name;
    }
    std::string operator/(const std::string& name) const { return mnt + "/" + name; }
    // "ac": on which disks the name is.
    std::string where(const std::string& name) const {
        std::string out;
        for (char disk : {'a', 'b', 'c'}) {
            if (exists(at(disk, name))) out += disk;
        }
        return out;
    }
    static std::uint64_t free_on(const std::string& path) {
        struct statvfs st;
        OK(::statvfs(path.c_str(), &st));
        return static_cast<std::uint64_t>(st.f_bavail) * st.f_frsize;
    }
    // Until so much is left.
    void fill(char disk, std::uint64_t left = 0) const {
        UniqueFd file = open_file(at(disk, "filler"), O_CREAT | O_WRONLY | O_APPEND);
        for (std::uint64_t chunk = 4 << 20; chunk >= 4096;) {
            const std::uint64_t free = free_on(at(disk, ""));
            const off_t size = stat_of(file.get()).st_size;
            const bool fits = free >= left + chunk;
            if (!fits || ::fallocate(file.get(), 0, size, static_cast<off_t>(chunk)) != 0) chunk /= 2;
        }
        ::fsync(file.get());
    }
    void free(char disk) const { OK(::unlink(at(disk, "filler").c_str())); }
    long moves() const { return mount->stats()["moves"]; }

    Scratch scratch;
    std::vector<LoopFs> disks;
    std::string mnt;
    std::optional<Mount> mount;
};

// 0 or errno.
inline int try_write(int fd, std::string_view data, off_t at) {
    for (std::size_t done = 0; done < data.size();) {
        const ssize_t n = ::pwrite(fd, data.data() + done, data.size() - done, at + static_cast<off_t>(done));
        if (n < 0) return errno;
        done += static_cast<std::size_t>(n);
    }
    return 0;
}

}  // namespace plyfs::test
