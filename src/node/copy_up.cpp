#include "node/copy_up.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/defer.h"
#include "base/log.h"
#include "node/copy_names.h"
#include "node/kept_times.h"
#include "node/metacopy.h"
#include "node/origin.h"
#include "node/source.h"
#include "overlay/staging.h"
#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs {
namespace {

// How often a waiting caller looks whether it was interrupted.
constexpr auto kInterruptPoll = std::chrono::milliseconds(20);

enum class Turn { nothing_to_do, ours };

// What a request still has to carry up.
enum class Need { nothing, object, content };

Need needed(Tree& tree, LockedNode& node, const CopyUpRequest& request) {
    if (!tree.set().at(node->winner).writable()) return Need::object;
    return node->content_branch >= 0 && !request.metadata_only ? Need::content : Need::nothing;
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
    LockedNode(*node)->copying = false;
    tree.copy_condition(*node).notify_all();
}

Status make_parents(Tree& tree, const std::vector<Link>& links, BranchIndex branch) {
    for (const Link& link : links) TRY(ensure_dir_on(tree, link.parent, branch));
    return {};
}

// Where the copy may go, the best first.
Result<std::vector<BranchIndex>> find_targets(Tree& tree, const std::vector<Link>& links, BranchIndex original) {
    if (!links.empty()) return TRY(tree.rank_branches(links[0].parent, {.above = original})).branches;
    // An object without a name can be copied to any branch: nobody will look for it there.
    std::vector<BranchIndex> out;
    for (const auto& branch : tree.set().all()) {
        if (branch->writable()) out.push_back(static_cast<BranchIndex>(branch->index()));
    }
    return out;
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
    const auto removed = LockedNode(*node)->rare->removed_links;
    if (links.empty() && removed >= object.st.stx_nlink) return out;
    if (several) {
        const std::string name = origin::index_name(out.bytes);
        if (!Name::parse(name)) return out;
        auto dir = tree.index()->prepare();
        if (!dir) return out;
        out.index = name;
        out.index_dir = *dir;
        out.removed = static_cast<int>(LockedNode(*node)->rare->removed_links);
    }
    out.marks = true;
    for (const Link& link : links) TRY(make_impure(tree, link.parent));
    return out;
}

// Names of the node that were met since `links` were taken. True: there were any.
bool add_new_names(LockedNode& node, std::vector<Link>& links) {
    const std::size_t had = links.size();
    for (const Link& link : node->links) {
        if (std::find(links.begin(), links.end(), link) == links.end()) links.push_back(link);
    }
    return links.size() > had;
}

// The places of all names, and the node locked: a copy that lacks one that is known would be lost to whoever writes
// through it, as that one goes on to lead to the original.
Status find_all_names(Tree& tree, const NodeRef& node, BranchIndex branch, const Origin& origin,
                      std::vector<Link>& links, CopyNames& names, std::optional<LockedNode>& state) {
    for (;;) {
        names = TRY(CopyNames::find(tree, links, branch));
        if (origin.indexed()) names.add_first(TRY(sys::duplicate(origin.index_dir)), origin.index);
        state.emplace(*node);
        if (!add_new_names(*state, links)) return {};
        state.reset();
        TRY(make_parents(tree, links, branch));
        if (!origin.marks) continue;
        for (const Link& link : links) TRY(make_impure(tree, link.parent));
    }
}

// Gives the copy, its link count that of before it had names.
Result<Located> copy_to(Tree& tree, const NodeRef& node, const CopyUpRequest& request, const Located& object,
                        BranchIndex branch) {
    std::vector<Link> links;
    bool pinned;
    CopySource source{.fd = object.fd, .st = object.st, .sync = tree.layer_options().sync};
    {
        LockedNode state(*node);
        links = state->links;
        pinned = state->pinned.valid();
        source.metacopy = may_leave_content(tree, state, request);
    }
    TRY(make_parents(tree, links, branch));
    WorkDir* work = TRY(tree.workdir_of(branch));
    const Origin origin = TRY(prepare_origin(tree, node, object, links));
    source.mark = [&](BorrowedFd staged) { return origin.mark(tree, staged); };
    source.marks_protection = tree.set().rules().marks_protection;
    const Carry carry{tree.set().at(object.branch).ownership(), tree.set().at(branch).ownership(), tree.set().ids()};
    source.carry = &carry;
    Located content;
    if (node->is_regular() && !source.metacopy) {
        source.data_bytes = std::min<std::uint64_t>(object.st.stx_size, request.keep_bytes);
        if (LockedNode(*node)->content_branch >= 0) {
            content = TRY(tree.find_content(node));
            source.content = content.fd;
        }
    }
    auto staged = TRY(stage_copy(*work, source, request.cancelled));
    const auto st = TRY(tree.set().at(branch).stat_fd(staged.fd()));
    const auto key = sys::key_of(st);
    UniqueFd pin;  // nothing may fail once it is published
    if (pinned) pin = TRY(sys::reopen(staged.fd(), O_PATH));
    // Who meets the copy by its name comes here by its key, and waits for the lock.
    tree.nodes().add_key(key, *node);
    Defer not_ours([&] { tree.nodes().drop_key(key, *node); });
    CopyNames names;
    std::optional<LockedNode> locked;
    // Renames and unlinks of the node waited meanwhile, so the names still hold.
    TRY(find_all_names(tree, node, branch, origin, links, names, locked));
    LockedNode& state = *locked;
    expect_key(tree, state, key);
    TRY(names.publish(staged));
    not_ours.cancel();
    take_source(tree, state, key, branch);
    if (source.metacopy) {
        if (state->content_branch < 0) state->content_branch = object.branch;
    } else {
        take_content(state, !node->is_regular() || source.data_bytes == object.st.stx_size);
    }
    if (pin.valid()) state->pinned = std::move(pin);
    const auto published = static_cast<std::uint32_t>(links.size()) + state->rare->removed_links;
    state->rare.set(&Rare::removed_links, 0);
    state->rare.set(&Rare::hidden_links, object.st.stx_nlink > published ? object.st.stx_nlink - published : 0);
    state->marked = origin.marks;
    if (origin.indexed()) {
        tree.index()->added(origin.index);
        state->rare.set(&Rare::index, std::make_unique<std::string>(origin.index));
        keep_hidden_links(tree, state);
    } else if (state->rare->hidden_links > 0 && node->is_regular()) {
        state->rare.set(&Rare::kept, node);
    }
    tree.counters().copyups.fetch_add(1, std::memory_order_relaxed);
    log::debug("copied up {} to {}", links.empty() ? "a nameless file" : links[0].name, tree.set().at(branch).path());
    return Located{staged.take_fd(), st, branch, node->generation(), node->data_generation()};
}

Result<Located> copy_up(Tree& tree, const NodeRef& node, const CopyUpRequest& request) {
    auto object = TRY(tree.find_object(node));
    if (!tree.pool().copy_up) return Errno(EROFS);
    if ((object.st.stx_attributes & STATX_ATTR_IMMUTABLE) && !request.even_immutable) return Errno(EPERM);
    // What may only be appended to is not truncated either, least of all by the copy.
    if ((object.st.stx_attributes & STATX_ATTR_APPEND) && request.keep_bytes < object.st.stx_size) return Errno(EPERM);
    const std::vector<Link> links = LockedNode(*node)->links;
    Errno last(EROFS);
    for (const BranchIndex branch : TRY(find_targets(tree, links, object.branch))) {
        auto copied = copy_to(tree, node, request, object, branch);
        if (copied) return copied;
        last = copied.error();
        if (last != ENOSPC && last != EDQUOT && last != EROFS) break;
    }
    return last;
}

// What is written by a name that is not the copy's would not be found under it at the next mount.
Status add_lacking_names(Tree& tree, const NodeRef& node) {
    std::vector<Link> links;
    {
        LockedNode state(*node);
        if (!state->lacks_names || state->rare->index) return {};
        state->lacks_names = false;
        links = state->links;
    }
    for (const Link& link : links) TRY(add_missing_link(tree, node, link.parent, TRY(Name::parse(link.name))));
    return {};
}

// The copy, if one was made now.
Result<std::optional<Located>> make_writable(Tree& tree, const NodeRef& node, const CopyUpRequest& request) {
    if (TRY(take_turn(tree, node, request)) == Turn::nothing_to_do) {
        TRY(add_lacking_names(tree, node));
        add_names_below(tree, node);
        return std::optional<Located>();
    }
    Defer end([&] { end_turn(tree, node); });
    const BranchIndex winner = LockedNode(*node)->winner;
    if (!tree.set().at(winner).writable()) return std::optional(TRY(copy_up(tree, node, request)));
    add_names_below(tree, node);
    TRY(complete_metacopy(tree, node, request.keep_bytes, request.cancelled));
    return std::optional<Located>();
}

}  // namespace

