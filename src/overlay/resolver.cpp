#include "overlay/resolver.h"

#include <algorithm>

#include "overlay/marks.h"
#include "sys/open.h"

namespace plyfs {
namespace {

// A layer's directory that vanished behind our back (ENOENT, ENOTDIR on its descriptor) has no entries.
bool is_absent(Errno e) {
    return e == ENOENT || e == ENOTDIR || e == ESTALE || e == ENAMETOOLONG;
}

Result<sys::Stat> open_and_stat(BorrowedFd dir, const Name& name, UniqueFd& opened) {
    opened = TRY(sys::open_path(dir, name));
    return sys::stat_fd(opened);
}

// One name on its way down the layers. The rules are overlayfs' own (ovl_lookup): the first object found wins; a
// directory goes on collecting, a metacopy goes on to its content; a redirect changes where the layers below are
// searched, until the next one.
class Search {
  public:
    Search(const BranchSet& set, std::span<const Layer> parent, const Name& name)
        : set_(set), parent_(parent), name_(name), beside_(name.view()) {}

    Result<Resolved> run() {
        BranchIndex last = -1;
        for (const Layer& layer : parent_) {
            if (stop_ || !path_.empty()) break;
            last = layer.branch;
            const std::string held(beside_ == name_.view() ? std::string_view() : beside_);
            const Name name = held.empty() ? name_ : TRY(Name::parse(held));
            TRY(look({layer.branch, false, held}, layer.fd(), name));
        }
        for (int branch = last + 1; !stop_ && !path_.empty() && branch < set_.merged_size(); ++branch) {
            TRY(look_from_root(static_cast<BranchIndex>(branch)));
        }
        if (wants_content_) TRY(look_in_data_layers());
        if (wants_content_) return Errno(EIO);
        if (out_.branch < 0) return Errno(ENOENT);
        if (!detours_.empty()) out_.detours = std::make_shared<const std::vector<Detour>>(std::move(detours_));
        return std::move(out_);
    }

  private:
    // Nothing below may be merged with a directory of this branch, or be the content of a file.
    bool is_last_for_directories(BranchIndex branch) const { return branch + 1 == set_.merged_size(); }
    bool is_last_for_content(BranchIndex branch) const { return branch + 1 == set_.size(); }

    // What lies on one layer; `at.path` is empty for the union's own name in the parent's directory.
    Status look(const Detour& at, BorrowedFd dir, const Name& name) {
        auto st = sys::stat_at(dir, name);
        if (!st) {
            // A branch that fails below the winner does not take the winner away.
            return is_absent(st.error()) || out_.branch >= 0 ? Status{} : Status(st.error());
        }
        if (set_.uses_marks() && marks::is_whiteout(*st)) {
            stop_ = true;
            return {};
        }
        if (wants_content_) return take_content(at, dir, name, *st);
        const bool wins = out_.branch < 0;
        stop_ = !sys::is_dir(*st);
        if (wins) {
            out_.branch = at.branch;
            out_.st = *st;
        }
        if (stop_) return wins ? look_for_metacopy(at, dir, name) : Status{};
        if (!wins && set_.at(at.branch).writable()) sys::add_directory(out_.st, *st);
        if (!wins && set_.rules().keeps_inodes && out_.layers.size() == 1 && !set_.at(at.branch).writable() &&
            set_.at(out_.branch).writable()) {
            out_.original.key = sys::key_of(*st);
            out_.original.shows = out_.original.marked = true;
        }
        out_.layers.push_back(at.branch);
        note(at);
        if (!set_.uses_marks() || is_last_for_directories(at.branch)) return {};
        return read_directory_marks(at.branch, dir, name, {});
    }

    // Of a directory found, or of one on the way to it; `rest` is what of the path comes after it.
    Status read_directory_marks(BranchIndex branch, BorrowedFd dir, const Name& name, std::string_view rest) {
        const auto found = TRY(marks::find_marks(dir, name));
        if (found.opaque && TRY(marks::is_opaque(TRY(sys::open_dir_path(dir, name))))) {
            stop_ = true;
        } else if (found.redirect) {
            TRY(follow(branch, TRY(marks::read_redirect(dir, name)), name, rest));
        }
        return {};
    }

