#include "overlay/resolver.h"

#include <algorithm>

#include "base/log.h"
#include "overlay/holders.h"
#include "overlay/interrupted_copy.h"
#include "overlay/marks.h"
#include "sys/open.h"

namespace plyfs {
namespace {

// A layer's directory that vanished behind our back (ENOENT, ENOTDIR on its descriptor) has no entries, and none with a
// name that is too long for it.
bool is_absent(Errno e) {
    return e == ENOENT || e == ENOTDIR || e == ESTALE || e == ENAMETOOLONG;
}

// ESTALE of a name in a directory that is still there tells nothing of the name.
bool is_absent_in(const Layer& layer, Errno e) {
    if (e != ESTALE) return is_absent(e);
    const auto dir = sys::stat_fd(layer.fd());
    return dir ? dir->stx_nlink == 0 : is_absent(dir.error());
}

bool writes(const BranchSet& set, const Layer& layer, MarkRules::Whiteout form) {
    return set.marks().whiteout == form && set.at(layer.branch).writable();
}

Result<bool> has_mark_beside(const BranchSet& set, const Layer& layer, const Name& name) {
    if (!may_hold_aufs_names(set, layer)) return false;
    const marks::AufsName file(name);
    auto file_name = file.name();
    if (!file_name) return false;
    auto st = sys::stat_at(layer.fd(), *file_name);
    if (st) return marks::may_be_mark_file(*st);
    return is_absent(st.error()) ? Result<bool>(false) : st.error();
}

Result<sys::Stat> open_and_stat(const Branch& branch, BorrowedFd dir, const Name& name, UniqueFd& opened) {
    opened = TRY(sys::open_path(dir, name));
    return branch.stat_fd(opened);
}

// One name on its way down the layers. The rules are overlayfs' own (ovl_lookup): the first object found wins; a
// directory goes on collecting, a metacopy goes on to its content; a redirect changes where the layers below are
// searched, until the next one.
class Search {
  public:
    Search(const BranchSet& set, std::span<const Layer> parent, const Name& name)
        : set_(set), parent_(parent), name_(name), searched_(name.view()) {}

    Result<Resolved> run() {
        BranchIndex last = -1;
        for (const Layer& layer : parent_) {
            if (stop_ || !path_.empty()) break;
            last = layer.branch;
            const std::string held(searched_ == name_.view() ? std::string_view() : searched_);
            const Name name = held.empty() ? name_ : TRY(Name::parse(held));
            TRY(look({layer.branch, false, held}, layer, name));
        }
        for (int branch = last + 1; !stop_ && !path_.empty() && branch < set_.merged_size(); ++branch) {
            TRY(look_from_root(static_cast<BranchIndex>(branch)));
        }
        if (wants_content_) TRY(look_in_data_layers());
        if (wants_content_) return Errno(EIO);
        if (out_.branch < 0) return Errno(ENOENT);
        if (copies_.size() > 1) TRY(choose_copy());
        if (!detours_.empty()) out_.detours = std::make_shared<const std::vector<Detour>>(std::move(detours_));
        out_.other_name = !redirect_.empty();
        return std::move(out_);
    }

  private:
    // Nothing below may be merged with a directory of this branch, or be the content of a file.
    bool is_last_for_directories(BranchIndex branch) const { return branch + 1 == set_.merged_size(); }
    bool is_last_for_content(BranchIndex branch) const { return branch + 1 == set_.size(); }

