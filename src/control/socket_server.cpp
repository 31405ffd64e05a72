#include "control/socket_server.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <system_error>
#include <thread>

#include "base/log.h"
#include "base/mutex.h"
#include "control/socket_place.h"
#include "node/blocked_signals.h"
#include "sys/mounted.h"
#include "sys/open.h"
#include "sys/process.h"

namespace plyfs::control {
namespace {

constexpr std::size_t kMostConnections = 16;
constexpr std::chrono::milliseconds kPause{100};
constexpr std::chrono::milliseconds kLeaving{2};
constexpr std::size_t kLongestLine = std::size_t{64} << 10;
constexpr std::size_t kMostWaiting = std::size_t{1} << 20;  // answers that a client does not read

std::string line_of(const Json& json) {
    return json.write() + "\n";
}

bool may_ask(const sys::Peer& peer) {
    return peer.uid == 0 || peer.uid == ::geteuid();
}

}  // namespace

// Answers on their way from those who work for clients to the thread that knows them.
struct SocketServer::Outbox {
    Mutex mutex;
    struct Answer {
        std::uint64_t to;
        std::string line;
        std::function<void()> then;  // may be empty
    };
    std::vector<Answer> answers GUARDED_BY(mutex);
    bool stopping GUARDED_BY(mutex) = false;
    sys::Pipe pipe;  // both ends, for an answer may come when nobody waits any more