    Status look_for_metacopy(const Detour& at, BorrowedFd dir, const Name& name) {
        if (!set_.uses_marks() || is_last_for_content(at.branch) || !may_be_metacopy(out_.st)) return {};
        const auto found = TRY(marks::find_marks(dir, name));
        if (!found.metacopy) return {};
        if (!set_.rules().follow_redirects) return Errno(EPERM);
        wants_content_ = true;
        stop_ = false;
        return found.redirect ? follow(at.branch, TRY(marks::read_redirect(dir, name)), name, {}) : Status{};
    }

    // The winner is a metacopy: this is its content, or another metacopy on the way to it.
    Status take_content(const Detour& at, BorrowedFd dir, const Name& name, const sys::Stat& st) {
        stop_ = true;
        if (!sys::is_regular(st)) return {};
        if (!is_last_for_content(at.branch) && may_be_metacopy(st)) {
            const auto found = TRY(marks::find_marks(dir, name));
            if (found.metacopy) {
                stop_ = false;
                return found.redirect ? follow(at.branch, TRY(marks::read_redirect(dir, name)), name, {}) : Status{};
            }
        }
        content_is(at, st);
        return {};
    }

    void content_is(const Detour& at, const sys::Stat& st) {
        out_.data = at.branch;
        out_.st.stx_blocks = st.stx_blocks;
        note(at);
        wants_content_ = false;
        stop_ = true;
    }

    void note(const Detour& at) {
        if (!at.path.empty()) detours_.push_back(at);
    }

    // An absolute redirect leads from the roots, also on past an opaque directory on the way to where it was found; a
    // name replaces the component that bears it.
    Status follow(BranchIndex branch, std::string redirect, const Name& component, std::string_view rest) {
        if (redirect.empty()) return {};
        if (!set_.rules().follow_redirects) return Errno(EPERM);
        if (branch == out_.branch && rest.empty()) out_.redirect = redirect;
        if (redirect.front() == '/') {
            path_ = redirect.append(rest);
            stop_ = false;
        } else if (path_.empty()) {
            redirect_ = std::move(redirect);
            beside_ = redirect_;
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
        UniqueFd dir = TRY(sys::duplicate(set_.at(branch).root()));
        for (std::size_t at = 0;;) {
            const auto end = std::min(path.find('/', at), path.size());
            const std::string component = path.substr(at, end - at);
            const Name name = TRY(Name::parse(component));
            if (end == path.size()) return look({branch, true, path}, dir, name);
            auto st = sys::stat_at(dir, name);
            if (!st) return is_absent(st.error()) ? Status{} : Status(st.error());
            if (!sys::is_dir(*st)) {
                stop_ = true;
                return {};
            }
            if (!is_last_for_directories(branch)) {
                TRY(read_directory_marks(branch, dir, name, std::string_view(path).substr(end)));
            }
            auto next = TRY(sys::open_dir_path(dir, name));
            dir = std::move(next);
            at = end + 1;
        }
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
    std::string_view beside_;  // the name searched for in the parent's directories
    std::string path_;  // once a redirect was absolute: what is searched for from the roots, with its leading slash
    bool stop_ = false;
    bool wants_content_ = false;
    Resolved out_;
    std::vector<Detour> detours_;
};

}  // namespace

bool may_be_metacopy(const sys::Stat& st) {
    constexpr std::uint64_t kAttributeSectors = 128;
    return sys::is_regular(st) && (st.stx_blocks <= kAttributeSectors || st.stx_blocks < st.stx_size / 512);
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
    return Search(set, parent, name).run();
}

Result<std::vector<Hit>> find_all(const BranchSet& set, std::span<const Layer> parent, const Name& name,
                                  UniqueFd* opened) {
    std::vector<Hit> hits;
    for (const Layer& layer : parent) {
        auto st = opened && hits.empty() ? open_and_stat(layer.fd(), name, *opened) : sys::stat_at(layer.fd(), name);
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
