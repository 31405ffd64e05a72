#include "overlay/index.h"

#include <dirent.h>

#include "base/log.h"
#include "sys/dirent.h"
#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs {
namespace {

const Name kIndexName = *Name::parse("index");

std::string failure_text(const char* what, Errno e) {
    return std::string(what) + ": " + log::errno_text(e.value());
}

}  // namespace

std::unique_ptr<Index> Index::open(std::shared_ptr<const Origins> origins, BorrowedFd workdir, Make make,
                                   Refusal& refusal) {
    const BranchSet& set = origins->set();
    for (int i = 0; i < set.size(); ++i) {
        const auto branch = static_cast<BranchIndex>(i);
        if (origins->can_find(branch)) continue;
        refusal.why = "the file system of " + set.at(i).path() + " " + origins->lack(branch);
        return nullptr;
    }
    auto parent = sys::duplicate(workdir);
    auto upper = sys::open_dir_for_reading(set.at(0).root());
    if (!parent || !upper) {
        refusal.why = "the work directory can not be opened";
        return nullptr;
    }
    std::unique_ptr<Index> index(
        new Index(std::move(origins), std::move(*parent), std::move(*upper), make == Make::never));
    auto there = sys::open_dir_path(index->workdir_, kIndexName);
    if (there.failed_with(ENOENT) && make != Make::now) return index;
    MutexLock lock(index->mutex_);
    auto made = index->make(refusal);
    if (made) return index;
    if (refusal.why.empty())
        refusal.why = failure_text("the index in the work directory can not be used", made.error());
    return nullptr;
}

Status Index::make(Refusal& refusal) {
    TRY(verify_root(refusal));
    auto made = read_only_ ? Status() : sys::make_dir(workdir_, kIndexName, 0);
    if (!made && !made.failed_with(EEXIST)) return made;
    auto dir = TRY(sys::open_dir_path(workdir_, kIndexName));
    TRY(verify_index(dir, refusal));
    TRY(load(dir));
    dir_ = std::move(dir);
    return {};
}

// The upper directory remembers the first lower one, so that an index is never read as one of other layers.
Status Index::verify_root(Refusal& refusal) {
    const auto wanted = origins_->of(origins_->set().at(1).root(), 1);
    auto stored = origins_->read_own(upper_);
    if (stored.failed_with(ENODATA) || (stored && !origin::decode(*stored))) {
        return read_only_ ? Status() : origins_->write(upper_, wanted);
    }
    if (!stored) return stored.error();
    if (*stored == wanted) return {};
    refusal.why = "upperdir=" + origins_->set().at(0).path() + " was used over another lower directory than " +
                  origins_->set().at(1).path();
    refusal.stale = true;
    return Errno(ESTALE);
}

Status Index::verify_index(BorrowedFd dir, Refusal& refusal) {
    const auto wanted = origins_->of(upper_, 0, true);
    auto stored = origins_->read_upper(dir);
    if (stored.failed_with(ENODATA) || (stored && !origin::decode(*stored))) {
        return read_only_ ? Status() : origins_->write_upper(dir, wanted);
    }
    if (!stored) return stored.error();
    if (*stored == wanted) return {};
    refusal.why =
        "the index in the work directory belongs to another upper directory than " + origins_->set().at(0).path();
    refusal.stale = true;
    return Errno(ESTALE);
}

Status Index::load(BorrowedFd dir) {
    sys::DirReader reader(TRY(sys::open_dir_for_reading(dir)));
    std::vector<std::string> orphans;
    sys::DirEntry entry;
    while (TRY(reader.next(entry))) {
        // Directories and whiteouts are there for those who export the mount by NFS; '#' begins what the kernel stages.
        if (entry.is_dot() || entry.name[0] == '#' || entry.type == DT_DIR) continue;
        auto name = Name::parse(entry.name);
        if (!name) continue;
        auto st = origins_->set().at(0).stat_at(dir, *name);
        if (!st || sys::is_dir(*st) || sys::is_whiteout_device(*st)) continue;
        if (st->stx_nlink == 1 && !read_only_) {
            const auto count = origins_->read_link_count(dir, *name);
            if (count && count->from == origin::LinkCount::From::upper && count->difference < 0) {
                orphans.emplace_back(entry.name);
                continue;
            }
        }
        names_.emplace(entry.name);
    }
    for (const auto& orphan : orphans) {
        if (!sys::unlink_file(dir, TRY(Name::parse(orphan)))) log::warn("index: the file of no name {} stays", orphan);
    }
    any_.store(!names_.empty(), std::memory_order_release);
    return {};
}

bool Index::contains(const std::string& name) const {
    MutexLock lock(mutex_);
    return names_.contains(name);
}

BorrowedFd Index::dir() const {
    MutexLock lock(mutex_);
    return dir_;
}

Result<BorrowedFd> Index::prepare() {
    MutexLock lock(mutex_);
    if (dir_.valid()) return BorrowedFd(dir_);
    if (read_only_) return Errno(EROFS);
    Refusal refusal;
    auto made = make(refusal);
    if (made) return BorrowedFd(dir_);
    log::debug("no index: {}", refusal.why.empty() ? log::errno_text(made.error().value()) : refusal.why);
    return made.error();
}

void Index::added(const std::string& name) {
    MutexLock lock(mutex_);
    names_.insert(name);
    any_.store(true, std::memory_order_release);
}

Status Index::remove(const std::string& name) {
    BorrowedFd from;
    {
        MutexLock lock(mutex_);
        names_.erase(name);
        any_.store(!names_.empty(), std::memory_order_release);
        from = dir_;
    }
    return sys::unlink_file(from, TRY(Name::parse(name)));
}

std::uint32_t Index::hidden_links(const Name& entry, const sys::Stat& st) const {
    const auto count = origins_->read_link_count(dir(), entry);
    if (!count) return 0;
    std::int64_t hidden = count->difference + std::int64_t{1};
    if (count->from == origin::LinkCount::From::lower) {
        // Left so by somebody who was interrupted: the count is the original's.
        auto stored = origins_->read(dir(), entry);
        const auto original = stored ? origins_->find(*stored) : std::nullopt;
        if (!original) return 0;
        hidden = std::int64_t{original->stx_nlink} + count->difference - (std::int64_t{st.stx_nlink} - 1);
        if (hidden < 0) hidden = 0;
        auto object = read_only_ ? Errno(EROFS) : sys::open_path(dir(), entry);
        if (object && !keep_hidden_links(*object, static_cast<std::uint32_t>(hidden))) {
            log::debug("index: a link count was not brought up to date");
        }
    }
    return hidden > 0 && hidden <= UINT32_MAX ? static_cast<std::uint32_t>(hidden) : 0;
}

Status Index::keep_hidden_links(BorrowedFd object, std::uint32_t hidden) const {
    return origins_->write_link_count(object, {origin::LinkCount::From::upper, static_cast<int>(hidden) - 1});
}

}  // namespace plyfs
