// Stream sockets of this machine (unix(7)), by a path. Nothing here blocks but what says so; SIGPIPE is never raised.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

// A socket of mode 0600 that takes connections. Whatever socket had the path before has it no longer, in one step; what
// is no socket stays (EEXIST). ENAMETOOLONG above 107 bytes.
Result<UniqueFd> listen_at(const std::string& path);
// The file at the path is the one that the listening socket has made: removes it. Any other stays.
struct SocketFile {
    std::string path;
    dev_t device = 0;
    ino_t inode = 0;
};
Result<SocketFile> socket_file(const std::string& path);
void remove_socket(const SocketFile& file);

// EAGAIN: nobody waits.
Result<UniqueFd> accept_one(BorrowedFd listening);
// Waits until the other side takes it.
Result<UniqueFd> connect_to(const std::string& path);

struct Peer {
    pid_t pid = 0;
    uid_t uid = 0;  // as our user namespace has it
    gid_t gid = 0;
};
Result<Peer> peer_of(BorrowedFd connection);

// How many bytes went; EAGAIN: none can now. 0 bytes received: the other side has ended.
Result<std::size_t> send_some(BorrowedFd connection, std::string_view data);
Result<std::size_t> receive_some(BorrowedFd connection, std::span<char> buffer);
// These wait, so many milliseconds for each step; EAGAIN: in vain.
Status set_patience(BorrowedFd connection, int milliseconds);
Status send_all(BorrowedFd connection, std::string_view data);
Result<std::size_t> receive_waiting(BorrowedFd connection, std::span<char> buffer);

// A directory of that mode and ours, made if it is not there. EPERM: it is somebody else's, or others may write to it.
Status make_own_dir(const std::string& path, mode_t mode);

}  // namespace plyfs::sys