    // What lies on one layer; `at.path` is empty for the union's own name in the parent's directory.
    Status look(const Detour& at, const Layer& layer, const Name& name) {
        const bool lowest = is_last_for_directories(at.branch);
        auto entry = look_in(set_, layer, name, lowest ? Beside::no : Beside::if_needed);
        // In a pool a branch that fails takes nothing away from the others. A layer that is not asked is one whose
        // names are not seen as long as the directory is known.
        if (!entry && (out_.branch < 0 || set_.rules().fixed)) return entry.error();
        if (!entry) {
            out_.incomplete = true;
            return {};
        }
        if (entry->kind == LayerEntry::Kind::nothing) return {};
        if (entry->kind == LayerEntry::Kind::whiteout) {
            stop_ = true;
            return {};
        }
        const sys::Stat& st = entry->st;
        if (set_.is_trap(st)) return out_.branch >= 0 ? Status{} : Status(Errno(ELOOP));
        if (wants_content_) return take_content(at, layer.fd(), name, st);
        if (!copies_.empty()) {
            copies_.push_back({at.branch, st});
            return {};
        }
        const bool wins = out_.branch < 0;
        const bool is_dir = sys::is_dir(st);
        stop_ = stop_ || !is_dir;  // a directory on the way here may have said so already
        if (wins) {
            out_.branch = at.branch;
            out_.st = st;
            if (set_.rules().marks_protection && at.branch != 0) out_.protection = sys::Protection::of(st);
        }
        if (!is_dir && wins) TRY(look_for_metacopy(at, layer.fd(), name));
        if (stop_ && !is_dir && wins && prefers_others(set_)) {
            copies_.push_back({at.branch, st});
            stop_ = false;
        }
        if (!is_dir) return {};
        if (!wins && set_.at(at.branch).writable()) sys::add_directory(out_.st, st);
        if (out_.branch == 0 && set_.rules().keeps_inodes && out_.layers.size() == 1) {
            out_.original.key = sys::key_of(st);
            out_.original.shows = out_.original.marked = true;
        }
        out_.layers.push_back(at.branch);
        if (!set_.rules().fixed) out_.identities.push_back(sys::hash_of(sys::key_of(st)));
        note(at);
        if (!set_.uses_marks() || lowest) return {};
        return read_directory_marks(layer, name, {}, entry->beside);
    }

    // Of a directory found, or of one on the way to it; `rest` is what of the path comes after it. hidden: by a file
    // beside it, which hides what has the same name below, not what a redirect leads to.
    Status read_directory_marks(const Layer& layer, const Name& name, std::string_view rest, bool hidden) {
        const auto found = TRY(marks::find_marks(layer.fd(), name, set_.marks()));
        TRY(note_protection(found, layer.branch, layer.fd(), name));
        // AUFS' mark lies in it: opened once for that and for whoever goes into it.
        if (found.opaque || set_.reads_aufs_marks()) {
            auto dir = TRY(sys::open_dir_path(layer.fd(), name));
            const bool opaque = TRY(marks::is_opaque(dir, set_.marks(), found));
            if (rest.empty()) out_.opened.push_back({layer.branch, std::make_shared<const LayerDir>(std::move(dir))});
            if (opaque) {
                stop_ = true;
                return {};
            }
        }
        if (found.redirect) return follow(layer.branch, layer.fd(), name, rest);
        stop_ = stop_ || hidden;
        return {};
    }

    Status look_for_metacopy(const Detour& at, BorrowedFd dir, const Name& name) {
        if (!set_.uses_marks() || is_last_for_content(at.branch) || !sys::is_regular(out_.st)) return {};
        const auto found = TRY(marks::find_marks(dir, name, set_.marks()));
        TRY(note_protection(found, at.branch, dir, name));
        if (found.metacopy && found.copying && at.branch == 0 && set_.at(0).writable() &&
            undo_interrupted_copy(dir, name, set_.marks())) {
            out_.st = TRY(sys::stat_at(dir, name));
        }
        wants_content_ = TRY(goes_on_to_content(found, at, dir, name));
        return {};
    }

    // Of the file's copies on several branches another may answer than the first.
    Status choose_copy() {
        TRY(put_winner_first(set_, name_, copies_));
        out_.branch = copies_[0].branch;
        out_.st = copies_[0].st;
        return {};
    }

    // Only the upper one's mark means anything.
    Status note_protection(const marks::Found& found, BranchIndex branch, BorrowedFd dir, const Name& name) {
        if (!found.protection || branch != 0 || !set_.rules().marks_protection) return {};
        out_.protection = TRY(marks::read_protection(dir, name, set_.marks()));
        return {};
    }

    // Whether the file is a metacopy; then the search goes on where its content is.
    Result<bool> goes_on_to_content(const marks::Found& found, const Detour& at, BorrowedFd dir, const Name& name) {
        if (!found.metacopy) return false;
        if (!set_.rules().follow_redirects) return Errno(EPERM);
        stop_ = false;
        if (found.redirect) TRY(follow(at.branch, dir, name, {}));
        return true;
    }

    // The winner is a metacopy: this is its content, or another metacopy on the way to it.
    Status take_content(const Detour& at, BorrowedFd dir, const Name& name, const sys::Stat& st) {
        stop_ = true;
        if (!sys::is_regular(st)) return {};
        if (!is_last_for_content(at.branch)) {
            const auto found = TRY(marks::find_marks(dir, name, set_.marks()));
            if (TRY(goes_on_to_content(found, at, dir, name))) return {};
        }
        content_is(at, st);
        return {};
    }

