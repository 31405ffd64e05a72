#include "sys/waiting.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cinttypes>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace plyfs::sys {
namespace {

Result<std::string> read_small(const char* path) {
    const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return Errno::last();
    std::array<char, 1024> text;
    const ssize_t got = ::read(file.get(), text.data(), text.size());
    if (got < 0) return Errno::last();
    return std::string(text.data(), static_cast<std::size_t>(got));
}

// The number in "/proc/self/fd/N" at that address, which another thread of ours has given to a system call; -1: it is
// another text, or gone by now.
int descriptor_named_at(std::uint64_t address) {
    constexpr std::string_view kPrefix = "/proc/self/fd/";
    std::array<char, 32> text = {};
    const struct iovec here = {text.data(), text.size() - 1};
    const struct iovec there = {reinterpret_cast<void*>(static_cast<std::uintptr_t>(address)), text.size() - 1};
    if (::process_vm_readv(::getpid(), &here, 1, &there, 1, 0) <= 0) return -1;
    if (std::string_view(text.data()).substr(0, kPrefix.size()) != kPrefix) return -1;
    return std::atoi(text.data() + kPrefix.size());
}

bool is_here(std::uint64_t word) {
    return static_cast<int>(word) == AT_FDCWD;
}

struct SystemCall {
    long number;
    std::array<std::uint64_t, 4> words;
};

// A call takes a descriptor, a path through one, or two of either as its first and third argument.
std::vector<int> descriptors_of(const SystemCall& call) {
    const auto& words = call.words;
    std::vector<int> out;
    const auto add = [&](std::uint64_t word, std::uint64_t path) {
        if (is_here(word)) out.push_back(descriptor_named_at(path));
        if (!is_here(word)) out.push_back(word <= INT_MAX ? static_cast<int>(word) : descriptor_named_at(word));
    };
    add(words[0], words[1]);
    const bool two = call.number == SYS_renameat2 || call.number == SYS_linkat || call.number == SYS_copy_file_range;
    if (two) add(words[2], words[3]);
    return out;
}

}  // namespace

Result<std::uint64_t> mount_of(BorrowedFd fd) {
    constexpr const char* kKey = "mnt_id:";
    char path[48];
    std::snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd.get());
    const std::string text = TRY(read_small(path));
    const auto at = text.find(kKey);
    if (at == std::string::npos) return Errno(ENODATA);
    return std::strtoull(text.c_str() + at + std::strlen(kKey), nullptr, 10);
}

Result<Waiting> find_waiting(pid_t thread) {
    char path[48];
    std::snprintf(path, sizeof path, "/proc/self/task/%d/syscall", thread);
    const std::string text = TRY(read_small(path));
    Waiting out;
    SystemCall call = {};
    auto& words = call.words;
    const int read = std::sscanf(text.c_str(), "%ld %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64, &call.number,
                                 &words[0], &words[1], &words[2], &words[3]);
    if (read != 5 || call.number < 0) return out;
    out.for_a_thread = call.number == SYS_futex;
    if (out.for_a_thread) return out;
    for (int fd : descriptors_of(call)) {
        if (fd < 0) continue;
        if (const auto mount = mount_of(BorrowedFd(fd))) out.mounts.push_back(*mount);
    }
    return out;
}

}  // namespace plyfs::sys
