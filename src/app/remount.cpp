#include "app/remount.h"

#include <sys/mount.h>
#include <sys/statvfs.h>

#include <boost/filesystem/operations.hpp>

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

[[noreturn]] void fail(ExitCode code, const std::string& line) {
    throw config::Error(code, {line});
}

std::string text_of(const config::OptionWord& word) {
    return word.value ? word.name + "=" + *word.value : word.name;
}

// The answer of the daemon, where it can be asked.
Result<std::string> ask(std::uint64_t device, const Json& request) {
    const std::string socket = control::find_socket(device);
    if (socket.empty()) return Errno(ENOENT);
    const UniqueFd connection = TRY(sys::connect_to(socket));
    return control::exchange(connection, request.write(), kPatience);
}

void ask_daemon(const std::string& mountpoint, std::uint64_t device, const RemountWords& words, bool only_check) {
    Json options = Json::array(), request;
    for (const auto& word : words.options) options.push(text_of(word));
    request.add("command", "remount").add("options", std::move(options));
    request.add("writable", (words.flags & MS_RDONLY) == 0).add("check", only_check);
    const auto text = ask(device, request);
    if (!text) {
        if (words.options.empty()) return;  // there is nothing that only it could do
        fail(ExitCode::mount, "remount: the daemon of " + mountpoint + " can not be asked whether " +
                                  text_of(words.options[0]) + " is what it has: " +
                                  log::errno_text(text.error().value()) + "; leave out all but ro, rw and their like");
    }
    std::string fault;
    const auto answer = Json::read(*text, fault);
    if (answer && (*answer)["ok"].is_true()) return;
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

bool keeps_no_access_times(const std::string& mountpoint) {
    struct statvfs facts;
    return ::statvfs(mountpoint.c_str(), &facts) == 0 && (facts.f_flag & ST_NOATIME) != 0;
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
    ask_daemon(mountpoint, mounted->device, words, true);
    if (only_check) return {};
    const bool had = keeps_no_access_times(mountpoint);
    if (auto done = sys::remount(mountpoint, words.flags); !done) {
        fail(ExitCode::mount, "remount: " + mountpoint + ": " + why_not(done.error()));
    }
    if (!words.options.empty()) ask_daemon(mountpoint, mounted->device, words, false);
    if (had == keeps_no_access_times(mountpoint)) return {};
    return {
        "remount: access times are kept by the daemon and by the branches' file systems, as before; unmount and "
        "mount again for noatime or atime to have an effect"};
}

}  // namespace plyfs::app
