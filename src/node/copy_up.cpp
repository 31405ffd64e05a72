#include "node/copy_up.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <list>

#include "base/defer.h"
#include "base/log.h"
#include "node/origin.h"
#include "overlay/marks.h"
#include "overlay/staging.h"
#include "sys/attributes.h"
#include "sys/copy_data.h"
#include "sys/cred.h"
#include "sys/entry.h"
#include "sys/file_io.h"
#include "sys/open.h"
#include "sys/xattr.h"

namespace plyfs {
namespace {

// How often a waiting caller looks whether it was interrupted.
constexpr auto kInterruptPoll = std::chrono::milliseconds(20);

bool is_cancelled(const CopyUpRequest& request) {
    return request.cancelled && request.cancelled();
}

enum class Turn { nothing_to_do, ours };

// What a request still has to carry up.
enum class Need { nothing, object, content };

Need needed(Tree& tree, LockedNode& node, const CopyUpRequest& request) {
    if (!tree.set().at(node->winner).writable()) return Need::object;
    return node->data >= 0 && !request.metadata_only ? Need::content : Need::nothing;
}

// Whether the content of a file may stay below. It is found there by the file's name, so there has to be one.
bool may_leave_content(Tree& tree, LockedNode& node, const CopyUpRequest& request) {
    return request.metadata_only && node.node().is_regular() && tree.set().rules().make_metacopies &&
           !node->links.empty();
}

// Waits until nobody copies the node; when it still has to be copied, it is this thread's turn and marked so.
Result<Turn> take_turn(Tree& tree, const NodeRef& node, const CopyUpRequest& request) {
    LockedNode state(*node);
    TRY(wait_until_copied(tree, state, request));
    if (needed(tree, state, request) == Need::nothing) return Turn::nothing_to_do;
    if (!request.may_block && node->is_regular() && !may_leave_content(tree, state, request)) return Errno(EINPROGRESS);
    state->copying = true;
    return Turn::ours;
}

void end_turn(Tree& tree, const NodeRef& node) {
    {
        LockedNode state(*node);
        state->copying = false;
    }
    tree.copy_condition(*node).notify_all();
}

// The directory's times as they were: an entry that appears by copy-up is not a change a user made.
class KeptTimes {
  public:
    explicit KeptTimes(SharedDir dir) : dir_(std::move(dir)), st_(sys::stat_fd(*dir_)) {}
    ~KeptTimes() {
        if (!st_) return;
        const timespec atime{st_->stx_atime.tv_sec, st_->stx_atime.tv_nsec};
        const timespec mtime{st_->stx_mtime.tv_sec, st_->stx_mtime.tv_nsec};
        // Times are a courtesy here: the copy itself stands.
        if (!sys::set_times(*dir_, atime, mtime)) log::debug("times of a directory were not kept after a copy-up");
    }
    KeptTimes(const KeptTimes&) = delete;
    KeptTimes& operator=(const KeptTimes&) = delete;

  private:
    SharedDir dir_;
    Result<sys::Stat> st_;
};

// The node's source becomes the object on `branch` that has this key, which leads here already.
void take_source(Tree& tree, LockedNode& node, const sys::FileKey& key, BranchIndex branch) {
    if (node->original == sys::FileKey{}) {
        node->original = node->key;
    } else if (node->key != node->original) {
        tree.nodes().drop_key(node->key, node.node());
    }
    tree.shown_inodes().keep(key.dev, key.ino, node->shown_inode);
    node->key = key;
    node->winner = branch;
    node.next_generation();
}

// The winner has the content now, from here on another file than the readers of the original have.
void take_content(LockedNode& node, bool whole) {
    node->data = -1;
    node.next_data_generation();
    node->changed_since_copy = !whole;
}

// All names known of a hard-linked original, so that they stay names of one file; all or none.
class Names {
  public:
    // The directories are found before the node is locked: finding locks nodes.
    static Result<Names> find(Tree& tree, const std::vector<Link>& links, BranchIndex branch) {
        Names names;
        for (const Link& link : links) names.places_.push_back({TRY(tree.dir_on(link.parent, branch)), link.name});
        return names;
    }

    // In the index as well, before all others: from then on each of them leads to the copy.
    void add_first(Result<UniqueFd> index, std::string name) {
        if (!index) return;
        places_.push_back({std::make_shared<const LayerDir>(std::move(*index)), std::move(name)});
    }

