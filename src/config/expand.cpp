#include "config/expand.h"

#include "sys/glob.h"
#include "sys/open.h"

namespace plyfs::config {
namespace {

void add_fitting(const BranchSpec& pattern, std::vector<BranchSpec>& out, std::vector<std::string>& faults,
                 std::vector<std::string>& notices) {
    const auto paths = sys::expand_pattern(pattern.path.c_str());
    if (!paths) {
        faults.push_back("branches: pattern " + pattern.written +
                         " can not be followed: " + log::errno_text(paths.error().value()));
        return;
    }
    bool any = false;
    for (const std::string& path : *paths) {
        if (sys::open_root(path.c_str()).failed_with(ENOTDIR)) {
            notices.push_back("branches: " + path + " fits " + pattern.written + " and is no directory: passed over");
            continue;
        }
        BranchSpec branch = pattern;
        branch.path = path;
        branch.pattern = false;
        out.push_back(std::move(branch));
        any = true;
    }
    if (any) return;
    faults.push_back("branches: no directory fits the pattern " + pattern.written +
                     "; mount the disks first, or write a backslash before a '*', '?' or '[' that is part of a name");
}

}  // namespace

std::vector<std::string> expand_patterns(std::vector<BranchSpec>& branches, std::vector<std::string>& notices) {
    std::vector<std::string> faults;
    std::vector<BranchSpec> out;
    for (BranchSpec& branch : branches) {
        if (branch.pattern) {
            add_fitting(branch, out, faults, notices);
        } else {
            out.push_back(std::move(branch));
        }
    }
    branches = std::move(out);
    return faults;
}

}  // namespace plyfs::config
