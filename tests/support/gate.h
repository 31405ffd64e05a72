// A gate between plyfs and the kernel: while one is there, every file-system call of each plyfs that the test starts
// waits for our word. Call number N of an operation can be made to fail, to be what the daemon is killed at, or to
// wait.
//
// It is the kernel's own (seccomp, SECCOMP_RET_USER_NOTIF), so that it sees every call, whoever makes it (syscall(2),
// libraries), counts those of all threads together, needs nothing of the program (any build of it, sanitized or
// static), and costs some microseconds a call. A preloaded library sees only what goes through the functions it knows;
// strace counts each thread by itself and is an order of magnitude slower. What it can not do: let a call happen and
// say that it failed. What is read of /proc and of events (read) does not pass it, nor do FUSE's own requests.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

namespace plyfs::test {

class Gate {
  public:
    enum class Act {
        count,  // nothing: only count
        fail,   // the call is not made and has the error
        kill,   // the process is killed before the call is made
        hold,   // the call waits for let_go()
    };
    struct Seen {
        int calls = 0;      // so many were made, the chosen one included
        bool came = false;  // the chosen one was among them
        std::string name;   // its name
    };

    // Skips the test where the kernel has no such gates.
    Gate();
    ~Gate();
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

    // From now on the calls of that process are counted; `number` (from 1) is the one that something is done to.
    void arm(pid_t process, int number, Act act, int error = 0);
    // Ends that, and says what happened. A call that is held goes on.
    Seen disarm();
    // Whether the chosen call waits now.
    bool holds() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// For run_plyfs(): what the child does before it becomes the program; does nothing while there is no gate.
std::function<void()> enter_gate();

}  // namespace plyfs::test
