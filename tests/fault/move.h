// A file of a pool is asked to move to another branch, as plyctl asks.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace plyfs::test {

// names: all of the file, in the tree. go() is called right before. 0; EXDEV: it stays; or another errno.
int move_file(const std::string& tree, const std::vector<std::string>& names, const std::function<void()>& go);

}  // namespace plyfs::test
