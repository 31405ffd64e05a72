// The log of the process: one line a message, to stderr in the foreground and to syslog once detached. spdlog is known
// only to log.cpp. Formatting follows {fmt}; a message below the level costs one atomic load.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace plyfs::log {

enum class Level { trace, debug, info, warn, error, off };

// "trace", "debug", "info", "warn", "error" or "off".
bool parse_level(std::string_view word, Level& out);
std::string_view level_name(Level level);

void set_level(Level level);
bool enabled(Level level);
// From now on to syslog (facility daemon, tag "plyfs"): stderr is about to be closed.
void to_syslog();
// From now on to the end of this file, with the time before each line; false, and nothing changes, if it can not be
// written.
bool to_file(const std::string& path);
void write(Level level, std::string_view line);

template <typename... Args>
void message(Level level, fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(level)) write(level, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void debug(fmt::format_string<Args...> f, Args&&... args) {
    message(Level::debug, f, std::forward<Args>(args)...);
}
template <typename... Args>
void info(fmt::format_string<Args...> f, Args&&... args) {
    message(Level::info, f, std::forward<Args>(args)...);
}
template <typename... Args>
void warn(fmt::format_string<Args...> f, Args&&... args) {
    message(Level::warn, f, std::forward<Args>(args)...);
}
// What anybody can bring about at will must not fill a disk: one line a second of all that are logged so.
bool is_due();
template <typename... Args>
void warn_rarely(fmt::format_string<Args...> f, Args&&... args) {
    if (enabled(Level::warn) && is_due()) write(Level::warn, fmt::format(f, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> f, Args&&... args) {
    message(Level::error, f, std::forward<Args>(args)...);
}

// Control characters as "\\ooo", as in /proc/mounts: names may have them, and a line stays a line.
std::string in_one_line(std::string_view text);
// "No such file or directory (ENOENT)" for a person.
std::string errno_text(int err);

}  // namespace plyfs::log
