// A supervisor that becomes another program (plyctl upgrade): it executes that in its own place, so that it stays the
// parent of its daemon and what the service manager knows. What it has is left to it in the environment, by the numbers
// of descriptors that stay open; whoever can not go on with that becomes the program before again.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::app {

// What was started, to be started again: its file, and what find_invocation() found.
struct Program {
    std::string path;
    std::vector<std::string> argv;
    std::string cwd;
};
// Of this process; none: its file can not be named.
std::optional<Program> find_program(const std::vector<std::string>& argv, const std::string& cwd);

struct SupervisorState {
    std::uint32_t version = 0;  // fuse::kTakeoverVersion of who has left it; without meaning where it came back
    UniqueFd opens;             // shared memory
    UniqueFd names;
    UniqueFd device;   // invalid: a daemon that nobody supervises will leave it (app/late_supervisor)
    UniqueFd abort;    // may be invalid
    UniqueFd line;     // to the daemon; invalid: there is none
    pid_t daemon = 0;  // 0: there is none
    UniqueFd before;   // the program to go back to; invalid: that is this one
    std::string cwd;
    std::string path;        // where the program is installed
    bool came_back = false;  // from a program that could not go on
};
// Of this process, once; what it had in the environment is gone.
std::optional<SupervisorState> take_state();

// Becomes the program. Returns only where that fails, and everything is as before.
Errno become(const Program& program, SupervisorState& state);
// This program, from its beginning on.
Errno become_anew(const std::vector<std::string>& argv, SupervisorState& state);
// The program before the one that this process is.
Errno become_earlier_program(const std::vector<std::string>& argv, SupervisorState& state);

// Whether the program would go on with what this one leaves to it: it is started once, to say so.
bool would_go_on(const Program& program, std::uint32_t version);
// Asked by another program whether this one would go on; its version, and the working directory for the command line.
struct Question {
    std::uint32_t version;
    std::string cwd;
};
std::optional<Question> take_question();
inline constexpr int kWouldGoOn = 77;  // the exit code for yes

}  // namespace plyfs::app
