#include "support/gate.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "support/check.h"
#include "support/gate_calls.h"

namespace plyfs::test {
namespace {

// Since Linux 6.6: both sides take turns on one processor.
constexpr unsigned long kSetFlags = _IOW('!', 4, __u64);
constexpr unsigned long kWakeHere = 1;

#if defined(__x86_64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr unsigned kArchitecture = 0;
#endif

const char* name_of(int number) {
    for (const Watched& call : kWatched) {
        if (call.number == number) return call.name;
    }
    return "?";
}

// Of the calling process and what it becomes and starts: the descriptor that hears of its calls.
int install_filter() {
    std::vector<sock_filter> program = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
    };
    for (const Watched& call : kWatched) {
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call.number), 0, 1));
        program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter));
}

void send_descriptor(int socket, int fd) {
    char byte = 0;
    iovec data{&byte, 1};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof fd)] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(head), &fd, sizeof fd);
    ::sendmsg(socket, &message, 0);
}

UniqueFd receive_descriptor(int socket) {
    char byte;
    iovec data{&byte, 1};
    int fd = -1;
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof fd)] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    if (::recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1) return {};
    if (cmsghdr* head = CMSG_FIRSTHDR(&message)) std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
    return UniqueFd(fd);
}

// What a child writes into; -1 while there is no gate.
int entrance = -1;

}  // namespace

struct Gate::State {
    UniqueFd entrance, arrivals, end;
    std::vector<UniqueFd> listeners;
    std::thread thread;

    std::mutex mutex;
    pid_t process = 0;
    int chosen = 0, error = 0;
    Act act = Act::count;
    Seen seen;
    bool holding = false;
    std::uint64_t held_id = 0;
    int held_by = -1;
    std::map<pid_t, pid_t> processes;  // of threads

    pid_t process_of(pid_t thread_id) {
        auto [place, is_new] = processes.try_emplace(thread_id, 0);
        if (!is_new) return place->second;
        std::ifstream in("/proc/" + std::to_string(thread_id) + "/status");
        for (std::string word; in >> word;) {
            if (word == "Tgid:" && in >> place->second) break;
        }
        return place->second;
    }
    void answer(int listener, std::uint64_t id, int failed) {
        seccomp_notif_resp response{};
        response.id = id;
        response.error = -failed;
        response.flags = failed ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
    }
    void decide(int listener, const seccomp_notif& call) {
        std::lock_guard lock(mutex);
        if (process == 0 || process_of(static_cast<pid_t>(call.pid)) != process) return answer(listener, call.id, 0);
        if (++seen.calls != chosen) return answer(listener, call.id, 0);
        seen.came = true;
        seen.name = name_of(call.data.nr);
        if (act == Act::fail) return answer(listener, call.id, error);
        if (act == Act::kill) {
            ::kill(process, SIGKILL);
            return;
        }
        if (act == Act::count) return answer(listener, call.id, 0);
        holding = true;
        held_id = call.id;
        held_by = listener;
    }
    void let_go() {
        if (!holding) return;
        holding = false;
        answer(held_by, held_id, 0);
    }
    void hear(UniqueFd& listener) {
        seccomp_notif call{};
        if (::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) == 0) decide(listener.get(), call);
    }
    void run() {
        for (;;) {
            std::vector<pollfd> all{{end.get(), POLLIN, 0}, {arrivals.get(), POLLIN, 0}};
            for (const UniqueFd& listener : listeners) all.push_back({listener.get(), POLLIN, 0});
            if (::poll(all.data(), all.size(), -1) < 0) continue;
            if (all[0].revents) return;
            // From the last: those of processes that ended are taken out.
            for (std::size_t i = all.size(); i-- > 2;) {
                if (all[i].revents & POLLIN) {
                    hear(listeners[i - 2]);
                } else if (all[i].revents) {
                    listeners.erase(listeners.begin() + static_cast<std::ptrdiff_t>(i - 2));
                }
            }
            if (!all[1].revents) continue;
            UniqueFd listener = receive_descriptor(arrivals.get());
            if (!listener.valid()) continue;
            ::ioctl(listener.get(), kSetFlags, kWakeHere);
            listeners.push_back(std::move(listener));
        }
    }
};

Gate::Gate() : state_(std::make_unique<State>()) {
    unsigned action = SECCOMP_RET_USER_NOTIF;
    if (kArchitecture == 0 || ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0) {
        skip("this kernel has no user notification of system calls");
    }
    int pair[2];
    OK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    state_->entrance = UniqueFd(pair[0]);
    state_->arrivals = UniqueFd(pair[1]);
    state_->end = UniqueFd(OK(::eventfd(0, EFD_CLOEXEC)));
    state_->thread = std::thread([state = state_.get()] { state->run(); });
    entrance = state_->entrance.get();
}

// Whoever is behind it now is told that there is no such call (ENOSYS): mounts end before.
Gate::~Gate() {
    entrance = -1;
    disarm();
    std::uint64_t one = 1;
    if (::write(state_->end.get(), &one, sizeof one) != sizeof one) std::abort();
    state_->thread.join();
}

void Gate::arm(pid_t process, int number, Act act, int error) {
    std::lock_guard lock(state_->mutex);
    state_->process = process;
    state_->chosen = number;
    state_->act = act;
    state_->error = error;
    state_->seen = {};
}

Gate::Seen Gate::disarm() {
    std::lock_guard lock(state_->mutex);
    state_->let_go();
    state_->process = 0;
    return state_->seen;
}

bool Gate::holds() const {
    std::lock_guard lock(state_->mutex);
    return state_->holding;
}

std::function<void()> enter_gate() {
    if (entrance < 0) return {};
    return [] {
        const int listener = install_filter();
        if (listener < 0) ::_exit(126);
        send_descriptor(entrance, listener);
        ::close(listener);
    };
}

}  // namespace plyfs::test
