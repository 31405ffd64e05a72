// What ties this process to its surroundings: its mount namespace, its standard streams, and the pipe by
// which a child says that it is ready.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

// Into another mount namespace, named by a file such as /proc/PID/ns/mnt, as `mount -N` asks of its helpers.
// Only while there is one thread. The working directory and root become those of that namespace.
Status enter_mount_namespace(const char* path);

// Standard input, output and error become /dev/null, so that nobody waits for their end.
Status drop_standard_streams();

// Closes every descriptor above standard error but one: what a starter left open (locks, pipes) is not ours to keep.
void close_inherited(BorrowedFd keep);

// Asks mount(8) to mount what fstab has for the directory, and waits for its answer, whatever that is.
void ask_to_mount(const char* directory);

// The file of the program that this process is, as the kernel names it: " (deleted)" follows where it is gone.
Result<std::string> own_program();
// To be executed, also where it is gone.
Result<UniqueFd> open_own_program();

// For a log and whoever asks: what is the matter when EMFILE comes, and how to mend it.
std::string no_descriptor_text();

struct Pipe {
    UniqueFd reader;
    UniqueFd writer;
};
Result<Pipe> make_pipe();
Status send_byte(BorrowedFd writer);
// Waits; false when all writers have gone without a byte.
Result<bool> wait_for_byte(BorrowedFd reader);

}  // namespace plyfs::sys
