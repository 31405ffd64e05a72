#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/failure.h"
#include "ctl/mounts.h"
#include "ctl/mover.h"
#include "ctl/text.h"

namespace plyfs::ctl {
namespace {

// From now on nothing new comes to it.
void close_branch(const Mount& mount, const std::string& branch) {
    Json request;
    request.add("command", "branch-mode").add("branch", branch).add("mode", "nc");
    ask(mount, request);
}

class Drain {
  public:
    Drain(const Mount& mount, const std::string& branch)
        : branch_(branch), mover_(mount, branch, ""), progress_(bytes_on(branch)) {}

    // Files first, those with several names once all are met; then directories, which are empty by then.
    const Moved& run() {
        walk_branch(branch_, [&](const OnDisk& object) {
            if (!object.is_dir()) take(object);
        });
        for (const auto& [inode, names] : linked_) move(names.paths, names.bytes);
        walk_branch(branch_, [&](const OnDisk& object) {
            if (object.is_dir()) mover_.move({object.path}, 0);
        });
        return mover_.moved();
    }

  private:
    struct Names {
        std::vector<std::string> paths;
        std::uint64_t bytes = 0;
    };

    static std::uint64_t bytes_on(const std::string& branch) {
        std::uint64_t bytes = 0;
        walk_branch(branch,
                    [&](const OnDisk& object) { bytes += bytes_of(object) / std::max(1U, object.st.stx_nlink); });
        return bytes;
    }

    void take(const OnDisk& object) {
        const std::uint64_t bytes = bytes_of(object);
        if (object.st.stx_nlink < 2) return move({object.path}, bytes);
        Names& names = linked_[object.st.stx_ino];
        names.paths.push_back(object.path);
        names.bytes = bytes;
        if (names.paths.size() < object.st.stx_nlink) return;
        move(names.paths, bytes);
        linked_.erase(object.st.stx_ino);
    }

    void move(const std::vector<std::string>& paths, std::uint64_t bytes) {
        mover_.move(paths, bytes);
        progress_.add(bytes, paths[0]);
    }

    const std::string branch_;
    Mover mover_;
    Progress progress_;
    std::map<std::uint64_t, Names> linked_;  // by inode: some of their names
};

}  // namespace

int run_drain(const Words& words) {
    const Mount mount = writable_mount_of(words.arguments[0]);
    const std::string branch = branch_path(words.arguments[1]);
    close_branch(mount, branch);
    const Moved moved = Drain(mount, branch).run();
    return report(moved, words.json,
                  fmt::format("{}: {} objects with {} moved, {} stay; its mode is nc now", shown(branch), moved.objects,
                              size_text(moved.bytes), moved.stayed.size()));
}

}  // namespace plyfs::ctl
