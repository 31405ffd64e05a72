// Handover: the orderly end of a daemon in favour of one that serves with something else than it. Nobody who uses the
// mount sees it: requests wait at the gate until nothing is under way, and are for the next one. A daemon that has no
// supervisor starts one first, which the mount has from then on.
#pragma once

#include <string>

#include "control/amendments.h"
#include "fuse/server.h"

namespace plyfs::fuse {

// Of a mount whose daemon can be followed, by a thread of the executor, one at a time. Empty: nothing is under way and
// requests wait at the gate until this daemon leaves, which it has to do now. Else why not, and it serves on: what is
// under way takes long, or open files would be lost, and it is not forced.
std::string hand_over(Server& server, const control::Succession& to);
// Once whoever asked is answered, by the same thread: what he asks next is for the next daemon. Does not return,
// unless nobody would start that: then it serves on.
void leave_to_next(Server& server);

}  // namespace plyfs::fuse
