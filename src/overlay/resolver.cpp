#include "overlay/resolver.h"

#include "overlay/marks.h"
#include "sys/open.h"

namespace plyfs {
namespace {

// A layer's directory that vanished behind our back (ENOENT, ENOTDIR on its descriptor) has no entries.
bool is_absent(Errno e) {
    return e == ENOENT || e == ENOTDIR || e == ESTALE;
}

Result<bool> entry_is_opaque(BorrowedFd dir, const Name& name) {
    auto fd = TRY(sys::open_dir_path(dir, name));
    return marks::is_opaque(fd);
}

}  // namespace

Result<Resolved> find_winner(const BranchSet& set, std::span<const Layer> parent, const Name& name) {
    Resolved out;
    const Layer* last = nullptr;  // the directory collected last, whose opaque mark was not read yet
    for (const Layer& layer : parent) {
        auto st = set.at(layer.branch).stat_at(layer.fd(), name);
        if (!st) {
            if (is_absent(st.error())) continue;
            if (out.branch < 0) return st.error();
            continue;  // a branch that fails below the winner does not take the winner away
        }
        if (set.uses_marks() && marks::is_whiteout(*st)) break;
        if (out.branch < 0) {
            out.branch = layer.branch;
            out.st = *st;
            if (!sys::is_dir(*st)) return out;
        } else if (!sys::is_dir(*st) || (set.uses_marks() && TRY(entry_is_opaque(last->fd(), name)))) {
            break;
        }
        if (last && set.at(layer.branch).writable()) sys::add_directory(out.st, *st);
        out.layers.push_back(layer.branch);
        last = &layer;
    }
    if (out.branch < 0) return Errno(ENOENT);
    return out;
}

Result<std::vector<Hit>> find_all(const BranchSet& set, std::span<const Layer> parent, const Name& name) {
    std::vector<Hit> hits;
    for (const Layer& layer : parent) {
        auto st = set.at(layer.branch).stat_at(layer.fd(), name);
        if (!st) {
            if (is_absent(st.error())) continue;
            return st.error();
        }
        const bool whiteout = set.uses_marks() && marks::is_whiteout(*st);
        hits.push_back({layer.branch, *st, whiteout});
        if (whiteout) break;
    }
    return hits;
}

}  // namespace plyfs
