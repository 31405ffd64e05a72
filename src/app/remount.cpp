#include "app/remount.h"

#include <sys/mount.h>

#include <boost/filesystem/operations.hpp>

#include <chrono>
#include <thread>

#include "base/json.h"
#include "base/log.h"
#include "config/error.h"
#include "control/exchange.h"
#include "control/socket_place.h"
#include "sys/mount.h"
#include "sys/mounted.h"
#include "sys/unix_socket.h"

namespace plyfs::app {
namespace {

using config::ExitCode;

constexpr int kPatience = 10000;  // milliseconds
constexpr int kMostDaemons = 50;  // one after the other
constexpr std::chrono::milliseconds kBetweenDaemons{20};

[[noreturn]] void fail(ExitCode code, const std::string& line) {
    throw config::Error(code, {line});
}

std::string text_of(const config::OptionWord& word) {
    return word.value ? word.name + "=" + *word.value : word.name;
}

// Of the daemon that there is, or the one after it: what is asked may be asked twice.
Result<std::string> ask(std::uint64_t device, const Json& request) {
    const std::string socket = control::find_socket(device);
    if (socket.empty()) return Errno(ENOENT);
    for (int more = kMostDaemons;; --more) {
        const UniqueFd connection = TRY(control::connect(socket));
        auto answer = control::exchange(connection, request.write(), kPatience);
        if (!answer.failed_with(EPIPE) || more == 0) return answer;
        std::this_thread::sleep_for(kBetweenDaemons);
    }
}

std::string why_silent(Errno error) {
    if (error == EACCES) return "it is another user's mount: only that user, or root, may";
    if (error == ECONNREFUSED) return "its daemon has died; take it away with umount -l and mount it again";
    if (error == EAGAIN)
        return "its daemon does not answer, a branch may hang; mount -i -o remount,ro asks the kernel alone";
    return "its daemon can not be asked (" + log::errno_text(error.value()) +
           "); mount -i -o remount,ro asks the kernel alone";
}

// What the daemon says to the options. The flags that the mount has whatever mount(8) says.
unsigned long ask_daemon(const std::string& mountpoint, std::uint64_t device, const RemountWords& words,
                         bool only_check) {
    Json options = Json::array(), request;
    for (const auto& word : words.options) options.push(text_of(word));
    request.add("command", "remount").add("options", std::move(options)).add("source", words.source);
    request.add("writable", (words.flags & MS_RDONLY) == 0).add("check", only_check);
    const auto text = ask(device, request);
    if (!text) fail(ExitCode::mount, "remount: " + mountpoint + ": " + why_silent(text.error()));
    std::string fault;
    const auto answer = Json::read(*text, fault);
    if (answer && (*answer)["ok"].is_true()) {
        unsigned long kept = 0;
        for (const Json& word : (*answer)["flags"].items()) kept = with_flag(kept, word.text());
        return kept;
    }
    std::vector<std::string> lines;
    if (answer) {
        for (const Json& line : (*answer)["faults"].items()) lines.push_back("remount: " + line.text());
        if (lines.empty()) lines.push_back("remount: " + (*answer)["error"].text());
    } else {
        lines.push_back("remount: the daemon's answer is no JSON: " + fault);
    }
    throw config::Error(ExitCode::usage, lines);
}

std::string why_not(Errno error) {
    if (error == EBUSY) return "files are open for writing; fuser -vm shows who has them";
    if (error == EPERM) return "only root may, or a flag is locked by the user namespace it was made in";
    return log::errno_text(error.value());
}

}  // namespace

std::vector<std::string> remount(const std::string& written, const RemountWords& words, bool only_check) {
    boost::system::error_code fault;
    const auto real = boost::filesystem::canonical(written, fault);
    const std::string mountpoint = fault ? written : real.string();
    const auto mounted = sys::find_mounted(mountpoint);
    if (!mounted || !mounted->type.starts_with("fuse")) {
        fail(ExitCode::mount, "remount: " + mountpoint + ": nothing of plyfs is mounted there; mount it first");
    }
    std::vector<std::string> notices;
    const unsigned long kept = ask_daemon(mountpoint, mounted->device, words, true);
    if ((kept & ~words.flags & MS_RDONLY) != 0) {
        notices.push_back("remount: " + mountpoint + " stays read-only, its daemon writes nothing");
    }
    if (only_check) return notices;
    const auto before = sys::is_noatime(mountpoint);
    if (auto done = sys::remount(mountpoint, words.flags | kept); !done) {
        fail(ExitCode::mount, "remount: " + mountpoint + ": " + why_not(done.error()));
    }
    if (!words.options.empty()) ask_daemon(mountpoint, mounted->device, words, false);
    if (const auto after = sys::is_noatime(mountpoint); before && after && *before != *after) {
        notices.push_back(
            "remount: access times are kept by the daemon and by the branches' file systems, as before; "
            "unmount and mount again for noatime or atime to have an effect");
    }
    return notices;
}

}  // namespace plyfs::app
