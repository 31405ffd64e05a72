// The service manager, such as systemd, that may have started this process: what it is told, and whether it reads what
// we write.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

// Tells it a state of sd_notify(3), lines such as "READY=1", by one datagram to the socket that it has named in the
// environment. Does nothing where none is named.
Status tell_service_manager(const std::string& state);

// Whether the journal reads what is written to it: a line may then begin with its priority, as in "<4>".
bool is_journal(BorrowedFd fd);

}  // namespace plyfs::sys
