// The daemon's own account of itself: the extended attribute user.plyfs.stats of the root of a mount, lines
// of "key value", readable by root only. Reading it costs one counted getxattr.
#pragma once

#include <map>
#include <string>

namespace plyfs::test {

// PLYFS_TEST_ANCHOR=PROGRAM: the suite is pointed at some other union file system, to see whether its expectations are
// right (PLYFS_TEST_STANDIN=1: and PLYFS_TEST_BINARY is such a one). Nothing can be counted there, so that every count
// is 0, and no passthrough is expected.
bool is_standin();

class Stats {
  public:
    static Stats read(const std::string& mountpoint);

    // A key that is not there fails the test.
    long operator[](const std::string& key) const;
    const std::string& text(const std::string& key) const;
    long request(const std::string& name) const { return (*this)["requests." + name]; }
    // How many handles were opened in whatever io mode.
    long opens() const;

  private:
    std::map<std::string, std::string> values_;
};

// What the daemon did since this was made.
class Counter {
  public:
    explicit Counter(const std::string& mountpoint) : mountpoint_(mountpoint), before_(Stats::read(mountpoint)) {}
    long operator()(const std::string& key) const { return Stats::read(mountpoint_)[key] - before_[key]; }
    long request(const std::string& name) const { return (*this)("requests." + name); }
    // Reads and writes that the daemon itself had to serve.
    long served() const;

  private:
    std::string mountpoint_;
    Stats before_;
};

}  // namespace plyfs::test
