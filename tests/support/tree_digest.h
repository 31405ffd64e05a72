// What a whole tree is at one moment: type, mode, owner, size, times, links, attributes and a hash of the
// content of every object, by path. Two digests of a read-only branch, before and after, must be equal; a
// digest of the merged tree must equal that of the same layers mounted by somebody else.
#pragma once

#include <map>
#include <set>
#include <string>

namespace plyfs::test {

struct DigestScope {
    bool identity = true;     // inode number, ctime, blocks: "nobody touched it"
    bool dir_details = true;  // size, times and link count of directories
    bool trusted = true;      // trusted.* attributes (marks of the union itself)
    bool mtimes = true;
    long long now = 0;  // mtimes after that (nanoseconds, as ns()) are all the same; 0: they are told
};

class TreeDigest {
  public:
    static TreeDigest of(const std::string& root, DigestScope scope = {});
    // The same union seen twice: everything a user can see but inode numbers and directory sizes.
    static TreeDigest seen(const std::string& root);

    // Empty when equal, else up to ten lines that say which paths differ and how.
    std::string difference(const TreeDigest& other) const;
    // Empty when each path is as in one of the two, and what is in a file in both is in one here as well, wherever;
    // else lines that say what is not so. It is how an operation may be left that is several on branches: a file that
    // is renamed over one on another branch has both names for a moment, and so one link more.
    std::string strays_from(const TreeDigest& before, const TreeDigest& after) const;
    bool operator==(const TreeDigest& other) const { return lines_ == other.lines_; }
    std::size_t size() const { return lines_.size(); }

  private:
    const std::string& line_of(const std::string& path) const;
    std::set<std::string> contents() const;

    std::map<std::string, std::string> lines_;
};

}  // namespace plyfs::test
