// Origins: the marks of a layered mount that tell a copied-up object from a new one and lead back to its original:
// overlay.origin, overlay.impure on directories that hold such objects, overlay.nlink. As the kernel's overlayfs writes
// and reads them.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "branch/branch_set.h"
#include "overlay/origin_format.h"
#include "overlay/resolver.h"

namespace plyfs {

class Origins {
  public:
    // Marks are where the set's rules have them, and in user.overlay.* without the privilege to use trusted.overlay.*.
    explicit Origins(std::shared_ptr<const BranchSet> set);

    const BranchSet& set() const { return *set_; }
    // Whether the branch's file system can name its objects so that they are found again; why not, if not.
    bool can_find(BranchIndex branch) const { return sources_[static_cast<std::size_t>(branch)].lack.empty(); }
    const std::string& lack(BranchIndex branch) const { return sources_[static_cast<std::size_t>(branch)].lack; }
    // The stored form for an object of a branch; empty where there is none.
    origin::Bytes of(BorrowedFd object, BranchIndex branch, bool upper = false) const;
    origin::Bytes of(BorrowedFd dir, const Name& name, BranchIndex branch) const;

    // overlay.origin. ENODATA: none; empty: a copy of an object that has no handle.
    Result<origin::Bytes> read(BorrowedFd dir, const Name& name) const;
    Result<origin::Bytes> read_own(BorrowedFd object) const;
    Status write(BorrowedFd object, const origin::Bytes& origin) const;
    // Whether there can be attributes on a copy of this: user.overlay.* only on files and directories.
    bool can_mark(const sys::Stat& st) const;
    // The original, wherever in the layers it lies now; none where it is gone or can not be asked for.
    std::optional<sys::Stat> find(const origin::Bytes& origin) const;

    Result<bool> is_impure(BorrowedFd dir) const;
    Status make_impure(BorrowedFd dir) const;

    Status write_link_count(BorrowedFd object, const origin::LinkCount& count) const;
    std::optional<origin::LinkCount> read_link_count(BorrowedFd dir, const Name& name) const;

    // overlay.upper of the index: which directory is its upper one.
    Result<origin::Bytes> read_upper(BorrowedFd index) const;
    Status write_upper(BorrowedFd index, const origin::Bytes& upper) const;

  private:
    struct Source {
        UniqueFd on_fs;
        sys::FsUuid uuid{};
        std::string lack;  // empty: it has handles
        bool unique = true;
    };
    Source examine(const Branch& branch) const;
    std::string name(const char* mark) const { return std::string(prefix_) + mark; }

    std::shared_ptr<const BranchSet> set_;
    std::vector<Source> sources_;  // by branch
    const char* prefix_;
};

}  // namespace plyfs
