#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "config/options.h"
#include "control/value_rows.h"
#include "ops/timeouts.h"

namespace plyfs::control {
namespace {

using C = const config::Config&;

constexpr auto flag = value_of_flag;
constexpr auto seconds = value_of_seconds;
constexpr auto word = value_of_word;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kUsualRequest = std::uint64_t{1} << 20;

// What holds where none is given.
std::string timeout(C c, std::atomic<double> ops::Timeouts::*which) {
    ops::Timeouts timeouts;
    timeouts.set(c);
    return seconds(timeouts.*which);
}

std::string or_none(const std::string& value) {
    return value.empty() ? "none" : value;
}

bool has_word(C c, std::string_view wanted) {
    return std::find(c.kernel_options.begin(), c.kernel_options.end(), wanted) != c.kernel_options.end();
}

// Of what is handed on to the kernel, the value of the one that begins so.
std::string after(C c, std::string_view begin) {
    for (const std::string& handed : c.kernel_options) {
        if (handed.starts_with(begin)) return handed.substr(begin.size());
    }
    return {};
}

// clang-format off
constexpr ValueRow kRows[] = {
    {"branch-timeout", [](C c) { return seconds(c.branch_timeout); }},
    {"busy-poll", [](C c) { return std::to_string(c.busy_poll.count()); }},
    {"cache.attr", [](C c) { return timeout(c, &ops::Timeouts::attr); }},
    {"cache.entry", [](C c) { return timeout(c, &ops::Timeouts::entry); }},
    {"cache.negative-entry", [](C c) { return timeout(c, &ops::Timeouts::negative); }},
    {"fsname", [](C c) { return c.fsname; }},
    {"kernel-permissions-check", [](C c) { return flag(c.default_permissions); }},
    {"lazy-umount-mountpoint", [](C c) { return flag(c.lazy_umount); }},
    {"mountpoint", [](C c) { return c.mountpoint; }},
    {"passthrough.io", [](C c) { return std::string(c.passthrough == config::Passthrough::off ? "off" : "rw"); }},
    {"pid", [](C) { return std::to_string(::getpid()); }},
    {"read-thread-count", [](C c) { return std::to_string(c.reader_threads); }},
    {"readahead", [](C c) { return std::to_string(c.read_ahead_kib.value_or(0)); }},
    {"scheduling-priority", [](C c) { return std::to_string(c.niceness); }},
    {"seccomp", [](C c) { return flag(c.seccomp); }},
    {"supervise", [](C c) { return flag(c.supervise); }},
    {"version", [](C) { return std::string(PLYFS_VERSION); }},
    {"allow_other", [](C c) { return flag(c.allow_other); }},
    {"ro", [](C c) { return flag(c.read_only); }},
    {"dev", [](C c) { return flag(c.dev); }},
    {"suid", [](C c) { return flag(c.suid); }},
    {"exec", [](C c) { return flag(c.exec); }},
    {"workdir", [](C c) { return or_none(c.workdir); }},
    {"transport", [](C c) { return word("transport", static_cast<int>(c.transport)); }},
    {"passthrough", [](C c) { return word("passthrough", c.passthrough == config::Passthrough::off ? 2 : 0); }},
    {"max-stack-depth", [](C c) { return c.max_stack_depth ? std::to_string(*c.max_stack_depth) : word("max-stack-depth", 0); }},
    {"passthrough.max-stack-depth", [](C c) {
         return c.max_stack_depth ? std::to_string(*c.max_stack_depth + 1) : "by max-stack-depth";
     }},
    {"locks", [](C c) { return word("locks", static_cast<int>(c.locks)); }},
    {"fuse-msg-size", [](C c) { return std::to_string((c.max_request ? c.max_request : kUsualRequest) / kPage); }},
    {"subtype", [](C c) { return c.subtype; }},
    {"atime", [](C c) { return flag(!c.noatime()); }},
    {"diratime", [](C c) { return flag(!has_word(c, "nodiratime")); }},
    {"relatime", [](C) { return flag(true); }},
    {"strictatime", [](C) { return flag(false); }},
    {"lazytime", [](C) { return flag(false); }},
    {"sync", [](C c) { return flag(has_word(c, "sync")); }},
    {"dirsync", [](C) { return flag(false); }},
    {"symfollow", [](C c) { return flag(!has_word(c, "nosymfollow")); }},
    {"max_read", [](C c) { return or_none(after(c, "max_read=")); }},
    {"allow-idmap", [](C) { return flag(false); }},
    {"context", [](C c) { return or_none(after(c, "context=")); }},
    {"fscontext", [](C c) { return or_none(after(c, "fscontext=")); }},
    {"defcontext", [](C c) { return or_none(after(c, "defcontext=")); }},
    {"rootcontext", [](C c) { return or_none(after(c, "rootcontext=")); }},
    {"log-level", [](C c) { return word("log-level", static_cast<int>(c.log_level)); }},
    {"log.file", [](C c) { return c.log_file.empty() ? std::string("syslog") : c.log_file; }},
    {"debug", [](C c) { return flag(c.debug); }},
};
// clang-format on

}  // namespace

std::string value_of_flag(bool on) {
    return on ? "true" : "false";
}

std::string value_of_seconds(double number) {
    return fmt::format("{:g}", number);
}

std::string value_of_word(std::string_view option, int place) {
    std::string_view words = config::find_option(option)->option->values;
    for (; place > 0; --place) words.remove_prefix(words.find('|') + 1);
    return std::string(words.substr(0, words.find('|')));
}

std::span<const ValueRow> mount_values() {
    return kRows;
}

}  // namespace plyfs::control
