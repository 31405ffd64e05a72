// Runs test code where nothing of it can leak or hang: a private mount namespace, a process namespace of its
// own (when the test ends, however it ends, the kernel kills every process it left), and a watchdog outside
// of both that aborts the FUSE connections the test noted and kills it when its deadline passes. Needs root.
#pragma once

#include <functional>
#include <string>

namespace plyfs::test {

// Whether the sandbox is to be a user namespace with a million ids and no privilege outside: --unprivileged.
bool is_unprivileged();
// Skips the test where it is, for what it needs.
void need_privilege(const std::string& what);

// body's result; 124 after a timeout, 128 + signal when it was killed.
int run_in_sandbox(const std::function<int()>& body);

// From inside: the watchdog fires this many seconds from now (replaces the deadline before). 0: no deadline.
// The factor of PLYFS_TEST_TIMEOUT_FACTOR applies (sanitizers, emulation).
void set_deadline(int seconds, const std::string& what);
// From inside: a FUSE connection (its number under /sys/fs/fuse/connections) that the watchdog has to abort.
void note_connection(unsigned number);

// Writes 1 to the connection's abort file: every request on it ends with ECONNABORTED, every waiter wakes up.
bool abort_connection(unsigned number);

}  // namespace plyfs::test
