#include "sys/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace plyfs::sys {
namespace {

constexpr int kWaiting = 16;

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return Errno(ENAMETOOLONG);
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

const sockaddr* plain(const sockaddr_un& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

Result<std::size_t> send_with(BorrowedFd connection, std::string_view data, int flags) {
    for (;;) {
        const ssize_t n = ::send(connection.get(), data.data(), data.size(), flags | MSG_NOSIGNAL);
        if (n >= 0) return static_cast<std::size_t>(n);
        if (errno != EINTR) return Errno::last();
    }
}

Result<std::size_t> receive_with(BorrowedFd connection, std::span<char> buffer, int flags) {
    for (;;) {
        const ssize_t n = ::recv(connection.get(), buffer.data(), buffer.size(), flags);
        if (n >= 0) return static_cast<std::size_t>(n);
        if (errno != EINTR) return Errno::last();
    }
}

}  // namespace

Result<UniqueFd> listen_at(const std::string& path) {
    struct stat st;
    if (::lstat(path.c_str(), &st) == 0 && !S_ISSOCK(st.st_mode)) return Errno(EEXIST);
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return Errno::last();
    // Under a name of our own first, so that it has its mode and listens before anybody finds it.
    const std::string made = path + "." + std::to_string(::getpid());
    const auto address = TRY(address_of(made));
    ::unlink(made.c_str());
    if (::bind(fd.get(), plain(address), sizeof address) != 0) return Errno::last();
    if (::chmod(made.c_str(), 0600) != 0 || ::listen(fd.get(), kWaiting) != 0 ||
        ::rename(made.c_str(), path.c_str()) != 0) {
        const Errno fault = Errno::last();
        ::unlink(made.c_str());
        return fault;
    }
    return fd;
}

Result<SocketFile> socket_file(const std::string& path) {
    struct stat st;
    if (::lstat(path.c_str(), &st) != 0) return Errno::last();
    return SocketFile{path, st.st_dev, st.st_ino};
}

void remove_socket(const SocketFile& file) {
    struct stat st;
    if (::lstat(file.path.c_str(), &st) != 0) return;
    if (st.st_dev == file.device && st.st_ino == file.inode) ::unlink(file.path.c_str());
}

Result<UniqueFd> accept_one(BorrowedFd listening) {
    for (;;) {
        UniqueFd fd(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (fd.valid()) return fd;
        if (errno != EINTR && errno != ECONNABORTED) return Errno::last();
    }
}

Result<UniqueFd> connect_to(const std::string& path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return Errno::last();
    const auto address = TRY(address_of(path));
    if (::connect(fd.get(), plain(address), sizeof address) != 0) return Errno::last();
    return fd;
}

Result<Peer> peer_of(BorrowedFd connection) {
    struct ucred who = {};
    socklen_t size = sizeof who;
    if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return Errno::last();
    return Peer{who.pid, who.uid, who.gid};
}

Result<std::size_t> send_some(BorrowedFd connection, std::string_view data) {
    return send_with(connection, data, MSG_DONTWAIT);
}

Result<std::size_t> receive_some(BorrowedFd connection, std::span<char> buffer) {
    return receive_with(connection, buffer, MSG_DONTWAIT);
}

Status set_patience(BorrowedFd connection, int milliseconds) {
    const struct timeval time = {milliseconds / 1000, milliseconds % 1000 * 1000L};
    for (int way : {SO_RCVTIMEO, SO_SNDTIMEO}) {
        if (::setsockopt(connection.get(), SOL_SOCKET, way, &time, sizeof time) != 0) return Errno::last();
    }
    return {};
}

Status send_all(BorrowedFd connection, std::string_view data) {
    while (!data.empty()) data.remove_prefix(TRY(send_with(connection, data, 0)));
    return {};
}

Result<std::size_t> receive_waiting(BorrowedFd connection, std::span<char> buffer) {
    return receive_with(connection, buffer, 0);
}

Status make_own_dir(const std::string& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) == 0) {
        // Whatever the umask.
        if (::chmod(path.c_str(), mode) != 0) return Errno::last();
        return {};
    }
    if (errno != EEXIST) return Errno::last();
    struct stat st;
    if (::lstat(path.c_str(), &st) != 0) return Errno::last();
    if (!S_ISDIR(st.st_mode)) return Errno(ENOTDIR);
    if (st.st_uid != ::geteuid() || (st.st_mode & 022) != 0) return Errno(EPERM);
    return {};
}

}  // namespace plyfs::sys
