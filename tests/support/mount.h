// One plyfs mount of a test: starts the program (PLYFS_TEST_ANCHOR, PLYFS_TEST_BINARY, else the one of this build) with
// the transport under test, and when it goes unmounts it and sees to it that the daemon ends. A daemon that does
// not is a failure of the test; it is then aborted and killed, by its own process id.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "support/run.h"
#include "support/stats.h"

namespace plyfs::test {

std::string plyfs_binary();
// The command as typed, without anything added: for bad input and for what mount(8) would call.
Ran run_plyfs(const std::vector<std::string>& args, int seconds = 20);
// Whether the last mount in this namespace on that folder is there, by mountinfo (touches no file system).
bool is_mounted(const std::string& mountpoint);
// The device of the top mount there: for FUSE its minor is the number of the connection. 0 without a mount.
dev_t mounted_device(const std::string& mountpoint);
// Not a process that has ended and that its parent has not been told of: daemons have whatever parent there is.
bool is_alive(pid_t pid);
// Returns when none of its threads runs any more. SIGCONT lets it go on.
void stop_process(pid_t pid);

class Mount {
  public:
    // branches empty: the layers are in the options. Fails the test when the command fails.
    Mount(const std::string& options, const std::string& branches, const std::string& mountpoint);
    // Takes over a mount that something else made.
    static Mount adopt(const std::string& mountpoint) { return Mount(mountpoint); }
    ~Mount();
    Mount(const Mount&) = delete;
    Mount& operator=(const Mount&) = delete;

    const std::string& path() const { return mountpoint_; }
    std::string operator/(const std::string& name) const { return mountpoint_ + "/" + name; }
    pid_t pid() const { return pid_; }
    Stats stats() const { return Stats::read(mountpoint_); }
    unsigned connection() const { return connection_; }
    void unmount();
    // Until RELEASEs, which are asynchronous, have come in and every registered backing is closed again.
    bool backings_settle() const;

  private:
    explicit Mount(const std::string& mountpoint);
    void learn();
    void expect_end();

    std::string mountpoint_;
    const bool may_choose_transport_ = false;
    pid_t pid_ = -1;
    unsigned connection_ = 0;
    bool mounted_ = false;
};

// A mount by fuse-overlayfs, for what it and we read of each other's; ask have_tool() first.
class FuseOverlayfs {
  public:
    FuseOverlayfs(const std::string& options, const std::string& mountpoint);
    ~FuseOverlayfs();
    FuseOverlayfs(const FuseOverlayfs&) = delete;
    FuseOverlayfs& operator=(const FuseOverlayfs&) = delete;

  private:
    std::string mountpoint_;
};

}  // namespace plyfs::test