    Status publish(Staged& staged) const {
        std::list<KeptTimes> keep;
        std::vector<const Place*> linked;
        Defer undo([&] {
            for (const Place* place : linked) {
                if (!sys::unlink_file(*place->dir, *Name::parse(place->name))) log::warn("{} stays", place->name);
            }
        });
        for (const Place& place : places_) keep.emplace_back(place.dir);
        // The first name last: it comes with append-only, which forbids others.
        for (std::size_t i = places_.size(); i-- > 1;) {
            auto done = sys::link_fd(staged.fd(), *places_[i].dir, TRY(Name::parse(places_[i].name)));
            if (!done && !done.failed_with(EEXIST)) return done;
            if (done) linked.push_back(&places_[i]);
        }
        if (!places_.empty()) TRY(staged.publish(*places_[0].dir, TRY(Name::parse(places_[0].name))));
        undo.cancel();
        return {};
    }

  private:
    struct Place {
        SharedDir dir;
        std::string name;
    };
    std::vector<Place> places_;
};

Result<BranchIndex> make_room(Tree& tree, const std::vector<Link>& links, BranchIndex original) {
    if (links.empty()) {
        // An object without a name can be copied to any branch: nobody will look for it there.
        for (const auto& branch : tree.set().all()) {
            if (branch->writable()) return static_cast<BranchIndex>(branch->index());
        }
        return Errno(EROFS);
    }
    Errno last(EROFS);
    for (BranchIndex branch : TRY(tree.rank_branches(links[0].parent, {.above = original}))) {
        Status made;
        for (const Link& link : links) {
            made = ensure_dir_on(tree, link.parent, branch);
            if (!made) break;
        }
        if (made) return branch;
        last = made.error();
        if (last != ENOSPC && last != EDQUOT && last != EROFS) return last;
    }
    return last;
}

// A file whose attributes were copied up earlier gets its content, in place: the mark says until the end that the
// content below is the right one.
Status complete(Tree& tree, const NodeRef& node, const CopyUpRequest& request) {
    const auto object = TRY(tree.find_object(node));
    const auto content = TRY(tree.find_content(node));
    const std::uint64_t size = std::min<std::uint64_t>(object.st.stx_size, request.keep_bytes);
    const auto to = TRY(sys::reopen(object.fd, O_RDWR));
    // What an attempt that was interrupted left behind is some of the same content: where it can not be taken away it
    // is written once more. Never by way of another size, which is what the file's size is as long as the mark is
    // there.
    const auto drop_data = [&] {
        const auto length = static_cast<off_t>(object.st.stx_size);
        return length == 0 || sys::allocate(to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, length);
    };
    if (!drop_data()) log::debug("the blocks of a metacopy were not given back");
    Defer unused([&] {
        if (!drop_data()) log::debug("the blocks of a metacopy were not given back");
    });
    if (size > 0) {
        // Writing takes file capabilities away and changes the times, and nobody has written yet.
        auto capability = sys::get_xattr_all(to, "security.capability");
        {
            sys::RegistrationCred reserve;
            TRY(sys::copy_data(TRY(sys::reopen(content.fd, O_RDONLY)), to, size,
                               [&] { return is_cancelled(request); }));
        }
        if (capability) TRY(sys::set_xattr(to, "security.capability", *capability));
        if (tree.layer_options().sync) TRY(TRY(tree.workdir_of(object.branch))->settle_content(to));
    }
    const auto time = [](const statx_timestamp& t) { return timespec{t.tv_sec, t.tv_nsec}; };
    // Truncated it is a changed file, and never seen at its old size without the mark: the rest would be zeros.
    const bool whole = size == object.st.stx_size;
    if (!whole) TRY(sys::change_size(to, static_cast<off_t>(size)));
    TRY(sys::set_times(to, time(object.st.stx_atime), whole ? time(object.st.stx_mtime) : timespec{0, UTIME_NOW}));
    LockedNode state(*node);
    unused.cancel();  // from here on the mark may be gone
    TRY(marks::clear_metacopy(to));
    state->redirect = nullptr;
    take_content(state, whole);
    state->detours = nullptr;
    tree.counters().copyups.fetch_add(1, std::memory_order_relaxed);
    return {};
}

// What a copy says of its original.
struct Origin {
    bool marks = false;
    origin::Bytes bytes;
    std::string index;  // empty: not in the index
    BorrowedFd index_dir;
    int removed = 0;  // names of the original that whiteouts hide

