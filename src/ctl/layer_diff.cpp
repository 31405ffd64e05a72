#include "ctl/layer_diff.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/log.h"
#include "ctl/failure.h"
#include "ctl/layer_view.h"
#include "ctl/text.h"
#include "overlay/listing.h"
#include "overlay/marks.h"
#include "sys/dirent.h"
#include "sys/open.h"
#include "sys/xattr.h"

namespace plyfs::ctl {
namespace {

using Kind = Change::Kind;

// Which names of a directory are looked at: those of the upper's part, for nothing else can differ; all; or all of a
// directory that is not the one of its name below, so that none of its own can be the same either.
enum class Reach { upper_names, all_names, other_directory };

// A copy-up is made now, so its time of change is no file's of before.
bool same_object(const sys::Stat& seen, const sys::Stat& below) {
    const auto same = [](const statx_timestamp& a, const statx_timestamp& b) {
        return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
    };
    return seen.stx_size == below.stx_size && same(seen.stx_ctime, below.stx_ctime) &&
           same(seen.stx_mtime, below.stx_mtime);
}

std::map<std::string, std::vector<std::byte>> users_attributes(BorrowedFd fd) {
    std::map<std::string, std::vector<std::byte>> out;
    const auto names = sys::list_xattr(fd);
    if (!names) return out;
    for (const std::string& stored : *names) {
        std::string seen;
        auto value = sys::get_xattr_all(fd, stored.c_str());
        if (value && marks::seen_xattr(stored, seen)) out.emplace(std::move(seen), std::move(*value));
    }
    return out;
}

class Differ {
  public:
    Differ(const LayerView& view, Changes& out) : view_(view), set_(*view.set()), out_(out) {}

    void run(Reach reach) {
        out_.all.clear();
        out_.idle_marks.clear();
        names_below_ = false;
        walk("", out_.root, view_.upper(), view_.below(), reach);
    }

    // Of a file with several names the others may lie below alone, where the upper's index knows them.
    bool may_miss_names() const {
        std::map<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>> links;  // by inode: there are, were met
        for (const Change& change : out_.all) {
            if (change.kind == Kind::deleted || sys::is_dir(change.st)) continue;
            auto& [there, met] = links[change.st.stx_ino];
            there = change.st.stx_nlink;
            ++met;
        }
        return names_below_ ||
               std::any_of(links.begin(), links.end(), [](const auto& l) { return l.second.second < l.second.first; });
    }

  private:
    [[noreturn]] static void fail(const std::string& path, Errno e) {
        throw Failure("/" + shown(path) + " can not be looked at: " + log::errno_text(e.value()));
    }

    static void add_entries(BorrowedFd dir, const std::string& path, std::set<std::string>& names) {
        auto fd = sys::open_dir_for_reading(dir);
        if (!fd) fail(path, fd.error());
        sys::DirReader reader(std::move(*fd));
        for (sys::DirEntry entry;;) {
            const auto more = reader.next(entry);
            if (!more) fail(path, more.error());
            if (!*more) return;
            if (entry.is_dot()) continue;
            names.emplace(entry.name);
            if (const auto hidden = marks::hidden_by(entry.name); !hidden.empty()) names.emplace(hidden);
        }
    }

    std::set<std::string> names_in(const std::string& path, BorrowedFd seen, const std::optional<Layer>& upper,
                                   const Layers& below, Reach reach) const {
        std::set<std::string> names;
        if (upper) add_entries(upper->fd(), path, names);
        if (reach == Reach::upper_names) return names;
        add_entries(seen, path, names);
        if (below.empty()) return names;
        Listing listing(view_.set(), below, {});
        for (ListedEntry entry;;) {
            const auto more = listing.next(entry);
            if (!more) fail(path, more.error());
            if (!*more) return names;
            if (entry.name != "." && entry.name != "..") names.emplace(entry.name);
        }
    }

    void walk(const std::string& path, BorrowedFd seen, const std::optional<Layer>& upper, const Layers& below,
              Reach reach) {
        for (const std::string& written : names_in(path, seen, upper, below, reach)) {
            const auto name = Name::parse(written);
            const std::string full = path.empty() ? written : path + "/" + written;
            if (!name) fail(full, name.error());
            look(full, *name, seen, upper, below, reach);
        }
    }

    std::optional<Resolved> find_below(const std::string& path, const Name& name, const Layers& below) const {
        if (below.empty()) return std::nullopt;
        auto found = find_winner(set_, below, name);
        if (found) return std::move(*found);
        if (!found.failed_with(ENOENT)) fail(path, found.error());
        return std::nullopt;
    }

