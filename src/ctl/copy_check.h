// Comparing the copies that several branches of a pool have of a name, and making them the same if that is wanted.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ctl/fsck_fix.h"

namespace plyfs::ctl {

struct Finding {
    std::string path;  // from the root
    std::string what;
    bool fixed = false;
    std::string stays;  // why, where it was to be fixed
};

std::vector<std::string> names_in(BorrowedFd dir, const std::string& path);  // throws Failure

class CopyCheck {
  public:
    // branches: paths, in the order of priority. content: files are read. fixer: null: nothing is changed.
    CopyCheck(std::vector<std::string> branches, bool content, CopyFixer* fixer)
        : branches_(std::move(branches)), content_(content), fixer_(fixer) {}
    // Throws Failure for what can not be read.
    void run(std::vector<Finding>& found);
    std::uint64_t compared() const { return compared_; }

  private:
    struct Dir {
        const std::string* branch;
        BorrowedFd root;
        UniqueFd fd;
    };
    struct Copy {
        const Dir* dir;
        sys::Stat st;
    };
    void compare_dirs(const std::string& path, const std::vector<Dir>& dirs);
    void compare(const std::string& path, const std::string& name, const std::vector<Copy>& copies);
    std::string difference(const std::string& path, const std::string& name, const Copy& a, const Copy& b) const;
    void fix(const std::string& name, const std::vector<Copy>& copies, Finding& finding);

    const std::vector<std::string> branches_;
    const bool content_;
    CopyFixer* const fixer_;
    std::vector<Finding>* found_ = nullptr;
    std::uint64_t compared_ = 0;
};

}  // namespace plyfs::ctl
