// What is written down of a file that moves from one writable branch to another (node/moving), in the work directory of
// the branch that it moves to: from before its copy has a name until the old names are gone for good. A daemon that is
// killed meanwhile leaves both; whoever comes next reads here which is which (overlay/moves_left).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/stat.h"

namespace plyfs {

// An object of a branch, as it was seen. Devices have other numbers after the next boot, so they do not belong to it.
struct Sighting {
    std::uint64_t inode = 0;
    std::uint64_t birth = 0;
    std::uint64_t links = 0;  // 0: it has no name yet
    std::uint64_t size = 0;
    std::uint64_t modified = 0;  // nanoseconds
    std::uint64_t changed = 0;

    static Sighting of(const sys::Stat& st);
    // This very object, whatever was done to it.
    bool is(const sys::Stat& st) const;
    // And nobody wrote to it; nor changed anything else, as far as that can be told from names that come and go.
    bool is_as_it_was(const sys::Stat& st) const;
    friend bool operator==(const Sighting&, const Sighting&) = default;
};

struct MoveNote {
    std::string from;    // the branch that it leaves: its path
    Sighting from_root;  // and its root
    Sighting original;
    Sighting copy;
    std::vector<std::string> paths;  // of both, from the roots of their branches, without a leading slash

    std::string text() const;
    // EINVAL: it was not written to its end, or is none.
    static Result<MoveNote> parse(std::string_view text);
    friend bool operator==(const MoveNote&, const MoveNote&) = default;
};

}  // namespace plyfs
