// LayerDir: a branch's directory held open (O_PATH), and what is known of the marks in it: found out when first asked,
// and kept, because what is on a branch that may not be modified does not change. Shared by threads: each fact is one
// atomic, and finding it out twice does no harm.
//
// Facts of a directory that we write marks into are not kept here, see resolver.h: there may be several LayerDirs of
// one directory.
#pragma once

#include <atomic>
#include <memory>

#include "base/fd.h"
#include "base/result.h"
#include "branch/mark_rules.h"

namespace plyfs {

class LayerDir {
  public:
    explicit LayerDir(UniqueFd fd) : fd_(std::move(fd)) {}
    operator BorrowedFd() const { return fd_; }  // NOLINT: lending is what one does with it
    bool valid() const { return fd_.valid(); }

    // Whether a name in it may begin as AUFS' marks do. Read once; a directory so large that this would take long is
    // taken to have some.
    bool may_hold_aufs_names() const;
    // Told by whoever has read it as a whole.
    void note_aufs_names(bool any) const;
    Result<bool> holds_xattr_whiteouts(const MarkRules& rules) const;
    // A hash of its key, by which to see that another directory has its place; 0 if that can not be told.
    std::uint64_t identity() const;

  private:
    enum class Fact : unsigned char { unknown, no, yes };
    template <typename Find>
    static Result<bool> once(std::atomic<Fact>& fact, Find find);

    UniqueFd fd_;
    mutable std::atomic<std::uint64_t> identity_{0};
    mutable std::atomic<Fact> aufs_names_{Fact::unknown};
    mutable std::atomic<Fact> xattr_whiteouts_{Fact::unknown};
};

using SharedDir = std::shared_ptr<const LayerDir>;

}  // namespace plyfs
