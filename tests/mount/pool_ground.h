// A pool of branches, each a file system of its own, whose names are single letters.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/sandbox.h"
#include "support/scratch.h"

namespace plyfs::test {

class PoolGround {
  public:
    explicit PoolGround(const std::string& letters = "abc") {
        if (is_standin()) skip("about plyfs itself");
        need_privilege("file systems of their own");
        for (char letter : letters) {
            disks_.push_back(std::make_unique<LoopFs>("tmpfs", scratch.path(), std::string(1, letter), 16));
        }
        mnt = scratch.dir("mnt");
    }
    std::string at(char branch, const std::string& name) const {
        return scratch.path() + "/" + branch + (name.empty() ? "" : "/" + name);
    }
    // "a/d/f b/g c/e/": files that hold their branch and name, as in "a:d/f"; directories end with a slash.
    void fill(const std::string& words) const {
        for (std::size_t begin = 0; begin < words.size();) {
            const std::size_t end = std::min(words.find(' ', begin), words.size());
            const std::string word = words.substr(begin, end - begin);
            const std::string name = word.substr(2);
            const std::size_t slash = name.rfind('/');
            if (slash != std::string::npos) make_dirs(at(word[0], name.substr(0, slash)));
            if (word.back() != '/') write_file(at(word[0], name), std::string(1, word[0]) + ":" + name);
            begin = end + 1;
        }
    }
    // "a:b=ro" with the paths of the branches.
    std::string branches(const std::string& letters) const {
        std::string out;
        for (std::size_t i = 0; i < letters.size(); ++i) {
            const bool branch = i == 0 || letters[i - 1] == ':';
            out += branch ? at(letters[i], "") : std::string(1, letters[i]);
        }
        return out;
    }
    // On which branches the name itself is, whatever it is: "ac".
    std::string where(const std::string& name) const {
        std::string out;
        for (const auto& disk : disks_) {
            const char letter = disk->path().back();
            if (exists(at(letter, name))) out += letter;
        }
        return out;
    }
    Scratch scratch;
    std::string mnt;

  private:
    std::vector<std::unique_ptr<LoopFs>> disks_;
};

}  // namespace plyfs::test