    bool indexed() const { return !index.empty(); }
    Status mark(const Tree& tree, BorrowedFd copy) const {
        if (!marks) return {};
        TRY(tree.origins()->write(copy, bytes));
        if (!indexed()) return {};
        // Of the original's: right however many of its names the copy has already.
        return tree.origins()->write_link_count(copy, {origin::LinkCount::From::lower, -removed});
    }
};

// As overlayfs: without the index the names of one original may become several files, so its copy has no origin.
Result<Origin> prepare_origin(Tree& tree, const NodeRef& node, const Located& object, const std::vector<Link>& links) {
    Origin out;
    if (!tree.origins()) return out;
    const bool several = object.st.stx_nlink > 1;
    if (several && !(tree.index() && tree.origins()->can_mark(object.st))) return out;
    if (tree.set().at(object.branch).device() == sys::device_of(object.st)) {
        out.bytes = tree.origins()->of(object.fd, object.branch);
    }
    if (links.empty() && LockedNode(*node)->removed_links >= object.st.stx_nlink) return out;
    if (several) {
        const std::string name = origin::index_name(out.bytes);
        if (!Name::parse(name)) return out;
        auto dir = tree.index()->prepare();
        if (!dir) return out;
        out.index = name;
        out.index_dir = *dir;
        out.removed = static_cast<int>(LockedNode(*node)->removed_links);
    }
    out.marks = true;
    for (const Link& link : links) TRY(make_impure(tree, link.parent));
    return out;
}

Status copy_up(Tree& tree, const NodeRef& node, const CopyUpRequest& request) {
    auto object = TRY(tree.find_object(node));
    if ((object.st.stx_attributes & STATX_ATTR_IMMUTABLE) && !request.even_immutable) return Errno(EPERM);
    // What may only be appended to is not truncated either, least of all by the copy.
    if ((object.st.stx_attributes & STATX_ATTR_APPEND) && request.keep_bytes < object.st.stx_size) return Errno(EPERM);
    std::vector<Link> links;
    CopySource source{.fd = object.fd, .st = object.st, .sync = tree.layer_options().sync};
    {
        LockedNode state(*node);
        links = state->links;
        source.metacopy = may_leave_content(tree, state, request);
    }
    const BranchIndex branch = TRY(make_room(tree, links, object.branch));
    WorkDir* work = TRY(tree.workdir_of(branch));
    const Origin origin = TRY(prepare_origin(tree, node, object, links));
    source.mark = [&](BorrowedFd staged) { return origin.mark(tree, staged); };
    const Carry carry{tree.set().at(object.branch).ownership(), tree.set().at(branch).ownership(), tree.set().ids()};
    source.carry = &carry;
    Located content;
    if (node->is_regular() && !source.metacopy) {
        source.data_bytes = std::min<std::uint64_t>(object.st.stx_size, request.keep_bytes);
        if (LockedNode(*node)->data >= 0) {
            content = TRY(tree.find_content(node));
            source.content = content.fd;
        }
    }
    auto staged = TRY(stage_copy(*work, source, [&] { return is_cancelled(request); }));
    Names names = TRY(Names::find(tree, links, branch));
    if (origin.indexed()) names.add_first(sys::duplicate(origin.index_dir), origin.index);
    const auto key = sys::key_of(TRY(tree.set().at(branch).stat_fd(staged.fd())));
    // Who meets the copy by its name comes here by its key, and waits for the lock.
    tree.nodes().add_key(key, *node);
    Defer not_ours([&] { tree.nodes().drop_key(key, *node); });
    LockedNode state(*node);
    // Renames and unlinks of the node waited meanwhile, so the names still hold.
    TRY(names.publish(staged));
    not_ours.cancel();
    take_source(tree, state, key, branch);
    if (source.metacopy) {
        if (state->data < 0) state->data = object.branch;
    } else {
        take_content(state, !node->is_regular() || source.data_bytes == object.st.stx_size);
    }
    if (state->pinned.valid()) {
        if (auto pin = sys::duplicate(staged.fd())) state->pinned = std::move(*pin);
    }
    const auto published = static_cast<std::uint32_t>(links.size()) + state->removed_links;
    state->removed_links = 0;
    state->hidden_links = object.st.stx_nlink > published ? object.st.stx_nlink - published : 0;
    state->marked = origin.marks;
    if (origin.indexed()) {
        tree.index()->added(origin.index);
        state->index = std::make_unique<std::string>(origin.index);
        if (!tree.index()->keep_hidden_links(staged.fd(), state->hidden_links)) log::debug("index: no link count");
    } else if (state->hidden_links > 0 && node->is_regular()) {
        state->kept = node;
    }
    tree.counters().copyups.fetch_add(1, std::memory_order_relaxed);
    log::debug("copied up {} to {}", links.empty() ? "a nameless file" : links[0].name, tree.set().at(branch).path());
    return {};
}

}  // namespace

Status ensure_writable(Tree& tree, const NodeRef& node, const CopyUpRequest& request) {
    if (TRY(take_turn(tree, node, request)) == Turn::nothing_to_do) {
        add_names_below(tree, node);
        return {};
    }
    Defer end([&] { end_turn(tree, node); });
    const bool writable = tree.set().at(LockedNode(*node)->winner).writable();
    if (!writable) return copy_up(tree, node, request);
    add_names_below(tree, node);
    return complete(tree, node, request);
}

Status wait_until_copied(Tree& tree, LockedNode& node, const CopyUpRequest& request) {
    while (node->copying) {
        if (!request.may_block) return Errno(EINPROGRESS);
        if (is_cancelled(request)) return Errno(EINTR);
        node.wait_for(tree.copy_condition(node.node()), kInterruptPoll);
    }
    return {};
}

Status ensure_dir_on(Tree& tree, const NodeRef& dir, BranchIndex branch) {
    NodeRef parent;
    {
        LockedNode state(*dir);
        const auto& layers = state->layers;
        if (std::find(layers.begin(), layers.end(), branch) != layers.end()) return {};
        if (state->links.empty()) return Errno(ENOENT);
        parent = state->links[0].parent;
    }
    TRY(ensure_dir_on(tree, parent, branch));
    auto parent_dir = TRY(tree.dir_on(parent, branch));
    auto original = TRY(tree.find_object(dir));
    WorkDir* work = TRY(tree.workdir_of(branch));
    const Carry carry{tree.set().at(original.branch).ownership(), tree.set().at(branch).ownership(), tree.set().ids()};
    auto staged = TRY(stage_directory(*work, original.fd, original.st, false, &carry));
    if (tree.origins()) {
        origin::Bytes origin;
        if (tree.set().at(original.branch).device() == sys::device_of(original.st)) {
            origin = tree.origins()->of(original.fd, original.branch);
        }
        TRY(tree.origins()->write(staged.fd(), origin));
        TRY(make_impure(tree, parent));
    }

    LockedNode state(*dir);  // a rename of this directory holds it: the name is right until we are done
    auto& layers = state->layers;
    if (std::find(layers.begin(), layers.end(), branch) != layers.end()) return {};
    if (state->links.empty() || state->links[0].parent != parent) return Errno(ESTALE);
    const Name name = TRY(Name::parse(state->links[0].name));
    KeptTimes keep(parent_dir);
    const bool wins = layers.empty() || branch < layers.front();
    auto key = sys::key_of(TRY(sys::stat_fd(staged.fd())));
    // Who meets it by its name from now on comes here by its key, and waits for the lock.
    if (wins) tree.nodes().add_key(key, *dir);
    Defer not_ours([&] {
        if (wins) tree.nodes().drop_key(key, *dir);
    });
    auto published = staged.publish(*parent_dir, name);
    if (published.failed_with(EEXIST)) {
        // Somebody made it on the branch since we looked: as good, if it is a directory.
        const auto theirs = sys::key_of(TRY(sys::stat_fd(TRY(sys::open_dir_path(*parent_dir, name)))));
        if (wins) {
            tree.nodes().drop_key(key, *dir);
            tree.nodes().add_key(theirs, *dir);
        }
        key = theirs;
    } else if (!published) {
        return published;
    }
    not_ours.cancel();
    layers.insert(std::upper_bound(layers.begin(), layers.end(), branch), branch);
    if (wins) take_source(tree, state, key, branch);
    state->marked = tree.origins() != nullptr;
    return {};
}

Status ensure_dir_writable(Tree& tree, const NodeRef& dir) {
    const BranchIndex winner = LockedNode(*dir)->winner;
    if (tree.set().at(winner).writable()) return {};
    Errno last(EROFS);
    for (BranchIndex branch : TRY(tree.rank_branches(dir, {.above = winner}))) {
        auto made = ensure_dir_on(tree, dir, branch);
        if (made) return made;
        last = made.error();
    }
    return last;
}

Status add_missing_link(Tree& tree, const NodeRef& node, const NodeRef& parent, const Name& name) {
    const BranchIndex branch = LockedNode(*node)->winner;
    TRY(ensure_dir_on(tree, parent, branch));
    auto object = TRY(tree.find_object(node));
    auto dir = TRY(tree.dir_on(parent, branch));
    const bool marked = LockedNode(*node)->marked;
    if (marked) TRY(make_impure(tree, parent));
    KeptTimes keep(dir);
    NodeRef kept;  // dropped after the lock
    LockedNode state(*node);
    // Renamed or removed since: not ours to bring back.
    if (std::find(state->links.begin(), state->links.end(), Link{parent, name.str()}) == state->links.end()) return {};
    auto linked = sys::link_fd(object.fd, *dir, name);
    if (!linked && !linked.failed_with(EEXIST)) return linked;
    if (!linked || state->hidden_links == 0) return {};
    if (--state->hidden_links == 0) std::swap(kept, state->kept);
    // Whoever found the name below finds it here now.
    if (state->index) state.next_generation();
    plyfs::keep_hidden_links(tree, state);
    return {};
}

}  // namespace plyfs
