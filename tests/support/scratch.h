// A temporary directory of one test: made under PLYFS_TEST_TMP, TMPDIR or /tmp, world-searchable (tests act
// as other users), and removed with everything below it, without crossing into mounts.
#pragma once

#include <string>

namespace plyfs::test {

class Scratch {
  public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    const std::string& path() const { return path_; }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }
    // A new directory below, with mode 0755.
    std::string dir(const std::string& name) const;

  private:
    std::string path_;
};

}  // namespace plyfs::test
