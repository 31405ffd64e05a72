// The branches of a pool that may be modified, opened where plyctl runs, and what they have of a name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"
#include "ctl/mounts.h"
#include "sys/stat.h"

namespace plyfs::ctl {

struct PoolBranch {
    std::string path;
    UniqueFd root;
    bool takes_files = false;     // its mode is rw, and its file system is not read-only
    std::uint64_t available = 0;  // beyond what is kept free
};
// Those that are there, in the order of priority. Throws Failure, also for what is no pool.
std::vector<PoolBranch> open_pool(const Mount& mount);

// A file of that path on one of them.
struct FileOn {
    const PoolBranch* branch;
    UniqueFd dir;
    std::string name;
    sys::Stat st;
    Name parsed_name() const { return *Name::parse(name); }
};
// ENOENT: it has none.
Result<FileOn> find_file(const PoolBranch& branch, const std::string& path);
// The branch that answers for it in the mount; empty: none.
std::string answering_branch(const Mount& mount, const std::string& path);

// Regular files of which so many branches at least have a copy, in the order of their paths' bytes.
struct Copied {
    std::string path;
    std::uint64_t bytes = 0;  // of one copy, on its disk
};
std::vector<Copied> find_copied(const std::vector<PoolBranch>& branches, std::size_t least_copies);

}  // namespace plyfs::ctl
