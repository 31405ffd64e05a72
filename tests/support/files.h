// Files in a line each. Everything here ends the test when it fails, except what begins with try_.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "base/fd.h"

namespace plyfs::test {

using plyfs::UniqueFd;

UniqueFd open_file(const std::string& path, int flags, mode_t mode = 0644);
// 0 or the errno of the open; the descriptor is closed again.
int try_open(const std::string& path, int flags, mode_t mode = 0644);

void write_file(const std::string& path, std::string_view content, mode_t mode = 0644);
std::string read_file(const std::string& path);
std::string read_fd(int fd, off_t at = 0, std::size_t most = 1 << 24);
void write_fd(int fd, std::string_view content, off_t at);
void make_dirs(const std::string& path);
// Size bytes that differ from place to place and from seed to seed.
std::string pattern(std::size_t size, unsigned seed = 1);

struct stat stat_of(const std::string& path);   // follows
struct stat lstat_of(const std::string& path);  // does not
struct stat stat_of(int fd);
bool exists(const std::string& path);  // the name itself, whatever it is
std::string link_target(const std::string& path);

// Names but "." and "..", sorted.
std::vector<std::string> list_dir(const std::string& path);

// Where there is no privilege trusted.overlay.X means user.overlay.X, here and below.
void set_xattr(const std::string& path, const std::string& name, std::string_view value);
// The value; empty optional is told as "(none)".
std::string get_xattr(const std::string& path, const std::string& name);
std::map<std::string, std::string> all_xattrs(const std::string& path);

// Seconds and nanoseconds as one number, to compare with ==.
inline long long ns(const timespec& t) {
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

}  // namespace plyfs::test

// Lists in failure messages.
template <>
struct doctest::StringMaker<std::vector<std::string>> {
    static doctest::String convert(const std::vector<std::string>& list) {
        std::string text;
        for (const std::string& item : list) text += (text.empty() ? "" : ", ") + item;
        return ("[" + text + "]").c_str();
    }
};
