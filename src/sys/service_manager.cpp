#include "sys/service_manager.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace plyfs::sys {

Status tell_service_manager(const std::string& state) {
    const char* name = std::getenv("NOTIFY_SOCKET");
    if (!name || *name == '\0') return {};
    struct sockaddr_un address = {};
    const std::size_t length = std::strlen(name);
    if ((*name != '/' && *name != '@') || length >= sizeof address.sun_path) return Errno(EAFNOSUPPORT);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name, length);
    if (*name == '@') address.sun_path[0] = '\0';  // of the abstract namespace
    const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket.valid()) return Errno::last();
    const auto size = static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + length);
    const auto* to = reinterpret_cast<const struct sockaddr*>(&address);
    if (::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL, to, size) < 0) return Errno::last();
    return {};
}

bool is_journal(BorrowedFd fd) {
    const char* named = std::getenv("JOURNAL_STREAM");
    struct stat st;
    if (!named || ::fstat(fd.get(), &st) != 0) return false;
    return std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino) == named;
}

}  // namespace plyfs::sys
