// The control socket of a mount: one thread, beside those that serve requests. It never waits for a client, and what
// may wait for a branch is done elsewhere (Mount::post). A client that sends nonsense, too much, or reads nothing loses
// its connection and costs nobody else anything; of too many the one that was silent longest gives way.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "control/commands.h"
#include "sys/process.h"
#include "sys/unix_socket.h"

namespace plyfs::control {

class SocketServer {
  public:
    // Nobody but the mount's own user and root is listened to.
    explicit SocketServer(Mount mount);
    // Takes the socket's file away. What was posted may still run, and finds nobody to answer.
    ~SocketServer();
    SocketServer(const SocketServer&) = delete;
    SocketServer& operator=(const SocketServer&) = delete;

    // Before the mount is said to be there: makes the socket. False: there will be none, and why.
    bool open(const std::string& mountpoint, std::string& why);
    const std::string& path() const { return file_.path; }
    // Once the mount answers; nothing if there is no socket.
    void start();

  private:
    struct Connection;
    struct Outbox;
    void run();
    void keep_spare();
    void refuse_for_want();
    void take_in();
    void make_room();
    void read_from(Connection& from);
    void handle_lines(Connection& from);
    void handle(Connection& from, const std::string& line);
    void send_to(Connection& to);
    void deliver();

    const Mount mount_;
    sys::SocketFile file_;
    UniqueFd listening_;
    UniqueFd spare_;  // given up for a moment, to tell a client that there are no more
    std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
    std::uint64_t next_ = 1;
    std::shared_ptr<Outbox> outbox_;
    std::thread thread_;
};

}  // namespace plyfs::control
