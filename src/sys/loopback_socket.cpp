#include "sys/loopback_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace plyfs::sys {
namespace {

constexpr int kWaiting = 16;

Result<UniqueFd> listen_on(const sockaddr* address, socklen_t size) {
    UniqueFd fd(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return Errno::last();
    // A server that is started again may have the port its predecessor's connections had.
    const int yes = 1;
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0) return Errno::last();
    if (::bind(fd.get(), address, size) != 0 || ::listen(fd.get(), kWaiting) != 0) return Errno::last();
    return fd;
}

}  // namespace

Result<UniqueFd> listen_on_loopback(const std::string& address, std::uint16_t port) {
    sockaddr_in four = {};
    if (::inet_pton(AF_INET, address.c_str(), &four.sin_addr) == 1) {
        if (ntohl(four.sin_addr.s_addr) >> 24 != 127) return Errno(EADDRNOTAVAIL);
        four.sin_family = AF_INET;
        four.sin_port = htons(port);
        return listen_on(reinterpret_cast<const sockaddr*>(&four), sizeof four);
    }
    sockaddr_in6 six = {};
    if (::inet_pton(AF_INET6, address.c_str(), &six.sin6_addr) != 1) return Errno(EADDRNOTAVAIL);
    if (!IN6_IS_ADDR_LOOPBACK(&six.sin6_addr)) return Errno(EADDRNOTAVAIL);
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    return listen_on(reinterpret_cast<const sockaddr*>(&six), sizeof six);
}

}  // namespace plyfs::sys
