// A TCP socket that this machine alone can reach.
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

// On 127.0.0.0/8 or ::1, for accept_one() of sys/unix_socket.h. EADDRNOTAVAIL: any other address; EADDRINUSE: somebody
// has the port.
Result<UniqueFd> listen_on_loopback(const std::string& address, std::uint16_t port);

}  // namespace plyfs::sys
