#include "support/transport.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>

#include "support/mount.h"
#include "support/run.h"

namespace plyfs::test {
namespace {

constexpr const char* kSwitch = "/sys/module/fuse/parameters/enable_uring";
constexpr const char* kLock = "/run/plyfs-test-enable_uring.lock";

char read_switch() {
    char value = 0;
    int fd = ::open(kSwitch, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    if (::read(fd, &value, 1) != 1) value = 0;
    ::close(fd);
    return value;
}

bool write_switch(char value) {
    int fd = ::open(kSwitch, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool done = ::write(fd, &value, 1) == 1;
    ::close(fd);
    return done;
}

}  // namespace

std::string wanted_transport() {
    const char* value = std::getenv("PLYFS_TEST_TRANSPORT");
    return value && *value ? value : "devfuse";
}

TransportSwitch::TransportSwitch() {
    if (wanted_transport() != "io_uring") return;
    // Said only where rings can not be had at all: else it is about the switch.
    if (run({plyfs_binary(), "--version"}).out.find("can not reply to a ring") != std::string::npos) {
        why_not_ = "this libfuse can not reply to a ring from other threads";
        return;
    }
    if (!read_switch()) {
        why_not_ = "this kernel's fuse module knows no io_uring (no enable_uring parameter)";
        return;
    }
    lock_ = ::open(kLock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock_ < 0) {
        why_not_ = std::string("can not open ") + kLock;
        return;
    }
    ::flock(lock_, LOCK_EX);
    if (char value = read_switch(); value != 'Y') {
        if (::pwrite(lock_, &value, 1, 0) != 1 || !write_switch('Y') || read_switch() != 'Y')
            why_not_ = std::string("can not switch on ") + kSwitch;
    }
    ::flock(lock_, LOCK_SH);
}

TransportSwitch::~TransportSwitch() {
    if (lock_ < 0) return;
    char value = 0;
    if (::flock(lock_, LOCK_EX | LOCK_NB) == 0 && ::pread(lock_, &value, 1, 0) == 1) {
        write_switch(value);
        if (::ftruncate(lock_, 0) != 0) value = 0;  // the value was put back: whoever comes next looks for himself
    }
    ::close(lock_);
}

}  // namespace plyfs::test
