#include "app/upper_layer.h"

#include <chrono>
#include <thread>
#include <utility>

#include "base/log.h"
#include "overlay/upper.h"
#include "overlay/upper_format.h"
#include "sys/lock.h"
#include "sys/mounted.h"
#include "sys/open.h"

namespace plyfs::app {
namespace {

const Name kWorkName = *Name::parse("work");

// Whether no earlier mount has left a mark that forbids this one. fuse-overlayfs knows no such marks, so called by that
// name nothing is refused.
bool is_compatible(const config::Config& config, BorrowedFd parent, std::string& failure) {
    const auto mark = find_incompatible(parent, kWorkName);
    if (!mark || mark->empty()) return true;
    if (config.drop_in) {
        log::debug("workdir={}: the mark {} of another mount is passed over", config.workdir, *mark);
        return true;
    }
    const std::string place = config.workdir + "/work/incompat/" + *mark;
    failure =
        *mark == "volatile"
            ? "upperdir=" + config.branches[0].path +
                  " was mounted volatile and may be incomplete if the machine has crashed since; remove " + place +
                  " to use it all the same"
            : "workdir=" + config.workdir + " is in use by a feature that is not known here; its mark is " + place;
    return false;
}

// umount(2) does not wait for the daemon, so that the mount before this one may still be letting go of what it has
// locked.
template <typename Lock>
auto when_let_go(Lock lock) {
    constexpr std::chrono::seconds kLongest{3};
    constexpr std::chrono::milliseconds kPause{5};
    const auto latest = std::chrono::steady_clock::now() + kLongest;
    auto locked = lock();
    while (!locked && locked.failed_with(EBUSY) && std::chrono::steady_clock::now() < latest) {
        std::this_thread::sleep_for(kPause);
        locked = lock();
    }
    return locked;
}

// The user's workdir holds a directory "work", as overlayfs makes it, so that the kernel can mount the same upper.
std::unique_ptr<WorkDir> open_workdir(const config::Config& config, const OwnMount& own, std::string& failure) {
    auto parent = own.open(config.workdir);
    auto work = parent ? when_let_go([&] { return WorkDir::open(*parent, kWorkName); }) : parent.error();
    if (work) {
        if (!is_compatible(config, *parent, failure)) return nullptr;
        for (const auto& lack : find_lacks(*parent, kWorkName)) {
            log::warn("upperdir {}: its file system {}", config.branches[0].path, lack);
        }
        return std::move(*work);
    }
    if (work.failed_with(EBUSY)) {
        auto dir = sys::open_dir_path(*parent, kWorkName);
        const int holder = dir ? lock_holder(*dir) : 0;
        failure = "workdir=" + config.workdir + " is in use by another mount" +
                  (holder ? " (pid " + std::to_string(holder) + ")" : "") +
                  ": umount that one, or give each mount a workdir and upperdir of its own";
    } else {
        failure = "workdir=" + config.workdir + " can not be used: " + log::errno_text(work.error().value());
    }
    return nullptr;
}

// Two mounts on one upper would each believe that nobody else changes it, whatever their work directories.
Result<UniqueFd> lock_upper(const config::Config& config, const OwnMount& own, std::string& failure) {
    auto root = TRY(own.open(config.branches[0].path));
    auto lock = TRY(sys::open_dir_for_reading(root));
    auto alone = when_let_go([&] { return sys::lock_alone(lock); });
    if (alone) return lock;
    const int holder = lock_holder(lock);
    failure = "upperdir=" + config.branches[0].path + " is in use by another mount" +
              (holder ? " (pid " + std::to_string(holder) + ")" : "") +
              ": umount that one, or give each mount a workdir and upperdir of its own";
    return alone.error();
}

// False: refused, and why. No index without an order for one is no failure.
bool open_index(const config::Config& config, const OwnMount& own, bool writable,
                const std::shared_ptr<const Origins>& origins, std::unique_ptr<Index>& index, std::string& failure) {
    using Wanted = config::Index;
    if (config.layers.index == Wanted::off) return true;
    Index::Refusal refusal;
    bool exists = false;  // names of changed files may be known to it alone
    if (auto workdir = own.open(config.workdir)) {
        const auto make = !writable                           ? Index::Make::never
                          : config.layers.index == Wanted::on ? Index::Make::now
                                                              : Index::Make::when_needed;
        index = Index::open(origins, *workdir, make, refusal);
        if (index) return true;
        exists = sys::open_dir_path(*workdir, *Name::parse("index")).has_value();
    } else {
        refusal.why = "workdir=" + config.workdir + ": " + log::errno_text(workdir.error().value());
    }
    if (config.layers.index == Wanted::on) {
        failure = "index=on can not be had: " + refusal.why;
        return false;
    }
    if (refusal.stale || exists) {
        log::warn("index=off, hard links of changed files may show the old file: {}", refusal.why);
    } else {
        log::debug("index=off: {}", refusal.why);
    }
    return true;
}

// The kernel takes no lock that we could meet.
bool is_free_of_overlayfs(const config::Config& config, std::string& failure) {
    const std::pair<const char*, const std::string&> used[] = {{"upperdir=", config.branches[0].path},
                                                               {"workdir=", config.workdir}};
    for (const auto& [option, path] : used) {
        const std::string there = sys::overlay_that_changes(path);
        if (there.empty()) continue;
        failure = option + path + " is in use by the kernel's overlayfs on " + there +
                  ": umount that one, or give each mount a workdir and upperdir of its own";
        return false;
    }
    return true;
}

// The directories, and nobody else on them.
bool take_place(const config::Config& config, const OwnMount& own, UpperLayer& out, std::string& failure) {
    if (config.layered && !is_free_of_overlayfs(config, failure)) return false;
    out.workdir = open_workdir(config, own, failure);
    if (!out.workdir) return false;
    // Other pools may use a branch as well.
    if (config.layered) {
        auto lock = lock_upper(config, own, failure);
        if (!lock) {
            if (failure.empty()) failure = log::errno_text(lock.error().value());
            return false;
        }
        out.lock = std::move(*lock);
    }
    if (config.layers.sync || config.drop_in) return true;
    auto marked = mark_volatile(out.workdir->fd());
    if (!marked) {
        failure =
            "workdir=" + config.workdir + " can not be marked as volatile: " + log::errno_text(marked.error().value());
    }
    return marked.has_value();
}

}  // namespace

bool open_upper(const config::Config& config, const OwnMount& own, const std::shared_ptr<BranchSet>& set,
                UpperLayer& out, std::string& failure) {
    if (config.workdir.empty()) return true;
    if (set->any_writable() && !take_place(config, own, out, failure)) return false;
    if (out.workdir && config.layered) {
        MarkRules rules = set->marks();
        if (!choose_upper_format(*out.workdir, config.layers, rules, failure)) return false;
        const bool made = set->rules().make_redirects;
        set->set_marks(rules);
        if (made && rules.user && !rules.user_leads) {
            log::warn(
                "upperdir={}: directories of the layers below can not be renamed (EXDEV): that takes marks which its "
                "file system has only where any user can set them; upper-format=overlay-user,redirect_dir=on takes "
                "them all the same",
                config.branches[0].path);
        }
        log::debug("marks are written as {}", format_text(rules));
    }
    if (!set->rules().keeps_inodes || set->size() < 2) return true;
    out.origins = std::make_shared<const Origins>(set);
    return open_index(config, own, set->any_writable(), out.origins, out.index, failure);
}

}  // namespace plyfs::app
