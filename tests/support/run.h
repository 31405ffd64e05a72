// Commands and child processes of a test. Nothing here outlives its time limit: what is still running then is
// killed, by its own process id.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace plyfs::test {

struct Ran {
    int code = -1;  // exit status, 128 + signal, or 124 when the time was over
    std::string out, err;
    bool ok() const { return code == 0; }
};

// PATH is searched. The output is what was written until the command itself ended, even if a daemon keeps it
// open.
// before: what the child does before it becomes the program.
Ran run(const std::vector<std::string>& argv, int seconds = 30, const std::vector<std::string>& more_environment = {},
        const std::function<void()>& before = {});
// The same through sh -c.
Ran shell(const std::string& script, int seconds = 30);
// The command must succeed; otherwise the test ends with its output.
Ran must_run(const std::vector<std::string>& argv, int seconds = 30);
bool have_tool(const std::string& name);

struct User {
    uid_t uid = 1000;
    gid_t gid = 1000;
    std::vector<gid_t> groups = {};
};

// fn in a forked child: its exit status (fn's result, 0 to 125), 128 + signal, 124 when the time was over. In
// the child use plain system calls, not assertions; return errno to say what went wrong.
int in_child(const std::function<int()>& fn, int seconds = 30);
int as_user(const User& user, const std::function<int()>& fn, int seconds = 30);

// A child that runs beside the test; wait() gives what in_child() would have.
class Child {
  public:
    explicit Child(const std::function<int()>& fn);
    ~Child();
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    pid_t pid() const { return pid_; }
    int wait(int seconds = 30);

  private:
    pid_t pid_ = -1;
};

// Of inodes and names in the kernel, everybody's.
void drop_caches();

}  // namespace plyfs::test
