// fsck: whether the copies of a pool's files say the same, and what is left that nobody needs.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "control/own_names.h"
#include "ctl/branch_walk.h"
#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/copy_check.h"
#include "ctl/failure.h"
#include "ctl/layer_diff.h"
#include "ctl/mounts.h"
#include "ctl/text.h"
#include "overlay/marks.h"
#include "overlay/resolver.h"
#include "overlay/workdir.h"
#include "sys/entry.h"
#include "sys/lock.h"
#include "sys/open.h"

namespace plyfs::ctl {
namespace {

using Findings = std::vector<Finding>;

struct BranchOf {
    std::string path;
    bool present = false;
    bool read_only = false;  // by its mode
};

std::vector<BranchOf> branches_of(const Json& status) {
    std::vector<BranchOf> out;
    for (const Json& branch : status["branches"].items()) {
        out.push_back({branch["path"].text(), branch["present"].is_true(), branch["mode"].text() == "ro"});
    }
    return out;
}

UniqueFd open_branch(const std::string& path) {
    auto fd = sys::open_root(path.c_str());
    if (!fd) throw Failure(shown(path) + " can not be read: " + log::errno_text(fd.error().value()));
    return std::move(*fd);
}

// What mounts prepare is theirs as long as they have it locked, and empty when they have ended.
void look_for_leftovers(const std::string& branch, bool fix, Findings& found) {
    const UniqueFd root = open_branch(branch);
    for (const std::string& written : names_in(root, branch)) {
        if (!written.starts_with(kPoolPrefix)) continue;
        const Name name = *Name::parse(written);
        const auto dir = sys::open_dir_path(root, name);
        const auto fd = dir ? sys::open_dir_for_reading(*dir) : dir.error();
        if (!fd || !sys::lock_alone(*fd)) continue;
        const auto left = names_in(*dir, branch + "/" + written).size();
        if (left == 0) continue;
        Finding one{
            written, fmt::format("{} objects on {} that a mount left which was killed", left, branch), false, {}};
        if (fix) {
            const auto unlocked = sys::lock_file(*fd, LOCK_UN);
            // Who opens it removes what was left; its lock goes with it, and so does the directory before.
            const auto swept = unlocked ? WorkDir::open(root, name) : unlocked.error();
            const auto removed = swept ? sys::remove_dir(root, name) : swept.error();
            one.fixed = removed.has_value();
            if (!removed) one.stays = log::errno_text(removed.error().value());
        } else {
            one.what += "; the next mount of it, and fsck --fix, remove them";
        }
        found.push_back(std::move(one));
    }
}

// A whiteout is taken away as users of the mount would have it: the mount itself knows who else is about the name, and
// writes none for a name that nothing below has.
std::string remove_mark(BorrowedFd mount_root, const std::string& path, const std::function<bool()>& is_there) {
    const auto at = walk_from_root(mount_root, path);
    const auto name = at ? Name::parse(at->name) : at.error();
    auto done = name ? sys::make_dir(at->dir, *name, 0700) : name.error();
    if (done) done = sys::remove_dir(at->dir, *name);
    if (!done) return log::errno_text(done.error().value());
    return is_there() ? "the mount keeps it" : "";
}

void add_mark(const Mount& mount, bool fix, const std::string& path, const std::string& branch, Findings& found,
              const std::function<bool()>& is_there) {
    Finding one{path, "a whiteout on " + branch + " that hides nothing", false, {}};
    if (fix) {
        one.stays = remove_mark(open_branch(mount.path), path, is_there);
        one.fixed = one.stays.empty();
    }
    found.push_back(std::move(one));
}

bool exists(const std::string& branch, const std::string& path) {
    const UniqueFd root = open_branch(branch);
    const auto at = walk_from_root(root, path);
    if (!at) return !at.failed_with(ENOENT) && !at.failed_with(ENOTDIR);
    return !sys::stat_at(at->dir, *Name::parse(at->name)).failed_with(ENOENT);
}

// Devices 0:0 are marks where a branch that may not be modified lies below. Of one that is missing nobody knows what it
// has.
void look_for_idle_marks(const Mount& mount, const std::vector<BranchOf>& branches, bool fix, Findings& found) {
    Json request;
    request.add("command", "get").add("option", "whiteouts");
    if (ask(mount, request)["options"]["whiteouts"].text() != "true") return;
    for (std::size_t i = 0; i < branches.size(); ++i) {
        const auto below = std::span(branches).subspan(i + 1);
        const bool hides = std::any_of(below.begin(), below.end(), [](const BranchOf& b) { return b.read_only; });
        const bool known = std::all_of(below.begin(), below.end(), [](const BranchOf& b) { return b.present; });
        if (branches[i].read_only || !branches[i].present || !hides || !known) continue;
        std::vector<std::string> idle;
        walk_branch(branches[i].path, [&](const OnDisk& object) {
            if (!sys::is_whiteout_device(object.st)) return;
            const bool needed =
                std::any_of(below.begin(), below.end(), [&](const BranchOf& b) { return exists(b.path, object.path); });
            if (!needed) idle.push_back(object.path);
        });
        for (const std::string& path : idle) {
            add_mark(mount, fix, path, branches[i].path, found, [&] { return exists(branches[i].path, path); });
        }
    }
}

std::uint64_t check_pool(const Mount& mount, const Json& status, const Words& words, Findings& found) {
    const auto branches = branches_of(status);
    std::vector<std::string> compared;
    for (const BranchOf& branch : branches) {
        // What lies on a branch that may not be modified is what it was; a copy-up of it is another file.
        if (!branch.present || branch.read_only) continue;
        compared.push_back(branch.path);
        look_for_leftovers(branch.path, words.fix, found);
    }
    look_for_idle_marks(mount, branches, words.fix, found);
    std::optional<CopyFixer> fixer;
    if (const auto keep = keep_of(words.keep)) fixer.emplace(*keep);
    CopyCheck check(std::move(compared), words.content, fixer ? &*fixer : nullptr);
    check.run(found);
    return check.compared();
}

void check_layers(const Mount& mount, const Json& status, const Words& words, Findings& found) {
    const std::string upper = status["branches"].items()[0]["path"].text();
    for (const std::string& path : find_changes(mount).idle_marks) {
        const std::size_t last = path.rfind('/') + 1;
        const std::string beside = path.substr(0, last) + std::string(marks::kAufsPrefix) + path.substr(last);
        add_mark(mount, words.fix, path, upper, found, [&] { return exists(upper, path) || exists(upper, beside); });
    }
}

void report(const Mount& mount, const Words& words, std::uint64_t compared, const Findings& found) {
    const auto fixed = std::count_if(found.begin(), found.end(), [](const Finding& f) { return f.fixed; });
    if (words.json) {
        Json list = Json::array(), out;
        for (const Finding& finding : found) {
            Json one;
            one.add("path", finding.path).add("what", finding.what).add("fixed", finding.fixed);
            if (!finding.stays.empty()) one.add("stays", finding.stays);
            list.push(std::move(one));
        }
        print_line(out.add("compared", compared).add("found", std::move(list)));
        return;
    }
    for (const Finding& finding : found) {
        const std::string end = finding.fixed           ? "; mended"
                                : finding.stays.empty() ? ""
                                                        : "; it stays: " + shown(finding.stays);
        print("/" + shown(finding.path) + ": " + shown(finding.what) + end + "\n");
    }
    const std::string mended = words.fix ? fmt::format(", {} mended", fixed) : "";
    print(fmt::format("{}: {} names on several branches, {} differences{}\n", shown(mount.path), compared, found.size(),
                      mended));
}

}  // namespace

int run_fsck(const Words& words) {
    const bool changes = words.fix || !words.keep.empty();
    const Mount mount = changes ? writable_mount_of(words.arguments[0]) : mount_of(words.arguments[0]);
    const Json status = ask(mount, "status");
    Findings found;
    std::uint64_t compared = 0;
    if (status["kind"].text() == "pool") {
        compared = check_pool(mount, status, words, found);
    } else {
        if (words.content || !words.keep.empty()) {
            throw Failure(shown(mount.path) +
                          " has layers, which have no copies to compare; leave out --content and "
                          "--keep");
        }
        check_layers(mount, status, words, found);
    }
    report(mount, words, compared, found);
    return std::all_of(found.begin(), found.end(), [](const Finding& f) { return f.fixed; }) ? 0 : 1;
}

}  // namespace plyfs::ctl
