// A metacopy: a copy of everything but the content, which is found below until it is asked for.
#pragma once

#include <functional>

#include "node/tree.h"

namespace plyfs {

// A file whose attributes were copied up earlier gets its content, `keep_bytes` of it, in place: the mark says until
// the end that the content below is the right one. EINTR when `cancelled` says so; it is then a metacopy as before. By
// the thread whose turn it is (NodeState::copying).
Status complete_metacopy(Tree& tree, const NodeRef& node, std::uint64_t keep_bytes,
                         const std::function<bool()>& cancelled);

}  // namespace plyfs
