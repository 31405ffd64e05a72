#include "ctl/config_read.h"

#include "config/branch_spec.h"
#include "config/config_file.h"
#include "ctl/mounts.h"

namespace plyfs::ctl {

config::Draft read_as_mount(const std::string& path) {
    config::Draft draft;
    draft.base = real_path(".").value_or("/");
    draft.mountpoint_told = true;
    config::read_config_file(config::make_absolute(path, draft.base), draft);
    const bool says_branches = draft.branches || draft.lowerdirs || !draft.datadirs.empty() || !draft.upperdir.empty();
    if (!says_branches) {
        config::BranchSpec any;
        any.path = "/";
        draft.branches.emplace().push_back(any);
    }
    return draft;
}

}  // namespace plyfs::ctl
