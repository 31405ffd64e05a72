// dup and dedup: how many copies of its files a pool has.
#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <map>

#include "base/log.h"
#include "ctl/branch_works.h"
#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/failure.h"
#include "ctl/mounts.h"
#include "ctl/mover.h"
#include "ctl/one_file.h"
#include "ctl/pool_branches.h"
#include "ctl/text.h"
#include "overlay/staging.h"
#include "sys/entry.h"
#include "sys/open.h"
#include "sys/xattr.h"

namespace plyfs::ctl {
namespace {

// What a file or directory in its path has to be for its copy to be put beside or taken away.
bool same_facts(const sys::Stat& a, const sys::Stat& b) {
    return a.stx_mode == b.stx_mode && a.stx_uid == b.stx_uid && a.stx_gid == b.stx_gid && a.stx_size == b.stx_size &&
           a.stx_mtime.tv_sec == b.stx_mtime.tv_sec && a.stx_mtime.tv_nsec == b.stx_mtime.tv_nsec;
}

Result<std::map<std::string, std::vector<std::byte>>> attributes_of(BorrowedFd file) {
    std::map<std::string, std::vector<std::byte>> out;
    for (const std::string& name : TRY(sys::list_xattr(file))) out[name] = TRY(sys::get_xattr_all(file, name.c_str()));
    return out;
}

class Copies {
  public:
    Copies(const Mount& mount, std::vector<PoolBranch> branches, std::size_t wanted)
        : mount_(mount), branches_(std::move(branches)), wanted_(wanted) {}
    const std::vector<PoolBranch>& branches() const { return branches_; }
    const Moved& done() const { return done_; }

    // Copies on further branches, the emptiest first, until there are enough.
    void add(const std::string& path) {
        const auto there = find_all(path);
        const FileOn* source = winner_of(path, there);
        if (!source || there.size() >= wanted_) return;
        std::vector<PoolBranch*> targets;
        for (PoolBranch& branch : branches_) {
            const bool has =
                std::any_of(there.begin(), there.end(), [&](const FileOn& f) { return f.branch == &branch; });
            if (!has && branch.takes_files) targets.push_back(&branch);
        }
        std::sort(targets.begin(), targets.end(),
                  [](const PoolBranch* a, const PoolBranch* b) { return a->available > b->available; });
        const std::size_t missing = wanted_ - there.size();
        if (targets.size() < missing) return stay(path, "there are not so many branches that take new files");
        for (std::size_t i = 0; i < missing; ++i) {
            const std::uint64_t bytes = source->st.stx_blocks * 512;
            if (targets[i]->available < bytes) return stay(path, "no further branch has room for it");
            const std::string why = copy_to(*source, path, *targets[i]);
            if (!why.empty()) return stay(path, why);
            targets[i]->available -= bytes;
            count(bytes);
        }
    }

    // Those of the lowest priority go, and never the one that is seen.
    void drop(const std::string& path) {
        const auto there = find_all(path);
        const FileOn* kept = winner_of(path, there);
        if (!kept || there.size() <= wanted_) return;
        std::size_t surplus = there.size() - wanted_;
        for (auto other = there.rbegin(); other != there.rend() && surplus > 0; ++other) {
            if (&*other == kept) continue;
            const std::string why = remove_copy(*kept, *other);
            if (!why.empty()) {
                stay(path, why + " (" + other->branch->path + ")");
                continue;
            }
            --surplus;
            count(other->st.stx_blocks * 512);
        }
    }

  private:
    void stay(const std::string& path, const std::string& why) { done_.stayed.push_back({path, why}); }
    void count(std::uint64_t bytes) {
        ++done_.objects;
        done_.bytes += bytes;
    }

    std::vector<FileOn> find_all(const std::string& path) const {
        std::vector<FileOn> out;
        for (const PoolBranch& branch : branches_) {
            auto found = find_file(branch, path);
            if (found && sys::is_regular(found->st)) out.push_back(std::move(*found));
        }
        return out;
    }

    const FileOn* winner_of(const std::string& path, const std::vector<FileOn>& there) {
        const std::string answers = there.empty() ? "" : answering_branch(mount_, path);
        for (const FileOn& file : there) {
            if (file.branch->path == answers) return &file;
        }
        if (!there.empty())
            stay(path, answers.empty() ? "it is not seen in the mount" : "what is seen lies on " + answers);
        return nullptr;
    }

    std::string copy_to(const FileOn& source, const std::string& path, const PoolBranch& target) {
        const Name name = source.parsed_name();
        const auto from = open_as_found(source.dir, name, source.st);
        if (!from) return because("it was changed meanwhile", from.error());
        if (source.st.stx_nlink > 1) return "it has several names";
        if (auto why = why_in_use(*from, sys::Opener::anybody); !why.empty()) return why;
        const auto work = works_.on(target.path, target.root);
        if (!work) return because("a copy can not be prepared", work.error());
        const auto dir = make_parents(**work, source, path, target);
        if (!dir) return because("its directory can not be made", dir.error());
        const bool sparse = source.st.stx_blocks * 512 < source.st.stx_size;
        const CopySource copy{.fd = *from, .st = source.st, .data_bytes = source.st.stx_size, .reserve = !sparse};
        auto staged = stage_copy(**work, copy, {});
        const auto synced = staged ? sys::sync_file(staged->fd()) : staged.error();
        if (!synced) return because("a copy can not be prepared", synced.error());
        if (!open_as_found(source.dir, name, source.st)) return "it was changed meanwhile";
        if (auto why = why_in_use(*from, sys::Opener::anybody); !why.empty()) return why;
        const auto published = staged->publish(*dir, name);
        return published ? "" : because("the copy can not be put there", published.error());
    }

