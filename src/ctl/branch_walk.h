// What lies on a branch, as its file system has it. Symbolic links are not followed and other file systems not entered.
#pragma once

#include <functional>
#include <string>

#include "sys/stat.h"

namespace plyfs::ctl {

struct OnDisk {
    std::string path;  // from the branch's root
    sys::Stat st;
    bool is_dir() const { return sys::is_dir(st); }
};
// Everything but what is the pool's own or the file system's (lost+found) in the root; a directory after what is in it.
// What vanishes meanwhile is passed over. Throws Failure for what can not be read.
void walk_branch(const std::string& root, const std::function<void(const OnDisk&)>& visit);

}  // namespace plyfs::ctl
