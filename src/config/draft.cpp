#include "config/draft.h"

#include <algorithm>
#include <initializer_list>
#include <set>

#include "config/error.h"
#include "config/options.h"
#include "config/policy_words.h"

namespace plyfs::config {
namespace {

constexpr std::size_t kMostLowers = 500;  // as the kernel's overlayfs

// A fault of options together: told with the place of the first of them that was written in a file.
void refuse(Draft& draft, std::initializer_list<std::string_view> options, const std::string& what) {
    std::string place;
    for (const std::string_view option : options) {
        const auto found = draft.places.find(std::string(option));
        if (found != draft.places.end() && place.empty()) place = found->second + ": ";
    }
    draft.errors.push_back(place + what);
}

void settle_layers(Draft& draft) {
    Config& config = draft.config;
    const std::vector<std::string> lowers = draft.lowerdirs.value_or(std::vector<std::string>());
    const std::size_t count = lowers.size() + draft.datadirs.size();
    config.layered = true;
    config.pool = PoolOptions();
    config.pool.min_free = {};
    config.pool.failover = ReadFailover::off;  // what lies below is another file
    config.pool.files.statfs_ignore = StatfsIgnore::unchangeable;
    if (config.layers.handles) {
        config.pool.files.handles = config.pool.files.keep_nodes = true;
        // Who comes with a handle can not be sent to walk again to a file that was copied up.
        config.layers.readers = CopyUpReaders::follow;
    }
    if (draft.branches) {
        refuse(draft, {"branches", "lowerdir"}, "branches= and lowerdir= exclude each other; use one of them");
    }
    if (lowers.empty() && draft.errors.empty()) {
        refuse(draft, {"upperdir", "datadir+"},
               draft.datadirs.empty() ? "upperdir= has no layer below it; name one with lowerdir="
                                      : "data-only layers have no layer above them; name one with lowerdir=");
    }
    if (count > kMostLowers) {
        refuse(draft, {"lowerdir", "lowerdir+"},
               "lowerdir= names " + std::to_string(count) + " directories; the most is " + std::to_string(kMostLowers));
    }
    if (!draft.upperdir.empty()) {
        config.branches.push_back({draft.upperdir, BranchMode::rw, "upperdir=" + draft.upperdir});
        if (config.workdir.empty()) {
            refuse(draft, {"upperdir"},
                   "upperdir= needs workdir=; name an empty directory beside upperdir, on the same file system");
        }
    } else if (!config.workdir.empty()) {
        draft.notices.push_back("option workdir has no effect without upperdir=: nothing can be changed");
        config.workdir.clear();
    }
    for (const std::string& path : lowers) config.branches.push_back({path, BranchMode::ro, "lowerdir=" + path});
    for (const std::string& path : draft.datadirs) {
        config.branches.push_back({path, BranchMode::ro, "datadir=" + path});
    }
    config.data_layers = static_cast<int>(draft.datadirs.size());
    if (!draft.squash_to_root) return;
    if (!config.layers.squash_uid) config.layers.squash_uid = 0;
    if (!config.layers.squash_gid) config.layers.squash_gid = 0;
}

bool is_given(const Draft& draft, std::string_view name) {
    return std::any_of(draft.seen.begin(), draft.seen.end(),
                       [&](const Option* option) { return option->name == name; });
}

// mergerfs has no word for waiting but the time.
void settle_missing(Draft& draft) {
    PoolOptions& pool = draft.config.pool;
    pool.missing = draft.missing.value_or(pool.mount_timeout > 0 ? BranchesMissing::wait : BranchesMissing::fail);
    if (pool.missing == BranchesMissing::wait && pool.mount_timeout == 0) {
        refuse(draft, {"branches-missing"},
               "branches-missing=wait does not say how long; add branches-mount-timeout=SECONDS");
    }
    if (pool.missing != BranchesMissing::wait && (pool.mount_timeout > 0 || pool.mount_timeout_fail)) {
        draft.notices.push_back(
            "options branches-mount-timeout and branches-mount-timeout-fail have no effect without "
            "branches-missing=wait");
    }
}

// Each as name=value.
void refuse_both(Draft& draft, const std::string& a, const std::string& b, std::string_view about) {
    const auto name_of = [](const std::string& word) { return std::string_view(word).substr(0, word.find('=')); };
    refuse(draft, {name_of(a), name_of(b)},
           "options " + a + " and " + b + " both say " + std::string(about) + "; leave one of them out");
}

// Words of ours for what mergerfs' policies say as well.
void settle_copies(Draft& draft) {
    Policies& policies = draft.config.pool.policies;
    if (draft.selection) {
        const Policy chosen = policies.of(Function::getattr);
        const std::string word = "selection=" + std::string(policy_name(*draft.selection));
        for (std::string name : {"category.search", "func.getattr"}) {
            if (!is_given(draft, name) || chosen == *draft.selection) continue;
            refuse_both(draft, word, name + "=" + std::string(policy_name(chosen)), "which copy answers");
        }
        policies.set(Function::getattr, *draft.selection);
    }
    if (!draft.unlink_winner) return;
    const Policy removed = policies.of(Function::unlink);
    if (is_given(draft, "func.unlink") && removed != Policy::all && removed != Policy::epall) {
        refuse_both(draft, std::string("unlink=") + (*draft.unlink_winner ? "winner" : "all"),
                    "func.unlink=" + std::string(policy_name(removed)), "which copies are removed");
    }
    policies.set(Function::unlink, Policy::epall);
    draft.config.pool.unlink_winner = *draft.unlink_winner;
}

// One file is one node, whose bytes, attributes and target come from one branch.
void note_readers(Draft& draft) {
    constexpr std::pair<std::string_view, Function> kReaders[] = {{"func.access", Function::access},
                                                                  {"func.getxattr", Function::getxattr},
                                                                  {"func.listxattr", Function::listxattr},
                                                                  {"func.open", Function::open},
                                                                  {"func.readlink", Function::readlink}};
    const Policies& policies = draft.config.pool.policies;
    const Policy winner = policies.of(Function::getattr);
    for (const auto& [name, function] : kReaders) {
        if (policies.of(function) == winner || !is_given(draft, name)) continue;
        draft.notices.push_back(
            "option " + std::string(name) + "=" + std::string(policy_name(policies.of(function))) +
            " has no effect: what is read is what is shown, by func.getattr=" + std::string(policy_name(winner)));
    }
}

void settle_pool(Draft& draft) {
    Config& config = draft.config;
    config.branches = draft.branches.value_or(std::vector<BranchSpec>());
    // Branches that were named wrongly have been told of already.
    if (config.branches.empty() && draft.errors.empty()) {
        draft.errors.push_back(config.drop_in
                                   ? "there is nothing to merge; name the layers with -o lowerdir=DIR:..."
                                   : "there is nothing to merge; name BRANCHES before the mountpoint, or lowerdir=");
    }
    config.layers = LayerOptions();
    config.pool.files.control = true;
    settle_missing(draft);
    settle_copies(draft);
    note_readers(draft);
    int writable = 0;
    for (const BranchSpec& branch : config.branches) {
        if (branch.mode != BranchMode::ro) writable += branch.pattern ? 2 : 1;  // a pattern may be of many
    }
    if (!config.workdir.empty() && writable > 1) {
        refuse(draft, {"workdir"},
               "workdir= serves one writable branch, and there are " + std::to_string(writable) +
                   "; leave workdir= out, then each prepares changes inside itself");
    } else if (!config.workdir.empty() && writable == 0) {
        draft.notices.push_back("option workdir has no effect without a writable branch");
        config.workdir.clear();
    }
}

void refuse_duplicates(Draft& draft) {
    std::set<std::string> seen;
    for (const BranchSpec& branch : draft.config.branches) {
        if (seen.insert(branch.path).second) continue;
        refuse(draft, {"branches", "lowerdir", "lowerdir+"},
               "directory " + branch.path + " is named twice; name each branch once");
    }
}

// overlayfs refuses to look through a redirect in user.overlay.*, and userxattr is asked for to share layers with it.
void settle_user_marks(Draft& draft) {
    LayerOptions& layers = draft.config.layers;
    const bool given = is_given(draft, "redirect_dir");
    if (layers.userxattr && !given) layers.redirect_dir = RedirectDir::follow;
    const bool asked = layers.redirect_dir == RedirectDir::on || layers.redirect_dir == RedirectDir::follow;
    layers.user_leads = given && asked && (layers.userxattr || layers.upper_format == UpperFormat::overlay_user);
}

// An option of the other use would change nothing: say so, once each.
void note_misplaced(Draft& draft) {
    std::set<const Option*> noted;
    for (const Option* option : draft.seen) {
        const bool misplaced = draft.config.layered ? option->use == Use::pool && option->name != "branches"
                                                    : option->use == Use::layers && option->group == Group::layers;
        if (!misplaced || !noted.insert(option).second) continue;
        const bool places = option->group == Group::placement;
        draft.notices.push_back("option " + std::string(option->name) +
                                (!draft.config.layered ? " has no effect without lowerdir=: it is about layers"
                                 : places              ? " has no effect with lowerdir=: all changes go to upperdir"
                                                       : " has no effect with lowerdir=: it is about pools"));
    }
}

// What a daemon has that can not be handed to the next one.
void settle_supervision(Draft& draft, bool root) {
    Config& config = draft.config;
    if (config.seccomp && !root) {
        refuse(draft, {"seccomp"},
               "seccomp=on needs root: a user's mounts are taken away by another program, fusermount3");
    }
    if (!config.supervise) return;
    if (config.drop_in) {
        refuse(draft, {"supervise"}, "supervise=on is not for container engines, which do that themselves");
    }
    if (config.transport == Transport::io_uring) {
        refuse(draft, {"supervise", "transport"},
               "supervise=on and transport=io_uring: rings end with the daemon that has them; leave one of them out");
    }
    if (config.locks == Locks::forward) {
        refuse(draft, {"supervise", "locks"},
               "supervise=on and locks=forward: the daemon's locks end with it; leave one of them out");
    }
    config.transport = Transport::devfuse;
}

}  // namespace

// What passes through is written as its caller has opened it, whatever the mount says (fs/fuse/passthrough.c).
void settle_sync(Draft& draft) {
    const auto& words = draft.config.kernel_options;
    const bool sync = std::find(words.begin(), words.end(), "sync") != words.end();
    if (!sync || draft.config.passthrough == Passthrough::off) return;
    draft.config.passthrough = Passthrough::off;
    draft.notices.push_back(
        "sync: writes go through the daemon, without passthrough; branches whose file systems are "
        "mounted sync need neither");
}

Config settle(Draft& draft, bool root) {
    Config& config = draft.config;
    config.branches.clear();
    if (draft.lowerdirs || !draft.datadirs.empty() || !draft.upperdir.empty()) {
        settle_layers(draft);
    } else {
        settle_pool(draft);
    }
    refuse_duplicates(draft);
    settle_user_marks(draft);
    note_misplaced(draft);
    settle_supervision(draft, root);
    settle_sync(draft);
    if (config.mountpoint.empty() && !draft.mountpoint_told) {
        draft.errors.push_back("the mountpoint is missing; name it as the last word or in the configuration file");
    }
    config.allow_other = draft.allow_other.value_or(root);
    if (config.debug) {
        config.foreground = true;
        config.log_level = log::Level::debug;
    }
    if (draft.log_level) config.log_level = *draft.log_level;
    if (!draft.errors.empty()) throw Error(ExitCode::usage, draft.errors);
    return config;
}

}  // namespace plyfs::config
