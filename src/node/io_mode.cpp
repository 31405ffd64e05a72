#include "node/io_mode.h"

namespace plyfs {

IoMode decide_io_mode(const OpenFacts& facts) {
    if (facts.cached_opens > 0) return IoMode::cached;
    if (facts.passthrough_opens == 0) return facts.can_pass_through ? IoMode::passthrough_new : IoMode::cached;
    if (facts.backing_is_winner) return IoMode::passthrough_shared;
    // Old readers hold the file that was copied up. Its bytes are the winner's until somebody writes.
    if (!facts.writes && !facts.winner_changed_data) return IoMode::passthrough_shared;
    if (!facts.came_back) return IoMode::stale;
    return facts.writes ? IoMode::busy : IoMode::served_from_winner;
}

}  // namespace plyfs
