#include "sys/message_pair.h"

#include <sys/socket.h>

#include <cstring>

namespace plyfs::sys {
namespace {

constexpr std::size_t kMost = 2;

}  // namespace

Result<MessagePair> make_message_pair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return Errno::last();
    return MessagePair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Status send_word(BorrowedFd end, char word, const std::vector<BorrowedFd>& descriptors) {
    alignas(cmsghdr) char control[CMSG_SPACE(kMost * sizeof(int))] = {};
    iovec part{&word, 1};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
        for (std::size_t i = 0; i < descriptors.size(); ++i) {
            const int fd = descriptors[i].get();
            std::memcpy(CMSG_DATA(header) + i * sizeof fd, &fd, sizeof fd);
        }
    }
    for (;;) {
        if (::sendmsg(end.get(), &message, MSG_NOSIGNAL) == 1) return {};
        if (errno != EINTR) return Errno::last();
    }
}

Result<std::optional<Word>> receive_word(BorrowedFd end) {
    alignas(cmsghdr) char control[CMSG_SPACE(kMost * sizeof(int))] = {};
    Word out;
    iovec part{&out.word, 1};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t got;
    while ((got = ::recvmsg(end.get(), &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
    }
    if (got < 0) return Errno::last();
    if (got == 0) return std::optional<Word>();
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count && i < kMost; ++i) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            out.descriptors[i].reset(fd);
        }
    }
    return std::optional<Word>(std::move(out));
}

}  // namespace plyfs::sys
