#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ctl/balance_plan.h"
#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/failure.h"
#include "ctl/mounts.h"
#include "ctl/mover.h"
#include "ctl/text.h"

namespace plyfs::ctl {

std::optional<Transfer> plan_transfer(const std::vector<Fullness>& branches, double within,
                                      const std::set<std::string>& givers, const std::set<std::string>& takers,
                                      const std::set<std::string>& exhausted) {
    const Fullness *fullest = nullptr, *emptiest = nullptr;
    for (const Fullness& branch : branches) {
        const bool may_give = !takers.contains(branch.path) && !exhausted.contains(branch.path);
        if (may_give && (!fullest || branch.used() > fullest->used())) fullest = &branch;
        if (!givers.contains(branch.path) && (!emptiest || branch.used() < emptiest->used())) emptiest = &branch;
    }
    if (!fullest || !emptiest || fullest == emptiest || fullest->used() - emptiest->used() <= within) {
        return std::nullopt;
    }
    double used = 0, total = 0;
    for (const Fullness& branch : branches) {
        used += branch.used() * static_cast<double>(branch.total);
        total += static_cast<double>(branch.total);
    }
    // How much lies between a branch and what all will be.
    const auto distance = [&](const Fullness& branch) {
        return std::abs(branch.used() - used / total) * static_cast<double>(branch.total);
    };
    return Transfer{fullest->path, emptiest->path,
                    static_cast<std::uint64_t>(std::llround(std::min(distance(*fullest), distance(*emptiest))))};
}

namespace {

std::vector<Fullness> look_at(const Mount& mount) {
    const Json status = ask(mount, "status");
    if (status["kind"].text() != "pool") throw Failure(shown(mount.path) + " has layers: there is nothing to balance");
    std::vector<Fullness> out;
    for (const Json& branch : status["branches"].items()) {
        const bool takes = branch["present"].is_true() && branch["mode"].text() == "rw" &&
                           !branch["read_only"].is_true() && branch["total"].number() > 0;
        if (takes) out.push_back({branch["path"].text(), branch["available"].number(), branch["total"].number()});
    }
    return out;
}

// The largest first: they are fewest. Files with several names stay where they are.
std::vector<OnDisk> files_on(const std::string& branch) {
    std::vector<OnDisk> files;
    walk_branch(branch, [&](const OnDisk& object) {
        if (sys::is_regular(object.st) && object.st.stx_nlink == 1 && bytes_of(object) > 0) files.push_back(object);
    });
    std::sort(files.begin(), files.end(), [](const OnDisk& a, const OnDisk& b) { return bytes_of(a) > bytes_of(b); });
    return files;
}

// Whether anything moved.
bool transfer(const Mount& mount, const Transfer& plan, Moved& all) {
    Mover mover(mount, plan.from, plan.to);
    Progress progress(plan.bytes);
    std::uint64_t left = plan.bytes;
    for (const OnDisk& file : files_on(plan.from)) {
        const std::uint64_t bytes = bytes_of(file);
        if (bytes > left) continue;
        // What another taker had no room for may have been told before.
        std::erase_if(all.stayed, [&](const Stayed& stayed) { return stayed.path == file.path; });
        if (mover.move({file.path}, bytes)) left -= bytes;
        progress.add(bytes, file.path);
    }
    const Moved& moved = mover.moved();
    all.objects += moved.objects;
    all.bytes += moved.bytes;
    all.stayed.insert(all.stayed.end(), moved.stayed.begin(), moved.stayed.end());
    return moved.objects > 0;
}

}  // namespace

int run_balance(const Words& words) {
    const Mount mount = writable_mount_of(words.arguments[0]);
    std::set<std::string> givers, takers, exhausted;
    Moved all;
    while (const auto plan = plan_transfer(look_at(mount), words.within / 100, givers, takers, exhausted)) {
        givers.insert(plan->from);
        takers.insert(plan->to);
        // Once more only for another taker, with what did not fit into this gap.
        if (!transfer(mount, *plan, all)) exhausted.insert(plan->from);
    }
    report(all, words.json,
           fmt::format("{}: {} files with {} moved", shown(mount.path), all.objects, size_text(all.bytes)));
    return 0;
}

}  // namespace plyfs::ctl
