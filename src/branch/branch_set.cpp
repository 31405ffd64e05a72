#include "branch/branch_set.h"

#include <algorithm>

namespace plyfs {

BranchSet::BranchSet(std::vector<std::unique_ptr<Branch>> branches, LayerRules rules, IdMap ids)
    : branches_(std::move(branches)), rules_(rules), ids_(std::move(ids)) {
    for (const auto& branch : branches_) {
        if (branch->writable()) {
            several_writable_ = any_writable_;
            any_writable_ = true;
        } else if (any_writable_) {
            uses_marks_ = true;
        }
        device_number(branch->device());
    }
    // Layers without an upper may hold whiteouts that an earlier writable mount left in them.
    if (!any_writable_) uses_marks_ = true;
    if (!rules_.marks) uses_marks_ = false;
}

void BranchSet::set_marks(const MarkRules& rules) {
    marks_ = rules;
    // Who reads AUFS' files knows none of these, and what would not be read again is not made.
    const bool unknown = rules.whiteout == MarkRules::Whiteout::file;
    const bool distrusted = rules.user && !rules.user_leads;
    if (unknown || distrusted) rules_.make_redirects = rules_.make_metacopies = false;
    if (unknown || (distrusted && !rules.only_user)) rules_.marks_protection = false;
}

void BranchSet::note_answers(int index, Branch::Answers answers) const {
    Branch& branch = at(index);
    const bool was = branch.is_late();
    branch.set_answers(answers);
    late_.fetch_add(static_cast<int>(branch.is_late()) - static_cast<int>(was), std::memory_order_acq_rel);
}

std::uint64_t BranchSet::device_number(std::uint64_t device) const {
    auto find = [&](std::size_t from, std::size_t to) -> std::size_t {
        for (std::size_t i = from; i < to; ++i) {
            if (devices_[i].load(std::memory_order_relaxed) == device) return i;
        }
        return kDevices;
    };
    const std::size_t known = device_count_.load(std::memory_order_acquire);
    if (std::size_t i = find(0, known); i != kDevices) return i;
    MutexLock lock(device_mutex_);
    const std::size_t count = device_count_.load(std::memory_order_relaxed);
    if (std::size_t i = find(known, count); i != kDevices) return i;
    if (count == kDevices) return kDevices;  // all further devices share one number: unlikely, and only numbers collide
    devices_[count].store(device, std::memory_order_relaxed);
    device_count_.store(count + 1, std::memory_order_release);
    return count;
}

std::uint64_t BranchSet::shown_inode(std::uint64_t device, std::uint64_t inode) const {
    constexpr int kShift = 55;  // the sign bit stays clear: some programs keep inode numbers in a signed type
    const std::uint64_t number = device_number(device);
    if (number == 0 && (inode >> kShift) == 0) return inode;
    return (number << kShift ^ inode) & ~(std::uint64_t{1} << 63);
}

}  // namespace plyfs
