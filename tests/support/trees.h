// The two kinds of union that the tests mount, on file systems of their own: Layers (two read-only lowers, an
// upper and a work directory) and Pool (two writable disks). Fill the branches, mount(), use. At the end of
// each the daemon has ended, every backing it registered is closed, and the read-only branches are what they
// were, to the ctime.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/scratch.h"
#include "support/stats.h"
#include "support/tree_digest.h"

namespace plyfs::test {

class Tree {
  public:
    virtual ~Tree() = default;
    Tree(const Tree&) = delete;
    Tree& operator=(const Tree&) = delete;

    const std::string& mnt() const { return mnt_; }
    std::string operator/(const std::string& name) const { return mnt_ + "/" + name; }
    // Where something lies that the union has to find but would not create itself: the lower, the second
    // disk.
    virtual const std::string& below() const = 0;
    virtual bool layered() const = 0;
    virtual void mount(const std::string& more_options = "") = 0;
    Mount& mounted() { return *mount_; }
    Stats stats() const { return mount_->stats(); }
    // Unmounts and makes every check of the teardown.
    virtual void unmount();
    const Scratch& scratch() const { return scratch_; }

  protected:
    Tree() : mnt_(scratch_.dir("mnt")) {}
    void start(const std::string& options, const std::string& branches);

    Scratch scratch_;
    std::string mnt_;
    std::unique_ptr<Mount> mount_;
};

struct LayersSpec {
    std::string lower_kind = "ext4";
    std::string upper_kind = "ext4";
    unsigned mib = 64;
    std::vector<std::string> upper_mkfs = {};
};

class Layers : public Tree {
  public:
    explicit Layers(const LayersSpec& spec = {});
    ~Layers() override { unmount(); }
    const std::string& below() const override { return lower; }
    bool layered() const override { return true; }
    void mount(const std::string& more_options = "") override;
    void unmount() override;
    // lowerdir=...,upperdir=...,workdir=...: as plyfs and as the kernel's overlayfs take it.
    std::string options() const;

  private:
    LoopFs lower_fs_, upper_fs_;
    TreeDigest before_, before2_;
    bool taken_ = false;

  public:
    std::string lower, lower2, upper, work;  // lower is above lower2
};

class Pool : public Tree {
  public:
    explicit Pool(unsigned mib = 64);
    ~Pool() override { unmount(); }
    const std::string& below() const override { return b; }
    bool layered() const override { return false; }
    // create=ff unless more_options has another: what the tests create goes to a.
    void mount(const std::string& more_options = "") override;

  private:
    LoopFs a_fs_, b_fs_;

  public:
    std::string a, b;
};

// The same test on both kinds: prepare fills tree.below(), then it is mounted, then test runs.
void in_both_modes(const std::function<void(Tree&)>& prepare, const std::function<void(Tree&)>& test,
                   const std::string& more_options = "");
inline void in_both_modes(const std::function<void(Tree&)>& test) {
    in_both_modes([](Tree&) {}, test);
}

}  // namespace plyfs::test
