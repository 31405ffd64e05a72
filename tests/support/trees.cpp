#include "support/trees.h"

#include <unistd.h>

#include "support/check.h"

namespace plyfs::test {

void Tree::start(const std::string& options, const std::string& branches) {
    mount_.reset();  // before the new one is there, or it would unmount that
    mount_ = std::make_unique<Mount>(options, branches, mnt_);
}

void Tree::unmount() {
    if (!mount_) return;
    if (::chdir("/") != 0) FAILED_CHECK(std::string("chdir /"));  // a test that failed may have left us in the mount
    if (is_mounted(mnt_) && is_alive(mount_->pid()) && !is_standin()) {
        try {
            if (!mount_->backings_settle()) {
                Stats now = stats();
                FAILED_CHECK("backings leaked: opened " + now.text("backings.opened") + ", closed " +
                             now.text("backings.closed"));
            }
        } catch (...) {
            // The assertion inside was counted; a destructor goes on to unmount.
        }
    }
    mount_.reset();
}

Layers::Layers(const LayersSpec& spec)
    : lower_fs_(spec.lower_kind, scratch_.path(), "lowers", spec.mib),
      upper_fs_(spec.upper_kind, scratch_.path(), "uppers", spec.mib, spec.upper_mkfs),
      lower(lower_fs_.dir("lower")),
      lower2(lower_fs_.dir("lower2")),
      upper(upper_fs_.dir("upper")),
      work(upper_fs_.dir("work")) {}

std::string Layers::options() const {
    return "lowerdir=" + lower + ":" + lower2 + ",upperdir=" + upper + ",workdir=" + work;
}

void Layers::mount(const std::string& more_options) {
    if (!taken_) {
        before_ = TreeDigest::of(lower);
        before2_ = TreeDigest::of(lower2);
        taken_ = true;
    }
    start(options() + (more_options.empty() ? "" : "," + more_options), "");
}

void Layers::unmount() {
    Tree::unmount();
    if (!taken_) return;
    taken_ = false;
    try {
        for (const std::string& change :
             {before_.difference(TreeDigest::of(lower)), before2_.difference(TreeDigest::of(lower2))})
            if (!change.empty()) FAILED_CHECK("a read-only branch was modified:\n" + change);
    } catch (...) {
        // Counted; a destructor does not throw.
    }
}

Pool::Pool(unsigned mib)
    : a_fs_("ext4", scratch_.path(), "disk_a", mib),
      b_fs_("ext4", scratch_.path(), "disk_b", mib),
      a(a_fs_.dir("data")),
      b(b_fs_.dir("data")) {}

void Pool::mount(const std::string& more_options) {
    std::string options = more_options;
    if (options.find("create=") == std::string::npos)
        options += (options.empty() ? "" : ",") + std::string("create=ff");
    start(options, a + "=rw:" + b + "=rw");
}

void in_both_modes(const std::function<void(Tree&)>& prepare, const std::function<void(Tree&)>& test,
                   const std::string& more_options) {
    for (bool layered : {true, false}) {
        std::unique_ptr<Tree> tree;
        if (layered)
            tree = std::make_unique<Layers>();
        else
            tree = std::make_unique<Pool>();
        INFO("mode: ", std::string(layered ? "layers" : "pool"));
        prepare(*tree);
        tree->mount(more_options);
        test(*tree);
        tree->unmount();
    }
}

}  // namespace plyfs::test
