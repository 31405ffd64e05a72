// A Tree over branches in a scratch directory, as a mount would have it, without FUSE.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "../overlay/branches.h"
#include "node/copy_up.h"
#include "node/tree.h"

namespace plyfs::test {

class World {
  public:
    enum class Kind { layers, pool };

    // `modes` as of make_branches. Layers have a work directory of their own, a pool stages in its branches.
    explicit World(std::string_view modes, Kind kind = Kind::layers, config::Policy create = config::Policy::ff,
                   std::size_t budget = 256)
        : modes_(modes), kind_(kind), budget_(budget) {
        pool.policies.set(config::Category::create, create);
        for (std::size_t i = 0; i < modes.size(); ++i) make_dir(scratch / std::to_string(i));
    }

    // After the branches are filled.
    Tree& start() { return start(make_branches(scratch.path(), modes_)); }
    Tree& start(std::shared_ptr<BranchSet> set) {
        std::unique_ptr<WorkDir> work;
        if (kind_ == Kind::layers) {
            auto opened = WorkDir::open(open_dir(scratch.path()), name_of("work"));
            REQUIRE(opened);
            work = std::move(*opened);
        }
        tree_ = std::make_unique<Tree>(std::move(set), pool, std::move(work), budget_);
        return *tree_;
    }
    void stop() { tree_.reset(); }
    const std::string& modes() const { return modes_; }
    Tree& tree() { return *tree_; }

    std::string at(int branch, const std::string& path) const {
        return scratch / (std::to_string(branch) + "/" + path);
    }
    bool work_is_empty() const { return names_in(scratch / "work").empty(); }

    // The node at a path, made known as a lookup does. "" is the root.
    NodeRef node(const std::string& path) {
        NodeRef node = tree_->nodes().find(kRootId);
        std::size_t begin = 0;
        while (begin < path.size()) {
            const std::size_t end = std::min(path.find('/', begin), path.size());
            node = child(node, path.substr(begin, end - begin));
            begin = end + 1;
        }
        return node;
    }

    ScratchDir scratch;
    config::PoolOptions pool;  // before it starts

  private:
    NodeRef child(const NodeRef& parent, const std::string& name) {
        INFO(name);
        const Layers layers = tree_->layers_of(parent).value();
        auto found = find_winner(tree_->set(), layers, name_of(name.c_str()));
        REQUIRE(found);
        bool made = false;
        NodeRef node = tree_->nodes().find_or_make(sys::key_of(found->st), made);
        LockedNode state(*node);
        if (made) {
            state->winner = found->branch;
            state->as_dir.set(&AsDirectory::layers, found->layers);
            state->content_branch = found->content_branch;
            state->rare.set(&Rare::detours, found->detours);
            state->shown_inode = found->st.stx_ino;
        }
        const Link here{parent, name};
        if (std::find(state->links.begin(), state->links.end(), here) == state->links.end()) {
            state->links.push_back(here);
        }
        return node;
    }

    std::string modes_;
    Kind kind_;
    std::size_t budget_;
    std::unique_ptr<Tree> tree_;
};

}  // namespace plyfs::test
