// Faces: retiring a node id while old readers hold the copied-up original, and letting it go when they are done.
#pragma once

#include "node/tree.h"

namespace plyfs {

// The caller, named by pid, is about to be answered ESTALE for the face.
void note_told(Face& face, std::int32_t pid);
// The caller, named by pid, is about to be answered ESTALE for `face`; a current face is retired, and lookups from now
// on answer a new id.
void retire_face(Tree& tree, LockedNode& node, Face& face, std::int32_t pid);

// An open through a face has ended: frees a retired face that the kernel has forgotten and drops the backing of one
// without passthrough opens; what is returned is destroyed after the lock, because closing an id is a system call.
std::shared_ptr<Backing> end_of_opens(Tree& tree, LockedNode& node, Face& face);

}  // namespace plyfs
