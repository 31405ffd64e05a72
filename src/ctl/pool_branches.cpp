#include "ctl/pool_branches.h"

#include <algorithm>
#include <map>

#include "base/log.h"
#include "ctl/branch_walk.h"
#include "ctl/failure.h"
#include "ctl/text.h"
#include "overlay/resolver.h"
#include "sys/open.h"

namespace plyfs::ctl {

std::vector<PoolBranch> open_pool(const Mount& mount) {
    const Json status = ask(mount, "status");
    if (status["kind"].text() != "pool") throw Failure(shown(mount.path) + " has layers, which have no copies");
    std::vector<PoolBranch> out;
    for (const Json& branch : status["branches"].items()) {
        if (!branch["present"].is_true() || branch["mode"].text() == "ro") continue;
        PoolBranch one;
        one.path = branch["path"].text();
        auto root = sys::open_root(one.path.c_str());
        if (!root) throw Failure(shown(one.path) + " can not be read: " + log::errno_text(root.error().value()));
        one.root = std::move(*root);
        one.takes_files = branch["mode"].text() == "rw" && !branch["read_only"].is_true();
        const std::uint64_t free = branch["available"].number(), kept = branch["reserve"].number();
        one.available = free > kept ? free - kept : 0;
        out.push_back(std::move(one));
    }
    return out;
}

Result<FileOn> find_file(const PoolBranch& branch, const std::string& path) {
    auto at = walk_from_root(branch.root, path);
    if (!at) return at.failed_with(ENOTDIR) ? Errno(ENOENT) : at.error();
    FileOn out{&branch, std::move(at->dir), std::move(at->name), {}};
    out.st = TRY(sys::stat_at(out.dir, TRY(Name::parse(out.name))));
    return out;
}

std::string answering_branch(const Mount& mount, const std::string& path) {
    Json request;
    request.add("command", "explain").add("path", path);
    const Json answer = ask(mount, request);
    return answer["seen"].is_true() ? answer["answers"].text() : "";
}

std::vector<Copied> find_copied(const std::vector<PoolBranch>& branches, std::size_t least_copies) {
    std::map<std::string, std::pair<std::size_t, std::uint64_t>> found;  // by path: how many, and bytes
    for (const PoolBranch& branch : branches) {
        walk_branch(branch.path, [&](const OnDisk& object) {
            if (!sys::is_regular(object.st)) return;
            auto& [count, bytes] = found[object.path];
            ++count;
            bytes = object.st.stx_blocks * 512;
        });
    }
    std::vector<Copied> out;
    for (const auto& [path, copies] : found) {
        if (copies.first >= least_copies) out.push_back({path, copies.second});
    }
    return out;
}

}  // namespace plyfs::ctl
