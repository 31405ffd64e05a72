// What a whole tree is at one moment: type, mode, owner, size, times, links, attributes and a hash of the
// content of every object, by path. Two digests of a read-only branch, before and after, must be equal; a
// digest of the merged tree must equal that of the same layers mounted by somebody else.
#pragma once

#include <map>
#include <string>

namespace plyfs::test {

struct DigestScope {
    bool identity = true;     // inode number, ctime, blocks: "nobody touched it"
    bool dir_details = true;  // size, times and link count of directories
    bool trusted = true;      // trusted.* attributes (marks of the union itself)
    bool mtimes = true;
};

class TreeDigest {
  public:
    static TreeDigest of(const std::string& root, DigestScope scope = {});
    // The same union seen twice: everything a user can see but inode numbers and directory sizes.
    static TreeDigest seen(const std::string& root);

    // Empty when equal, else up to ten lines that say which paths differ and how.
    std::string difference(const TreeDigest& other) const;
    bool operator==(const TreeDigest& other) const { return lines_ == other.lines_; }
    std::size_t size() const { return lines_.size(); }

  private:
    std::map<std::string, std::string> lines_;
};

}  // namespace plyfs::test
