// A dozen processes that make, write, rename, link and remove things, each in a directory of its own, and end at the
// first error: what happens to a mount meanwhile is to be noticed by nobody.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "support/run.h"

namespace plyfs::test {

class Workers {
  public:
    // In `dir`, which may be on a mount; `aside` is a directory that is not.
    Workers(std::string dir, const std::string& aside);
    // That each of them ended well, found what it had made, and left nothing else.
    void end();

  private:
    const std::string dir_, stop_;
    std::vector<std::unique_ptr<Child>> all_;
};

}  // namespace plyfs::test
