// Giving one page to whoever asks for it by HTTP, on a socket of this machine: enough of it for Prometheus and curl.
#pragma once

#include <functional>
#include <string>

namespace plyfs::ctl {

// where: "unix:PATH", "127.0.0.1:PORT" or "[::1]:PORT". Until SIGINT or SIGTERM. One client at a time, who has two
// seconds. Throws Failure.
void serve_page(const std::string& where, const std::function<std::string()>& page);

}  // namespace plyfs::ctl
