#include "ctl/mounts.h"

#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <thread>

#include "base/log.h"
#include "config/branch_spec.h"
#include "control/exchange.h"
#include "control/socket_place.h"
#include "ctl/failure.h"
#include "ctl/text.h"
#include "sys/glob.h"
#include "sys/mounted.h"
#include "sys/unix_socket.h"

namespace plyfs::ctl {
namespace {

using namespace std::chrono_literals;

constexpr int kPatience = 10000;       // milliseconds
constexpr auto kManyDaemons = 5000ms;  // one after the other

// By device; of several the one in the first directory.
std::map<std::uint64_t, std::string> find_sockets() {
    std::map<std::uint64_t, std::string> out;
    for (const auto& dir : control::all_dirs()) {
        const auto names = sys::expand_pattern((dir + "/*.sock").c_str());
        if (!names) continue;
        for (const auto& path : *names) {
            const auto device = control::device_of_socket(path.substr(path.rfind('/') + 1));
            if (device) out.emplace(*device, path);
        }
    }
    return out;
}

bool is_below(const std::string& path, const std::string& mountpoint) {
    return path == mountpoint || mountpoint == "/" || path.starts_with(mountpoint + "/");
}

// The mount that has a canonical path, the topmost of the deepest.
Mount find_mount_of(const std::string& path) {
    std::optional<sys::MountPoint> found;
    for (auto& point : sys::mount_points()) {
        if (!is_below(path, point.path)) continue;
        if (!found || point.path.size() >= found->path.size()) found = std::move(point);
    }
    if (!found || !found->mounted.type.starts_with("fuse")) {
        throw Failure(shown(path) + " is not in a mount of plyfs" +
                      (found ? " but in the " + found->mounted.type + " on " + shown(found->path) : "") +
                      "; plyctl list shows those there are");
    }
    return {found->path,           found->mounted.type, found->source,
            found->mounted.device, found->mounted.root, control::find_socket(found->mounted.device)};
}

UniqueFd connect(const Mount& mount) {
    const std::string name = shown(mount.path.empty() ? mount.socket : mount.path);
    if (mount.socket.empty()) {
        throw Failure(name +
                      ": there is no control socket that we may see: it is not of plyfs, another user's, or its "
                      "daemon could make none (its log says why)");
    }
    auto fd = control::connect(mount.socket);
    if (fd) return std::move(*fd);
    if (fd.failed_with(EACCES)) throw Failure(name + " is another user's mount; ask as that user, or as root");
    if (fd.failed_with(ECONNREFUSED)) {
        throw Failure(name + ": its daemon has ended without an umount; take the dead mount away with umount -l");
    }
    if (fd.failed_with(ENOENT)) throw Failure(name + ": it was unmounted just now; plyctl list shows what is left");
    throw Failure(name + ": " + mount.socket + ": " + log::errno_text(fd.error().value()));
}

std::string exchange(const Mount& mount, const std::string& line, Patience patience) {
    const UniqueFd fd = connect(mount);
    auto answer = control::exchange(fd, line, patience == Patience::seconds ? std::optional(kPatience) : std::nullopt);
    if (answer) return std::move(*answer);
    const std::string name = shown(mount.path.empty() ? mount.socket : mount.path);
    if (answer.failed_with(EPIPE)) throw Ended(name + ": " + log::errno_text(ECONNRESET));
    if (answer.failed_with(EAGAIN)) {
        throw Failure(name + ": no answer for " + std::to_string(kPatience / 1000) +
                      " s; a branch of it may hang (its log says more)");
    }
    throw Failure(name + ": " + log::errno_text(answer.error().value()));
}

std::string refusal_text(const Json& answer) {
    std::string out = shown(answer["error"]);
    const auto& faults = answer["faults"].items();
    if (faults.size() < 2) return out;
    for (const Json& fault : faults) out += (&fault == &faults[0] ? ": " : "; ") + shown(fault);
    return out;
}

}  // namespace

std::optional<std::string> real_path(const std::string& path) {
    const std::unique_ptr<char, void (*)(void*)> found(::realpath(path.c_str(), nullptr), ::free);
    return found ? std::optional<std::string>(found.get()) : std::nullopt;
}

std::string branch_path(const std::string& written) {
    if (written.empty()) return written;
    if (written.front() != '/') {
        if (auto there = real_path(written)) return *there;
    }
    return config::make_absolute(written, real_path(".").value_or("/"));
}

std::vector<Mount> find_mounts() {
    auto sockets = find_sockets();
    std::vector<Mount> mounts;
    for (auto& point : sys::mount_points()) {
        if (!point.mounted.type.starts_with("fuse")) continue;
        const auto socket = sockets.find(point.mounted.device);
        if (socket == sockets.end() && point.mounted.type != "fuse.plyfs") continue;
        const bool again =
            std::any_of(mounts.begin(), mounts.end(), [&](const Mount& m) { return m.device == point.mounted.device; });
        if (again) continue;
        mounts.push_back({point.path, point.mounted.type, point.source, point.mounted.device, point.mounted.root,
                          socket == sockets.end() ? "" : socket->second});
    }
    for (const auto& [device, socket] : sockets) {
        const bool known =
            std::any_of(mounts.begin(), mounts.end(), [&, of = device](const Mount& m) { return m.device == of; });
        // Without a mount one that refuses was left by a daemon that was killed.
        const auto fd = known ? Errno(EEXIST) : sys::connect_to(socket);
        if (fd || fd.failed_with(EACCES)) mounts.push_back({"", "fuse.plyfs", "", device, "/", socket});
    }
    return mounts;
}

Mount mount_of(const std::string& path) {
    // By its name alone first: a dead mount, or one that hangs, can not be asked for more.
    if (path.starts_with('/')) {
        for (auto& mount : find_mounts()) {
            if (mount.path == path) return find_mount_of(path);
        }
    }
    const auto real = real_path(path);
    if (!real) throw Failure(shown(path) + ": " + log::errno_text(errno) + "; name a mountpoint, or a path inside one");
    return find_mount_of(*real);
}

Mount writable_mount_of(const std::string& path) {
    Mount mount = mount_of(path);
    if (ask(mount, "status")["read_only"].is_true()) {
        throw Failure(shown(mount.path) +
                      " is mounted read-only, and so nothing is changed on its branches; mount it writable");
    }
    return mount;
}

std::vector<Mount> mounts_named(const std::vector<std::string>& arguments) {
    std::vector<Mount> out;
    if (arguments.empty()) {
        out = find_mounts();
        if (out.empty()) throw Failure("nothing of plyfs is mounted here");
    }
    for (const auto& path : arguments) out.push_back(mount_of(path));
    return out;
}

Mount mount_served_by(int pid) {
    for (auto& mount : find_mounts()) {
        try {
            const Json status = ask(mount, "status");
            for (const char* process : {"pid", "supervisor"}) {
                if (status[process].number() == static_cast<std::uint64_t>(pid)) return std::move(mount);
            }
        } catch (const Failure& failure) {
            log::debug("{}", failure.what());  // another one, or it will not be found
        }
    }
    throw Failure("no mount that can be asked is served by process " + std::to_string(pid) +
                  "; plyctl list shows those there are");
}

InMount locate(const std::string& written) {
    std::string path = written;
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    const std::size_t slash = path.rfind('/');
    const std::string last = slash == std::string::npos ? path : path.substr(slash + 1);
    std::string whole;
    if (last.empty() || last == "." || last == "..") {
        const auto real = real_path(path);
        if (!real) throw Failure(shown(path) + ": " + log::errno_text(errno));
        whole = *real;
    } else {
        const std::string dir = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
        const auto real = real_path(dir);
        if (!real) throw Failure(shown(dir) + ": " + log::errno_text(errno));
        whole = (*real == "/" ? "" : *real) + "/" + last;
    }
    Mount mount = find_mount_of(whole);
    std::string inside = whole.substr(mount.path == "/" ? 1 : std::min(whole.size(), mount.path.size() + 1));
    if (mount.root != "/") inside = mount.root.substr(1) + "/" + inside;
    return {std::move(mount), std::move(inside)};
}

Json ask(const Mount& mount, const Json& request, Patience patience) {
    std::string fault;
    auto answer = Json::read(exchange(mount, request.write(), patience), fault);
    const std::string name = shown(mount.path.empty() ? mount.socket : mount.path);
    if (!answer) throw Failure(name + ": its answer is no JSON (" + fault + "); is it the same version?");
    if ((*answer)["busy"].is_true()) throw Busy(name + ": " + refusal_text(*answer));
    if (!(*answer)["ok"].is_true()) throw Refused(name + ": " + refusal_text(*answer));
    return std::move(*answer);
}

Json ask_any(const Mount& mount, const Json& request) {
    for (auto left = kManyDaemons;; left -= 20ms) {
        try {
            return ask(mount, request);
        } catch (const Ended&) {
            if (left <= 0ms) throw;
        }
        std::this_thread::sleep_for(20ms);
    }
}

Json ask(const Mount& mount, const char* command) {
    Json request;
    request.add("command", command);
    return ask_any(mount, request);
}

}  // namespace plyfs::ctl