    void content_is(const Detour& at, const sys::Stat& st) {
        out_.content_branch = at.branch;
        out_.st.stx_blocks = st.stx_blocks;
        note(at);
        wants_content_ = false;
        stop_ = true;
    }

    void note(const Detour& at) {
        if (!at.path.empty()) detours_.push_back(at);
    }

    // The redirect of the entry `component` of `dir`. An absolute one leads from the roots, also on past an opaque
    // directory on the way to where it was found; a name replaces the component that bears it.
    Status follow(BranchIndex branch, BorrowedFd dir, const Name& component, std::string_view rest) {
        auto read = marks::read_redirect(dir, component, set_.marks());
        if (read.failed_with(EINVAL)) {
            log::warn_rarely("{}: {} has a redirect that is none, and can not be looked up; remove the attribute",
                             set_.at(branch).path(), component.view());
        }
        std::string redirect = TRY(std::move(read));
        if (redirect.empty()) return {};
        if (!set_.rules().follow_redirects) return Errno(EPERM);
        // A layer's own redirect is for the layers below it: from above the object is found by the name it has there.
        if (branch == out_.branch && rest.empty() && set_.at(branch).writable()) out_.redirect = redirect;
        if (redirect.front() == '/') {
            path_ = redirect.append(rest);
            stop_ = false;
        } else if (path_.empty()) {
            redirect_ = std::move(redirect);
            searched_ = redirect_;
        } else {
            // Counted from the end: a redirect further up may have changed what comes before.
            const auto length = component.view().size();
            path_.replace(path_.size() - rest.size() - length, length, redirect);
        }
        return {};
    }

    // path_, from the root of a layer, honouring the marks of the directories that it leads through. What they say
    // about the path is for the layers below.
    Status look_from_root(BranchIndex branch) {
        const std::string path = path_.substr(1);
        Layer at_layer{branch, passing_through(TRY(sys::duplicate(set_.at(branch).root())))};
        for (std::size_t at = 0;;) {
            const auto end = std::min(path.find('/', at), path.size());
            const std::string component = path.substr(at, end - at);
            const Name name = TRY(Name::parse(component));
            if (end == path.size()) return look({branch, true, path}, at_layer, name);
            const bool lowest = is_last_for_directories(branch);
            const auto entry = TRY(look_in(set_, at_layer, name, lowest ? Beside::no : Beside::if_needed));
            if (entry.kind == LayerEntry::Kind::nothing) return {};
            if (entry.kind == LayerEntry::Kind::whiteout || !sys::is_dir(entry.st)) {
                stop_ = true;
                return {};
            }
            if (!lowest) {
                TRY(read_directory_marks(at_layer, name, std::string_view(path).substr(end), entry.beside));
            }
            auto next = TRY(sys::open_dir_path(at_layer.fd(), name));
            at_layer.dir = passing_through(std::move(next));
            at = end + 1;
        }
    }

    // Asked for one name only: reading all that is in it would cost more.
    static SharedDir passing_through(UniqueFd fd) {
        auto dir = std::make_shared<const LayerDir>(std::move(fd));
        dir->note_aufs_names(true);
        return dir;
    }

    // Only content, only by the whole path; the first that has it.
    Status look_in_data_layers() {
        for (int branch = set_.merged_size(); wants_content_ && !path_.empty() && branch < set_.size(); ++branch) {
            const std::string path = path_.substr(1);
            auto at = walk_from_root(set_.at(branch).root(), path);
            if (!at) continue;
            auto st = sys::stat_at(at->dir, TRY(Name::parse(at->name)));
            if (st && sys::is_regular(*st)) content_is({static_cast<BranchIndex>(branch), true, path}, *st);
        }
        return {};
    }

