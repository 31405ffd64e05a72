#include "overlay/resolver.h"

#include "overlay/marks.h"
#include "sys/open.h"

namespace plyfs {
namespace {

// A layer's directory that vanished behind our back (ENOENT, ENOTDIR on its descriptor) has no entries, and none with a
// name that is too long for it.
bool is_absent(Errno e) {
    return e == ENOENT || e == ENOTDIR || e == ESTALE || e == ENAMETOOLONG;
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

// A directory of the name that was collected, to ask it for its own mark.
Result<bool> entry_is_opaque(const BranchSet& set, const Layer& parent, const Name& name, Layers& opened) {
    if (!set.uses_marks()) return false;
    auto fd = TRY(sys::open_dir_path(parent.fd(), name));
    opened.push_back({parent.branch, std::make_shared<const LayerDir>(std::move(fd))});
    return is_opaque(set, opened.back());
}

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

Result<bool> is_opaque(const BranchSet& set, const Layer& dir) {
    if (!set.uses_marks()) return false;
    if (set.at(dir.branch).writable()) return marks::is_opaque(dir.fd(), set.marks());
    return dir.dir->is_opaque(set.marks());
}

Result<LayerEntry> look_in(const BranchSet& set, const Layer& layer, const Name& name, Beside beside) {
    using Kind = LayerEntry::Kind;
    LayerEntry out;
    auto st = sys::stat_at(layer.fd(), name);
    if (!st && !is_absent(st.error())) return st.error();
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

Result<Resolved> find_winner(const BranchSet& set, std::span<const Layer> parent, const Name& name) {
    Resolved out;
    const Layer* last = nullptr;  // the directory collected last, whose opaque mark was not read yet
    for (const Layer& layer : parent) {
        auto entry = look_in(set, layer, name, &layer == &parent.back() ? Beside::no : Beside::if_needed);
        if (!entry) {
            if (out.branch < 0) return entry.error();
            continue;  // a branch that fails below the winner does not take the winner away
        }
        if (entry->kind == LayerEntry::Kind::nothing) continue;
        if (entry->kind == LayerEntry::Kind::whiteout) break;
        if (out.branch < 0) {
            out.branch = layer.branch;
            out.st = entry->st;
            if (!sys::is_dir(entry->st)) return out;
        } else if (!sys::is_dir(entry->st) || TRY(entry_is_opaque(set, *last, name, out.opened))) {
            break;
        }
        if (last && set.at(layer.branch).writable()) sys::add_directory(out.st, entry->st);
        out.layers.push_back(layer.branch);
        last = &layer;
        if (entry->beside) break;
    }
    if (out.branch < 0) return Errno(ENOENT);
    return out;
}

Result<std::vector<Hit>> find_all(const BranchSet& set, std::span<const Layer> parent, const Name& name) {
    std::vector<Hit> hits;
    for (const Layer& layer : parent) {
        const auto entry = TRY(look_in(set, layer, name, Beside::yes));
        if (entry.kind == LayerEntry::Kind::nothing) continue;
        const bool whiteout = entry.kind == LayerEntry::Kind::whiteout;
        hits.push_back({layer.branch, entry.st, whiteout, whiteout && entry.beside});
        if (entry.beside && !whiteout) hits.push_back({layer.branch, entry.st, true, true});
        if (whiteout || entry.beside) break;
    }
    return hits;
}

}  // namespace plyfs
