// Making the copies of a pool's file the same. The copy that is kept is never touched; another one gives way to a copy
// of it in one rename, once that is complete and on the disk, and only while nobody has it open.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/name.h"
#include "ctl/branch_works.h"
#include "sys/stat.h"

namespace plyfs::ctl {

enum class Keep { first, newest, largest };
// "first" and so on; none for another word.
std::optional<Keep> keep_of(std::string_view word);

struct CopyAt {
    std::string branch;  // its path
    BorrowedFd root;     // of the branch
    BorrowedFd dir;      // in which the copy lies
    sys::Stat st;
};

class CopyFixer {
  public:
    explicit CopyFixer(Keep keep) : keep_(keep) {}
    // content: two of one size and time may still differ in what they contain. Empty, or why some of it stays.
    std::string make_same(const Name& name, const std::vector<CopyAt>& copies, bool content);

  private:
    const CopyAt& choose(const std::vector<CopyAt>& copies) const;
    std::string replace(const Name& name, const CopyAt& kept, const CopyAt& other);

    const Keep keep_;
    BranchWorks works_;
};

}  // namespace plyfs::ctl