Status ensure_writable(Tree& tree, const NodeRef& node, const CopyUpRequest& request) {
    auto made = make_writable(tree, node, request);
    return made ? Status() : Status(made.error());
}

Result<Located> find_writable(Tree& tree, const NodeRef& node, const CopyUpRequest& request) {
    auto made = TRY(make_writable(tree, node, request));
    return made ? std::move(*made) : tree.find_object(node);
}

Status wait_for_copying(Tree& tree, LockedNode& node, const CopyUpRequest& request) {
    if (!request.may_block) return Errno(EINPROGRESS);
    if (request.cancelled && request.cancelled()) return Errno(EINTR);
    if (node->winner >= 0 && tree.set().at(node->winner).hangs()) return Errno(ETIMEDOUT);
    node.wait_for(tree.copy_condition(node.node()), kInterruptPoll);
    return {};
}

Status wait_until_copied(Tree& tree, LockedNode& node, const CopyUpRequest& request) {
    while (node->copying) TRY(wait_for_copying(tree, node, request));
    return {};
}

namespace {

Status try_missing_link(Tree& tree, const NodeRef& node, const NodeRef& parent, const Name& name) {
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
    if (!linked || state->rare->hidden_links == 0) return {};
    if (--state->rare.make().hidden_links == 0) std::swap(kept, state->rare.make().kept);
    // Whoever found the name below finds it here now.
    if (state->rare->index) state.next_generation();
    plyfs::keep_hidden_links(tree, state);
    return {};
}

}  // namespace

Status add_missing_link(Tree& tree, const NodeRef& node, const NodeRef& parent, const Name& name) {
    auto added = try_missing_link(tree, node, parent, name);
    if (added.failed_with(ENOSPC) || added.failed_with(EDQUOT)) LockedNode(*node)->lacks_names = true;
    return added;
}

}  // namespace plyfs
