#include "ctl/branch_walk.h"

#include <vector>

#include "base/log.h"
#include "control/own_names.h"
#include "ctl/failure.h"
#include "ctl/text.h"
#include "sys/dirent.h"
#include "sys/open.h"

namespace plyfs::ctl {
namespace {

class Walker {
  public:
    Walker(const std::string& root, const std::function<void(const OnDisk&)>& visit) : root_(root), visit_(visit) {}

    void walk() {
        const auto fd = sys::open_root(root_.c_str());
        const auto st = fd ? sys::stat_fd(*fd) : fd.error();
        if (!st) fail("", st.error());
        device_ = sys::device_of(*st);
        walk_dir(*fd, "");
    }

  private:
    [[noreturn]] void fail(const std::string& path, Errno e) const {
        throw Failure(shown(root_ + (path.empty() ? "" : "/" + path)) +
                      " can not be read: " + log::errno_text(e.value()));
    }

    std::vector<std::string> names_in(BorrowedFd dir, const std::string& path) const {
        auto fd = sys::open_dir_for_reading(dir);
        if (!fd) fail(path, fd.error());
        sys::DirReader reader(std::move(*fd));
        std::vector<std::string> names;
        for (sys::DirEntry entry;;) {
            const auto more = reader.next(entry);
            if (!more) fail(path, more.error());
            if (!*more) return names;
            const bool own = path.empty() && (entry.name == "lost+found" || control::is_own_name(entry.name));
            if (!entry.is_dot() && !own) names.emplace_back(entry.name);
        }
    }

    void walk_dir(BorrowedFd dir, const std::string& path) {
        for (const std::string& written : names_in(dir, path)) {
            const auto name = Name::parse(written);
            auto st = name ? sys::stat_at(dir, *name) : name.error();
            if (st.failed_with(ENOENT)) continue;
            const std::string below = path.empty() ? written : path + "/" + written;
            if (!st) fail(below, st.error());
            if (sys::device_of(*st) != device_) continue;
            if (sys::is_dir(*st)) {
                const auto fd = sys::open_dir_path(dir, *name);
                if (fd.failed_with(ENOENT)) continue;
                if (!fd) fail(below, fd.error());
                walk_dir(*fd, below);
            }
            visit_({below, *st});
        }
    }

    const std::string& root_;
    const std::function<void(const OnDisk&)>& visit_;
    std::uint64_t device_ = 0;
};

}  // namespace

void walk_branch(const std::string& root, const std::function<void(const OnDisk&)>& visit) {
    Walker(root, visit).walk();
}

}  // namespace plyfs::ctl