    const BranchSet& set_;
    std::span<const Layer> parent_;
    const Name& name_;
    std::string redirect_;
    std::string_view searched_;  // the name searched for in the parent's directories
    std::string path_;  // once a redirect was absolute: what is searched for from the roots, with its leading slash
    bool stop_ = false;
    bool wants_content_ = false;
    Resolved out_;
    std::vector<Hit> copies_;  // of a file, while it is not settled which of them answers
    std::vector<Detour> detours_;
};

}  // namespace

bool may_hold_aufs_names(const BranchSet& set, const Layer& layer) {
    if (!set.reads_aufs_marks()) return false;
    return writes(set, layer, MarkRules::Whiteout::file) || layer.dir->may_hold_aufs_names();
}

Result<bool> holds_xattr_whiteouts(const BranchSet& set, const Layer& layer) {
    if (!set.uses_marks()) return false;
    if (writes(set, layer, MarkRules::Whiteout::xattr)) return true;
    return layer.dir->holds_xattr_whiteouts(set.marks());
}

Result<LayerEntry> look_in(const BranchSet& set, const Layer& layer, const Name& name, Beside beside,
                           UniqueFd* opened) {
    using Kind = LayerEntry::Kind;
    LayerEntry out;
    const Branch& branch = set.at(layer.branch);
    auto st = opened ? open_and_stat(branch, layer.fd(), name, *opened) : branch.stat_at(layer.fd(), name);
    if (!st && !is_absent_in(layer, st.error())) return st.error();
    if (st) {
        out.st = *st;
        out.kind = Kind::object;
    }
    if (!set.uses_marks()) return out;
    if (st && marks::is_whiteout(*st)) {
        out.kind = Kind::whiteout;
    } else if (st && marks::may_be_mark_file(*st) && TRY(holds_xattr_whiteouts(set, layer))) {
        if (TRY(marks::has_whiteout_xattr(layer.fd(), name, set.marks()))) out.kind = Kind::whiteout;
    }
    if (!set.reads_aufs_marks()) return out;
    if (marks::is_aufs_name(name.view())) {
        if (st && marks::is_aufs_mark(name.view(), *st)) out.kind = Kind::nothing;
        return out;
    }
    if (out.kind == Kind::whiteout) return out;
    const bool needed = out.kind == Kind::nothing || sys::is_dir(out.st);
    if (beside == Beside::yes || (beside == Beside::if_needed && needed)) {
        out.beside = TRY(has_mark_beside(set, layer, name));
        if (out.beside && out.kind == Kind::nothing) out.kind = Kind::whiteout;
    }
    return out;
}

const Detour* detour_on(const Detours& detours, BranchIndex branch) {
    if (!detours) return nullptr;
    for (const Detour& detour : *detours) {
        if (detour.branch == branch) return &detour;
    }
    return nullptr;
}

Result<WalkedTo> walk_from_root(BorrowedFd root, std::string_view path) {
    UniqueFd dir = TRY(sys::duplicate(root));
    for (;;) {
        const auto end = std::min(path.find('/'), path.size());
        std::string component(path.substr(0, end));
        const Name name = TRY(Name::parse(component));
        if (end == path.size()) return WalkedTo{std::move(dir), std::move(component)};
        auto next = TRY(sys::open_dir_path(dir, name));
        dir = std::move(next);
        path.remove_prefix(end + 1);
    }
}

Result<UniqueFd> open_layer(const BranchSet& set, std::span<const Layer> parent, BranchIndex branch, const Name& name,
                            const Detours& detours) {
    const Detour* detour = detour_on(detours, branch);
    if (detour && detour->from_root) {
        const auto at = TRY(walk_from_root(set.at(branch).root(), detour->path));
        return sys::open_dir_path(at.dir, TRY(Name::parse(at.name)));
    }
    for (const Layer& layer : parent) {
        if (layer.branch != branch) continue;
        return sys::open_dir_path(layer.fd(), detour ? TRY(Name::parse(detour->path)) : name);
    }
    return Errno(ENOENT);
}

Result<Resolved> find_winner(const BranchSet& set, std::span<const Layer> parent, const Name& name) {
    if (policy::refuses(set.search())) return Errno(EROFS);
    return Search(set, parent, name).run();
}

Result<std::vector<Hit>> find_all(const BranchSet& set, std::span<const Layer> parent, const Name& name,
                                  UniqueFd* opened) {
    std::vector<Hit> hits;
    for (const Layer& layer : parent) {
        const auto entry = TRY(look_in(set, layer, name, Beside::yes, hits.empty() ? opened : nullptr));
        if (entry.kind == LayerEntry::Kind::nothing) continue;
        const bool whiteout = entry.kind == LayerEntry::Kind::whiteout;
        hits.push_back({layer.branch, entry.st, whiteout, whiteout && entry.beside});
        if (entry.beside && !whiteout) hits.push_back({layer.branch, entry.st, true, true});
        if (whiteout || entry.beside) break;
    }
    return hits;
}

}  // namespace plyfs
