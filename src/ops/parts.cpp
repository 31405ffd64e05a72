#include "ops/parts.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"
#include "node/source.h"
#include "ops/timeouts.h"
#include "overlay/layer_names.h"

namespace plyfs::ops {
namespace {

std::uint32_t milliseconds_now() {
    using std::chrono::milliseconds;
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint32_t>(std::chrono::duration_cast<milliseconds>(now).count());
}

// What is known of a directory's name in its parent.
struct InParent {
    std::uint32_t replaced = 0;  // the parent's layers
    bool told = false;           // who makes the name anywhere there is heard of
    std::vector<BranchIndex> made;
};

InParent ask_parent(const NodeRef& parent, const std::string& name) {
    InParent out;
    LockedNode state(*parent);
    out.replaced = state->as_dir->layers_replaced;
    const auto& names = state->as_dir->layer_names;
    if (!names || names->outdated()) return out;
    const auto knows = [&](BranchIndex branch) { return names->knows(branch); };
    out.told = std::all_of(state->as_dir->layers.begin(), state->as_dir->layers.end(), knows);
    out.made = names->made(name);
    return out;
}

bool lacks_any(const std::vector<BranchIndex>& layers, const std::vector<BranchIndex>& made) {
    return std::any_of(made.begin(), made.end(), [&](BranchIndex branch) {
        return std::find(layers.begin(), layers.end(), branch) == layers.end();
    });
}

// True: it has other parts now.
Result<bool> look_at_parts(Context& ctx, const NodeRef& dir, const Link& link, const PartsKnown& known) {
    const Layers layers = TRY(ctx.tree.layers_of(link.parent));
    const Name name = TRY(Name::parse(link.name));
    const auto found = TRY(find_winner(ctx.tree.set(), layers, name));
    LockedNode state(*dir);
    if (state->links.empty() || state->links[0] != link) return false;
    state->as_dir.set(&AsDirectory::parts_known, known);
    if (found.incomplete) --state->as_dir.make().parts_known.news;
    if (state->as_dir->layers == found.layers || !sys::is_dir(found.st) || !has_its_part(state, found)) return false;
    TRY(renew_parts(ctx, state, layers, name, found.other_name));
    return true;
}

}  // namespace

PartsKnown parts_known_now(const Context& ctx) {
    return {.news = ctx.tree.parts_news(), .at = milliseconds_now()};
}

Status renew_parts(Context& ctx, LockedNode& dir, const Layers& layers, const Name& name, bool redirected) {
    auto now = TRY(find_winner(ctx.tree.set(), layers, name));
    // The second: renamed meanwhile, and `layers` may not be all.
    if (!sys::is_dir(now.st) || (now.other_name && !redirected)) return Errno(ESTALE);
    dir->rare.set(&Rare::detours, std::move(now.detours));
    dir->rare.set(&Rare::redirect,
                  now.redirect.empty() ? nullptr : std::make_unique<std::string>(std::move(now.redirect)));
    dir->protection = now.protection;
    take_parts(ctx.tree, dir, sys::key_of(now.st), std::move(now.layers));
    return {};
}

bool has_its_part(LockedNode& dir, const Resolved& found) {
    for (std::size_t i = 0; i < found.layers.size(); ++i) {
        const BranchIndex branch = found.layers[i];
        if (std::find(dir->as_dir->layers.begin(), dir->as_dir->layers.end(), branch) == dir->as_dir->layers.end())
            continue;
        if (branch != dir->winner) return true;
        if (branch == found.branch && sys::key_of(found.st) == dir->key) return true;
        if (i < found.identities.size() && found.identities[i] == sys::hash_of(dir->key)) return true;
    }
    return false;
}

bool hear_of_parts(Context& ctx, const NodeRef& dir) {
    if (!ctx.tree.dirs_have_places() || ctx.tree.set().size() < 2) return false;
    const auto age = static_cast<std::uint32_t>(parts_timeout(ctx) * 1000);
    PartsKnown now = parts_known_now(ctx);
    PartsKnown had;
    Link link;
    std::vector<BranchIndex> layers;
    {
        LockedNode state(*dir);
        had = state->as_dir->parts_known;
        // A branch that is late would be waited for: without news the parts are those that are known.
        if (had.news == now.news && (now.at - had.at <= age || ctx.tree.set().any_is_late())) return false;
        if (state->links.empty()) return false;
        link = state->links[0];
        layers = state->as_dir->layers;
    }
    hear_of_parts(ctx, link.parent);
    const InParent in = ask_parent(link.parent, link.name);
    now.parents = in.replaced;
    const bool late = !in.told && now.at - had.at > age;
    if (late || in.replaced != had.parents || lacks_any(layers, in.made)) {
        const auto got = look_at_parts(ctx, dir, link, now);
        if (!got) log::debug("parts of {}: {}", link.name, log::errno_text(got.error().value()));
        return got && *got;
    }
    if (!in.told) now.at = had.at;
    LockedNode state(*dir);
    state->as_dir.set(&AsDirectory::parts_known, now);
    return false;
}

}  // namespace plyfs::ops
