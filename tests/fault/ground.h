// What operations are made on while calls fail: a union, in which each try has a tree of its own, alike in all of them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/scratch.h"
#include "support/tree_digest.h"

namespace plyfs::test {

enum class Kind { layers, pool };

class Ground {
  public:
    explicit Ground(Kind kind);
    ~Ground();

    Kind kind() const { return kind_; }
    // Makes a tree on the branches; only while nothing is mounted.
    //   layers, below:  d/{f,g,linked,linked2,s,p,sub/x} w/{w} e/  on the first, d/{h,sub/y} on the second; above: o
    //   od/in pool, on a:     d/{f,g,linked,linked2,s,p,sub/x} e/ twin;  on b: d/{h,sub/y} e/ o od/in twin w/{w}
    // Everything was changed long ago, and every file's content is its name and more.
    void make_tree(const std::string& name) const;
    void mount(const std::string& options);
    void unmount();
    Mount& mounted() { return *mount_; }
    // Where the tree is seen.
    std::string at(const std::string& name) const { return mnt_ + "/" + name; }
    // Everything a user sees of it; what changed since the ground was made has the time "now".
    TreeDigest look(const std::string& name) const;
    // Names of what was being prepared on branches, and of files that a pool has twice but is made with once; empty if
    // nothing was left.
    std::vector<std::string> leftovers() const;
    // The daemon was killed.
    void clean_up_after_kill();
    // From now on branches that are only read must stay what they are.
    void note_read_only();
    // Empty, or how they changed.
    std::string read_only_changes() const;
    // Everything that was done is on the disks.
    void settle() const;
    // The same branches as they are after a power cut in this moment: what is written to may have its journal up to
    // now, but of data only what was waited for.
    std::unique_ptr<Ground> cut_power() const;

  private:
    Ground(Kind kind, long long began) : kind_(kind), began_(began) {}
    // Those that are written to.
    bool is_written(std::size_t disk) const { return kind_ == Kind::pool || disk == 1; }

    const Kind kind_;
    Scratch scratch_;
    std::vector<std::unique_ptr<LoopFs>> disks_;
    std::vector<std::string> branches_;  // layers: the upper last; pool: in their order
    std::string work_, mnt_;
    const long long began_;
    std::optional<Mount> mount_;
    std::vector<TreeDigest> read_only_;
};

// The content of a file of such a tree.
std::string content_of(const std::string& name);

}  // namespace plyfs::test
