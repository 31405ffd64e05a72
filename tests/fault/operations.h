// The operations that calls fail under, each as one system call on a mounted tree (ground.h).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "fault/ground.h"

namespace plyfs::test {

// That a call succeeded and what it gave is wrong.
inline constexpr int kWrong = 1000;

struct Operation {
    const char* name;
    // What has to be done first, through the mount; may be empty.
    std::function<void(const std::string& tree)> prepare;
    // go() is called when the operation itself begins. 0, errno, or kWrong.
    std::function<int(const std::string& tree, const std::function<void()>& go)> run;
    // Only on one kind of union: "layers", "pool" or "".
    const char* only = "";
    bool reads = false;  // and changes nothing
};

// Looks its names up, so that an operation's own calls are what is left.
void walk(const std::string& tree);

// 0 to 32767, other ones in each run.
int chance();
// So many of the numbers from 1 to `last`, in order; 0: all.
std::vector<int> some_of(int last, int wanted);

// Those for such a union, or only the one of that name; PLYFS_FAULT_ONLY=NAME in the environment says so as well.
std::vector<const Operation*> operations_of(Kind kind, const char* only = nullptr);

}  // namespace plyfs::test