    void look(const std::string& path, const Name& name, BorrowedFd dir, const std::optional<Layer>& upper,
              const Layers& below, Reach reach) {
        const auto seen = sys::stat_at(dir, name);
        if (!seen && !seen.failed_with(ENOENT)) fail(path, seen.error());
        const auto under = find_below(path, name, below);
        if (!seen && !under) {
            if (upper) note_idle_mark(path, name, *upper);
            return;
        }
        if (!seen) {
            names_below_ = names_below_ || (!sys::is_dir(under->st) && under->st.stx_nlink > 1);
            out_.all.push_back({Kind::deleted, path, under->st});
            return;
        }
        if (sys::is_dir(*seen)) return look_at_dir(path, name, dir, *seen, upper, below, under, reach);
        const bool same = under && !sys::is_dir(under->st) && same_object(*seen, under->st);
        if (!same) out_.all.push_back({under ? Kind::modified : Kind::added, path, *seen});
    }

    void note_idle_mark(const std::string& path, const Name& name, const Layer& upper) {
        if (marks::is_aufs_name(name.view())) return;
        const auto entry = look_in(set_, upper, name, Beside::yes);
        if (entry && entry->kind == LayerEntry::Kind::whiteout) out_.idle_marks.push_back(path);
    }

    void look_at_dir(const std::string& path, const Name& name, BorrowedFd dir, const sys::Stat& seen,
                     const std::optional<Layer>& upper, const Layers& below, const std::optional<Resolved>& under,
                     Reach reach) {
        const auto fd = sys::open_dir_path(dir, name);
        if (fd.failed_with(ENOENT)) return;
        if (!fd) fail(path, fd.error());
        std::optional<Layer> part;
        if (upper) {
            auto on_upper = sys::open_dir_path(upper->fd(), name);
            if (on_upper) part = Layer{upper->branch, std::make_shared<const LayerDir>(std::move(*on_upper))};
        }
        if (!under || !sys::is_dir(under->st)) {
            out_.all.push_back({under ? Kind::modified : Kind::added, path, seen});
            return walk(path, *fd, part, {}, Reach::other_directory);
        }
        const auto merged = open_merged(set_, below, name, *under);
        if (!merged) fail(path, merged.error());
        if (part && hides_below(path, upper->fd(), name, *part)) reach = Reach::other_directory;
        Kind kind = reach == Reach::other_directory && !part ? Kind::modified : Kind::same;
        if (part && differs(path, *part, under->st, merged->front())) kind = Kind::modified;
        out_.all.push_back({kind, path, seen});
        const std::size_t before = out_.all.size();
        walk(path, *fd, part, *merged, reach);
        if (kind == Kind::same && out_.all.size() == before) out_.all.pop_back();
    }

    // What is merged with the upper's part is not what has its name below: it is opaque, or a redirect leads elsewhere.
    bool hides_below(const std::string& path, BorrowedFd parent, const Name& name, const Layer& part) const {
        const auto found = marks::find_marks(parent, name, set_.marks());
        if (!found) fail(path, found.error());
        if (found->opaque || found->redirect) return true;
        const auto beside = marks::AufsName(name);
        const auto beside_name = beside.name();
        const auto hidden = beside_name ? sys::stat_at(parent, *beside_name) : beside_name.error();
        if (hidden && marks::may_be_mark_file(*hidden)) return true;
        const auto aufs = marks::has_aufs_opaque(part.fd());
        if (!aufs) fail(path, aufs.error());
        return *aufs;
    }

    bool differs(const std::string& path, const Layer& part, const sys::Stat& below, const Layer& winner) const {
        const auto own = set_.at(part.branch).stat_fd(part.fd());
        if (!own) fail(path, own.error());
        if (own->stx_mode != below.stx_mode || own->stx_uid != below.stx_uid || own->stx_gid != below.stx_gid) {
            return true;
        }
        return users_attributes(part.fd()) != users_attributes(winner.fd());
    }

    const LayerView& view_;
    const BranchSet& set_;
    Changes& out_;
    bool names_below_ = false;  // of a file that was deleted under another name
};

}  // namespace

Changes find_changes(const Mount& mount) {
    const LayerView view(mount);
    if (mount.root != "/") {
        throw Failure(shown(mount.path) + " shows a part of the mount alone; name the place where it is mounted");
    }
    auto root = sys::open_root(mount.path.c_str());
    if (!root) throw Failure(shown(mount.path) + ": " + log::errno_text(root.error().value()));
    Changes out;
    out.root = std::move(*root);
    Differ differ(view, out);
    differ.run(Reach::upper_names);
    if (differ.may_miss_names()) differ.run(Reach::all_names);
    std::set<std::uint64_t> counted;
    for (const Change& change : out.all) {
        const bool has_bytes = change.kind != Kind::deleted && sys::is_regular(change.st);
        if (has_bytes && counted.insert(change.st.stx_ino).second) out.bytes += change.st.stx_size;
    }
    return out;
}

}  // namespace plyfs::ctl
