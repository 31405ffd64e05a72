#include "branch/probe.h"

#include <linux/magic.h>

#include <algorithm>
#include <optional>

#include "base/log.h"
#include "branch/stacking.h"
#include "sys/mount.h"
#include "sys/mounted.h"
#include "sys/open.h"
#include "sys/stat.h"
#include "sys/waiting.h"
#include "sys/xattr.h"

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

namespace plyfs {
namespace {

// What other machines change as well: by a server, or on a disk that they share.
constexpr std::uint64_t kNetworks[] = {
    FUSE_SUPER_MAGIC,
    0x6969,      // NFS
    0xff534d42,  // CIFS
    0xfe534d42,  // SMB2
    0x00c36400,  // Ceph
    0x01021997,  // 9p
    0x5346414f,  // AFS
    0x6b414653,  // AFS of the kernel
    0x0bd00bd0,  // Lustre
    0x7461636f,  // OCFS2
    0x01161970,  // GFS2
};

bool is_network(std::uint64_t type) {
    return std::find(std::begin(kNetworks), std::end(kNetworks), type) != std::end(kNetworks);
}

// Whether marks that lead elsewhere count where any user can set them. Who can not have trusted.* has no others, and no
// more rights than those whom they would lead somewhere.
bool users_lead(const config::LayerOptions& layers) {
    return layers.user_leads || !sys::may_use_trusted_xattrs();
}

LayerRules rules_of(const config::Config& config, bool users_lead) {
    const config::LayerOptions& layers = config.layers;
    LayerRules rules;
    rules.follow_redirects = layers.redirect_dir != config::RedirectDir::nofollow && (users_lead || !layers.userxattr);
    rules.make_redirects = config.layered && layers.redirect_dir == config::RedirectDir::on;
    // A metacopy that is renamed is found again by its redirect.
    rules.make_metacopies = rules.make_redirects && layers.metacopy;
    rules.keeps_inodes = config.layered && config.branches[0].mode != config::BranchMode::ro;
    rules.marks_protection = rules.keeps_inodes;
    rules.data_layers = config.data_layers;
    rules.marks = config.layered || config.pool.whiteouts;
    // Whoever has no name remembered wants to see that a layer changed.
    rules.fixed = config.layered && config.entry_timeout.value_or(1) > 0 && config.negative_timeout.value_or(1) > 0;
    // Where somebody lives, something changes.
    for (const auto& branch : config.branches) rules.fixed = rules.fixed && !branch.holds_mountpoint;
    return rules;
}

std::string failure_line(const config::BranchSpec& spec, const char* what, Errno err) {
    return fmt::format("branch {}: {}: {}", spec.written.empty() ? spec.path : spec.written, what,
                       log::errno_text(err.value()));
}

// The root of an upper that keeps owners in attributes says so itself, for whoever mounts it as a layer later; what its
// own owner and mode are it takes from the layer that answered until now.
Status seed_upper(const std::vector<std::unique_ptr<Branch>>& branches) {
    if (branches.empty() || !branches[0]->writable()) return {};
    std::optional<sys::Stat> below;
    for (std::size_t i = 1; i < branches.size() && !below; ++i) {
        if (branches[i]->ownership().overrides()) below = TRY(branches[i]->stat_fd(branches[i]->root()));
    }
    return seed_root(branches[0]->ownership(), branches[0]->root(), below);
}

// What we change ourselves is not shown as what a layer holds.
Status set_own_apart(const config::Config& config, BranchSet& set) {
    if (!config.layers.inside_lower || !set.any_writable()) return {};
    set.trap(sys::key_of(TRY(sys::stat_fd(set.at(0).root()))));
    set.trap(sys::key_of(TRY(sys::stat_fd(TRY(sys::open_root(config.workdir.c_str()))))));
    return {};
}

void look_at_root(Branch::Parts& parts, const sys::Stat& st, const struct statvfs& fs, std::uint64_t type) {
    parts.device = sys::device_of(st);
    parts.root_key = sys::key_of(st);
    parts.read_only_fs = (fs.f_flag & ST_RDONLY) != 0;
    parts.stacking = stacking_of(type, type == FUSE_SUPER_MAGIC ? sys::type_of_mounted(parts.device) : std::string());
    parts.network = is_network(type);
}

bool protect_root(Branch::Parts& parts, const config::BranchSpec& spec, ProbeFailure& failure) {
    const auto submounts = spec.holds_mountpoint ? sys::Submounts::without : sys::Submounts::with;
    auto clone = sys::clone_read_only(parts.root, submounts);
    if (clone) {
        parts.root = std::move(*clone);
        parts.cloned = true;
        return true;
    }
    if (spec.holds_mountpoint) {
        failure.message = failure_line(
            spec, "the mountpoint lies in it, and it can not be cloned; mount somewhere else", clone.error());
        return false;
    }
    log::debug("branch {}: no private read-only clone: {}", spec.path, log::errno_text(clone.error().value()));
    return true;
}

// A file in passthrough is read by the kernel, and by the branch's own mount it sets access times or not.
void tell_of_access_times(const Branch::Parts& parts, const struct statvfs& fs) {
    if ((fs.f_flag & (ST_NOATIME | ST_RDONLY)) != 0) return;
    log::warn("noatime: reading files of {} goes on setting their access times, for it is not mounted noatime itself",
              parts.path);
}

// Nothing, and why in failure.
std::optional<Branch::Parts> probe_branch(const config::Config& config, const config::BranchSpec& spec,
                                          const OwnMount& own, ProbeFailure& failure) {
    Branch::Parts parts;
    parts.mode = config.read_only ? config::BranchMode::ro : spec.mode;
    parts.path = spec.path;
    parts.present = !spec.missing;
    parts.mount_root = spec.mount_root;
    parts.min_free = spec.min_free.value_or(config.pool.min_free);
    parts.own_min_free = spec.min_free.has_value();
    // What may not be changed has to be copied up to be renamed, and a copy is of the file.
    const config::FileOptions& files = config.pool.files;
    if (files.symlinkify && parts.mode != config::BranchMode::ro) parts.symlinkify_age = files.symlinkify_age;
    parts.space_age = config.pool.space_age;
    const bool upper = config.layered && parts.mode != config::BranchMode::ro;
    auto root = spec.missing ? sys::open_nowhere() : upper ? own.open(spec.path) : sys::open_root(spec.path.c_str());
    if (!root) {
        failure.message = failure_line(spec, "can not be opened as a directory", root.error());
        return std::nullopt;
    }
    parts.root = std::move(*root);
    if (spec.missing) return parts;
    auto st = sys::stat_fd(parts.root);
    auto fs = sys::stat_fs(parts.root);
    auto type = sys::fs_type(parts.root);
    if (!st || !fs || !type) {
        failure.message = failure_line(spec, "can not be examined", st ? Errno(EIO) : st.error());
        return std::nullopt;
    }
    look_at_root(parts, *st, *fs, *type);
    if (config.noatime() && !config.layered && parts.mode != config::BranchMode::ro) tell_of_access_times(parts, *fs);
    if (config.layered) {
        parts.ownership = parts.mode == config::BranchMode::ro
                              ? Ownership::probe(parts.root)
                              : Ownership::choose(parts.root, config.layers.stat_override);
    }
    if (parts.mode == config::BranchMode::ro && !protect_root(parts, spec, failure)) return std::nullopt;
    if (const auto mount = sys::mount_of(parts.root)) parts.mount = *mount;
    return parts;
}

}  // namespace

std::shared_ptr<BranchSet> probe_branches(const config::Config& config, const OwnMount& own, ProbeFailure& failure) {
    std::vector<std::unique_ptr<Branch>> branches;
    for (const auto& spec : config.branches) {
        auto parts = probe_branch(config, spec, own, failure);
        if (!parts) return nullptr;
        parts->index = static_cast<int>(branches.size());
        branches.push_back(std::make_unique<Branch>(std::move(*parts)));
    }
    if (auto seeded = seed_upper(branches); !seeded) {
        failure.message = failure_line(config.branches[0], "its root can not be marked as keeping owners in attributes",
                                       seeded.error());
        return nullptr;
    }
    const bool by_users = users_lead(config.layers);
    auto set = std::make_shared<BranchSet>(std::move(branches), rules_of(config, by_users),
                                           config.layered ? IdMap(config.layers) : IdMap());
    if (auto set_apart = set_own_apart(config, *set); !set_apart) {
        failure.message = failure_line(config.branches[0], "can not be examined", set_apart.error());
        return nullptr;
    }
    set->set_search(config.pool.policies.of(config::Function::getattr));
    set->set_marks({.user = config.layers.userxattr,
                    .only_user = config.layers.userxattr,
                    .user_leads = by_users,
                    .aufs = config.layered});
    return set;
}

bool is_on_network(BorrowedFd root) {
    const auto type = sys::fs_type(root);
    return type && is_network(*type);
}

int probe_stack_depth(const BranchSet& branches) {
    int depth = 0;
    for (const auto& branch : branches.all()) depth = std::max(depth, branch->stacking());
    return depth;
}

}  // namespace plyfs