    void put(std::uint64_t to, std::string line, std::function<void()> then) {
        {
            MutexLock lock(mutex);
            answers.push_back({to, std::move(line), std::move(then)});
        }
        wake();
    }
    void wake() {
        if (!sys::send_byte(pipe.writer)) log::warn("the control socket's thread can not be woken");
    }
};

struct SocketServer::Connection {
    ~Connection() { *left = true; }
    const std::shared_ptr<std::atomic<bool>> left = std::make_shared<std::atomic<bool>>(false);
    std::uint64_t id = 0;
    UniqueFd fd;
    sys::Peer peer;
    std::string in;
    std::string out;
    std::uint64_t last_heard = 0;  // rises with each thing said
    bool busy = false;             // it is worked for; its next request waits
    bool closing = false;          // once all is sent
    bool gone = false;
};

SocketServer::SocketServer(Mount mount) : mount_(std::move(mount)) {}

SocketServer::~SocketServer() {
    if (thread_.joinable()) {
        {
            MutexLock lock(outbox_->mutex);
            outbox_->stopping = true;
        }
        outbox_->wake();
        thread_.join();
    }
    if (!file_.path.empty()) sys::remove_socket(file_);
}

bool SocketServer::open(const std::string& mountpoint, std::string& why) {
    const auto mounted = sys::find_mounted(mountpoint);
    const auto dirs = own_dirs();
    why = "there is no directory for it; XDG_RUNTIME_DIR is not set";
    if (!mounted) why = "the mount has no device";
    for (const std::string& dir : mounted ? dirs : std::vector<std::string>()) {
        const auto made = sys::make_own_dir(dir, dir == kSystemDir ? 0755 : 0700);
        const std::string path = dir + "/" + socket_name(mounted->device);
        auto listening = made ? sys::listen_at(path) : made.error();
        auto file = listening ? sys::socket_file(path) : listening.error();
        if (file) {
            listening_ = std::move(*listening);
            file_ = std::move(*file);
            return true;
        }
        why = (made ? path : dir) + ": " + log::errno_text(file.error().value());
    }
    return false;
}

void SocketServer::start() {
    if (!listening_.valid()) return;
    auto pipe = sys::make_pipe();
    if (!pipe) return log::warn("nobody answers on {}: {}", file_.path, log::errno_text(pipe.error().value()));
    outbox_ = std::make_shared<Outbox>();
    outbox_->pipe = std::move(*pipe);
    keep_spare();
    const BlockedSignals blocked;
    try {
        thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& e) {
        log::warn("nobody answers on {}: {}", file_.path, e.what());
    }
}

void SocketServer::run() {
    for (;;) {
        std::vector<struct pollfd> waits = {{outbox_->pipe.reader.get(), POLLIN, 0}, {listening_.get(), POLLIN, 0}};
        std::vector<Connection*> whose;
        for (auto& [id, connection] : connections_) {
            const bool reads = !connection->closing && !connection->busy && connection->out.empty();
            waits.push_back({connection->fd.get(),
                             static_cast<short>((reads ? POLLIN : 0) | (connection->out.empty() ? 0 : POLLOUT)), 0});
            whose.push_back(connection.get());
        }
        if (::poll(waits.data(), waits.size(), -1) < 0) continue;
        if (waits[0].revents != 0) {
            if (!sys::wait_for_byte(outbox_->pipe.reader)) return;
            MutexLock lock(outbox_->mutex);
            if (outbox_->stopping) return;
        }
        deliver();
        for (std::size_t i = 0; i < whose.size(); ++i) {
            const short seen = waits[i + 2].revents;
            if (seen & POLLOUT) {
                send_to(*whose[i]);
                handle_lines(*whose[i]);
            }
            if (seen & POLLIN) read_from(*whose[i]);
            if (seen & (POLLERR | POLLNVAL)) whose[i]->gone = true;
            if ((seen & POLLHUP) && !(seen & POLLIN)) whose[i]->gone = true;
        }
        std::erase_if(connections_, [](const auto& entry) { return entry.second->gone; });
        if (waits[1].revents != 0) take_in();
    }
}

void SocketServer::make_room() {
    const auto silent = std::min_element(connections_.begin(), connections_.end(), [](const auto& a, const auto& b) {
        return a.second->last_heard < b.second->last_heard;
    });
    connections_.erase(silent);
}

void SocketServer::keep_spare() {
    if (spare_.valid()) return;
    if (auto made = sys::open_nowhere()) spare_ = std::move(*made);
}

// A client that is left in the queue would wait for long, and we be called for it again at once.
void SocketServer::refuse_for_want() {
    log::warn_rarely("a client of the control socket is refused: {}", sys::no_descriptor_text());
    spare_.reset();
    if (auto fd = sys::accept_one(listening_)) {
        const std::string line = line_of(refusal("the daemon can not answer: " + sys::no_descriptor_text()));
        if (!sys::send_some(*fd, line)) log::debug("who was refused has gone");
    } else {
        std::this_thread::sleep_for(kPause);
    }
    keep_spare();
}

void SocketServer::take_in() {
    auto fd = sys::accept_one(listening_);
    if (fd.failed_with(EMFILE) || fd.failed_with(ENFILE)) return refuse_for_want();
    if (!fd) return;
    keep_spare();
    const auto peer = sys::peer_of(*fd);
    if (!peer || !may_ask(*peer)) {
        const std::string line = line_of(refusal("only root and the user who has mounted may ask"));
        if (!sys::send_some(*fd, line)) log::debug("who may not ask has gone");
        return;
    }
    if (connections_.size() >= kMostConnections) make_room();
    auto connection = std::make_unique<Connection>();
    const std::uint64_t id = connection->id = connection->last_heard = next_++;
    connection->fd = std::move(*fd);
    connection->peer = *peer;
    connections_.emplace(id, std::move(connection));
}

void SocketServer::read_from(Connection& from) {
    std::array<char, 4096> buffer;
    const auto got = sys::receive_some(from.fd, buffer);
    if (got.failed_with(EAGAIN)) return;
    if (!got || *got == 0) {
        from.gone = true;
        return;
    }
    from.last_heard = next_++;
    from.in.append(buffer.data(), *got);
    handle_lines(from);
}

// One after the other: the next when the one before is answered and taken.
void SocketServer::handle_lines(Connection& from) {
    while (!from.busy && !from.closing && !from.gone && from.out.empty()) {
        const std::size_t end = from.in.find('\n');
        if (end == std::string::npos) break;
        const std::string line = from.in.substr(0, end);
        from.in.erase(0, end + 1);
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        // For a moment: either the process ends, or it stays after all.
        while (mount_.leaves()) std::this_thread::sleep_for(kLeaving);
        handle(from, line);
        send_to(from);
    }
    if (from.in.size() > kLongestLine && from.in.find('\n') == std::string::npos) {
        from.out += line_of(refusal("a request is longer than 64 KiB"));
        from.closing = true;
        from.in.clear();
        send_to(from);
    }
}

void SocketServer::handle(Connection& from, const std::string& line) {
    std::string fault;
    const auto request = Json::read(line, fault);
    if (!request) {
        from.out += line_of(refusal("this is no JSON: " + fault));
        return;
    }
    const Command* command = find_command(*request);
    if (!command) {
        from.out += line_of(refusal(unknown_command(*request)));
        return;
    }
    if (!command->asks_branches) {
        from.out += line_of(command->run({mount_, *request, from.peer, [] { return false; }}));
        return;
    }
    from.busy = true;
    mount_.post([outbox = outbox_, mount = mount_, id = from.id, peer = from.peer, left = from.left, command,
                 asked = *request] {
        const Json answer = command->run({mount, asked, peer, [left] { return left->load(); }});
        outbox->put(id, line_of(answer), answer["takes_over"].is_true() ? mount.leave : nullptr);
    });
}

void SocketServer::deliver() {
    std::vector<Outbox::Answer> answers;
    {
        MutexLock lock(outbox_->mutex);
        answers.swap(outbox_->answers);
    }
    for (auto& [id, line, then] : answers) {
        const auto found = connections_.find(id);
        if (found != connections_.end()) {
            Connection& to = *found->second;
            to.busy = false;
            to.out += line;
            send_to(to);
        }
        if (then) then();
        if (found != connections_.end()) handle_lines(*found->second);
    }
}

void SocketServer::send_to(Connection& to) {
    while (!to.out.empty()) {
        const auto sent = sys::send_some(to.fd, to.out);
        if (sent.failed_with(EAGAIN)) break;
        if (!sent) {
            to.gone = true;
            return;
        }
        to.out.erase(0, *sent);
    }
    if (to.out.size() > kMostWaiting || (to.closing && to.out.empty())) to.gone = true;
}

}  // namespace plyfs::control