    // As the source's branch has them.
    static Result<UniqueFd> make_parents(WorkDir& work, const FileOn& source, const std::string& path,
                                         const PoolBranch& target) {
        UniqueFd from = TRY(sys::duplicate(source.branch->root)), to = TRY(sys::duplicate(target.root));
        for (std::size_t at = 0, end = path.find('/'); end != std::string::npos;
             at = end + 1, end = path.find('/', at)) {
            const std::string component = path.substr(at, end - at);
            const Name name = TRY(Name::parse(component));
            auto original = TRY(sys::open_dir_path(from, name));
            auto made = sys::open_dir_path(to, name);
            if (made.failed_with(ENOENT)) {
                auto staged = TRY(stage_directory(work, original, TRY(sys::stat_fd(original)), false));
                const auto published = staged.publish(to, name);
                if (!published && !published.failed_with(EEXIST)) return published.error();
                made = sys::open_dir_path(to, name);
            }
            to = TRY(std::move(made));
            from = std::move(original);
        }
        return to;
    }

    static std::string remove_copy(const FileOn& kept, const FileOn& other) {
        if (!same_facts(kept.st, other.st)) return "the copies differ; fsck says in what";
        if (other.st.stx_nlink > 1) return "it has several names";
        const auto one = open_as_found(kept.dir, kept.parsed_name(), kept.st);
        const auto two = one ? open_as_found(other.dir, other.parsed_name(), other.st) : one.error();
        if (!two) return because("it was changed meanwhile", two.error());
        if (auto why = why_in_use(*one, sys::Opener::writer); !why.empty()) return why;
        const auto same = same_content(*one, *two);
        if (!same) return because("it can not be compared", same.error());
        if (!*same) return "the copies differ in what they contain";
        const auto its = attributes_of(*one), others = attributes_of(*two);
        if (!its || !others || *its != *others) return "the copies differ in their attributes";
        if (auto why = why_in_use(*two, sys::Opener::anybody); !why.empty()) return why;
        const bool as_found = open_as_found(kept.dir, kept.parsed_name(), kept.st) &&
                              open_as_found(other.dir, other.parsed_name(), other.st);
        if (!as_found) return "it was changed meanwhile";
        const auto removed = sys::unlink_file(other.dir, other.parsed_name());
        return removed ? "" : because("it can not be removed", removed.error());
    }

    const Mount& mount_;
    std::vector<PoolBranch> branches_;
    const std::size_t wanted_;
    BranchWorks works_;
    Moved done_;
};

// One with a slash is the whole path's, any other the last name's.
bool matches(const std::string& pattern, const std::string& path) {
    const bool whole = pattern.find('/') != std::string::npos;
    const std::string& text = whole ? path : path.substr(path.rfind('/') + 1);
    return ::fnmatch(pattern.c_str() + (pattern.starts_with('/') ? 1 : 0), text.c_str(), whole ? FNM_PATHNAME : 0) == 0;
}

Moved run(const Words& words, std::size_t wanted, bool adds) {
    const Mount mount = writable_mount_of(words.arguments[0]);
    const std::string pattern = words.arguments.size() > 1 ? words.arguments[1] : "*";
    Copies copies(mount, open_pool(mount), wanted);
    auto files = find_copied(copies.branches(), adds ? 1 : wanted + 1);
    std::erase_if(files, [&](const Copied& file) { return !matches(pattern, file.path); });
    std::uint64_t bytes = 0;
    for (const Copied& file : files) bytes += file.bytes;
    Progress progress(bytes);
    for (const Copied& file : files) {
        adds ? copies.add(file.path) : copies.drop(file.path);
        progress.add(file.bytes, file.path);
    }
    return copies.done();
}

}  // namespace

int run_dup(const Words& words) {
    const std::size_t wanted = static_cast<std::size_t>(words.copies.value_or(2));
    const Moved done = run(words, wanted, true);
    return report(done, words.json,
                  fmt::format("{}: {} copies with {} made, {} files stay with fewer than {}", shown(words.arguments[0]),
                              done.objects, size_text(done.bytes), done.stayed.size(), wanted),
                  "made");
}

int run_dedup(const Words& words) {
    const std::size_t wanted = static_cast<std::size_t>(words.copies.value_or(1));
    const Moved done = run(words, wanted, false);
    return report(done, words.json,
                  fmt::format("{}: {} copies with {} removed, {} stay", shown(words.arguments[0]), done.objects,
                              size_text(done.bytes), done.stayed.size()),
                  "removed");
}

}  // namespace plyfs::ctl
