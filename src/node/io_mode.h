// Which io mode an open gets: the kernel's rules in one pure function.
//
// The kernel keeps one backing file per inode while a passthrough open of it exists, and cached and passthrough opens
// exclude each other; every conflict would be EIO for the user. Direct opens disturb nobody, but must not be made while
// passthrough opens are held unless they carry the same backing file.
#pragma once

#include <cstdint>

namespace plyfs {

enum class IoMode : std::uint8_t {
    cached,              // the daemon reads and writes, the kernel caches pages
    passthrough_new,     // register the winner and hand it over
    passthrough_shared,  // the backing that the node's other opens have
    served_from_winner,  // passthrough and direct: read(2) is served by the daemon from the winner, maps show the old
                         // file
    stale,               // ESTALE: the caller's walk is repeated and ends at a new node id
    busy,                // EBUSY: a walk can not be repeated, and an honest error is better than a wrong write
};

struct OpenFacts {
    // Of the node id that is opened:
    std::uint32_t passthrough_opens = 0;
    std::uint32_t cached_opens = 0;
    bool backing_is_winner = true;  // its backing, if any, is the file that answers now
    // Of the file:
    bool winner_changed_data = false;  // the winner's bytes may differ from those of the file it was copied from
    bool can_pass_through = true;      // regular, and its branch and the mount allow it
    // Of the request:
    bool writes = false;     // write access or truncation
    bool came_back = false;  // the same caller got ESTALE for this node id and no lookup came between
};

IoMode decide_io_mode(const OpenFacts& facts);

}  // namespace plyfs
