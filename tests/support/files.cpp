#include "support/files.h"

#include <dirent.h>
#include <sys/xattr.h>

#include <algorithm>

#include "support/check.h"
#include "support/sandbox.h"

namespace plyfs::test {

UniqueFd open_file(const std::string& path, int flags, mode_t mode) {
    errno = 0;
    int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    int err = errno;
    INFO("open ", path.substr(0, 200), " with flags ", flags, ": ", errno_words(err));
    REQUIRE(fd >= 0);
    return UniqueFd(fd);
}

int try_open(const std::string& path, int flags, mode_t mode) {
    int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    if (fd < 0) return errno;
    ::close(fd);
    return 0;
}

void write_file(const std::string& path, std::string_view content, mode_t mode) {
    UniqueFd fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    write_fd(fd.get(), content, 0);
    OK(::fchmod(fd.get(), mode));
}

std::string read_file(const std::string& path) {
    return read_fd(open_file(path, O_RDONLY).get());
}

std::string read_fd(int fd, off_t at, std::size_t most) {
    std::string content;
    char buffer[1 << 16];
    while (content.size() < most) {
        ssize_t n = OK(::pread(fd, buffer, std::min(sizeof buffer, most - content.size()), at));
        if (n == 0) break;
        content.append(buffer, static_cast<std::size_t>(n));
        at += n;
    }
    return content;
}

void write_fd(int fd, std::string_view content, off_t at) {
    while (!content.empty()) {
        ssize_t n = OK(::pwrite(fd, content.data(), content.size(), at));
        REQUIRE(n > 0);
        content.remove_prefix(static_cast<std::size_t>(n));
        at += n;
    }
}

void make_dirs(const std::string& path) {
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        std::string part = path.substr(0, end);
        if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST)
            detail::fail_call(("mkdir " + part).c_str(), "", __FILE__, __LINE__);
        if (end == std::string::npos) return;
    }
}

std::string pattern(std::size_t size, unsigned seed) {
    std::string bytes(size, '\0');
    unsigned long long state = seed * 2654435761ULL + 88172645463325252ULL;
    for (char& byte : bytes) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        byte = static_cast<char>(state >> 24);
    }
    return bytes;
}

struct stat stat_of(const std::string& path) {
    struct stat st {};
    INFO(path);
    OK(::stat(path.c_str(), &st));
    return st;
}

struct stat lstat_of(const std::string& path) {
    struct stat st {};
    INFO(path);
    OK(::lstat(path.c_str(), &st));
    return st;
}

struct stat stat_of(int fd) {
    struct stat st {};
    OK(::fstat(fd, &st));
    return st;
}

bool exists(const std::string& path) {
    struct stat st {};
    return ::lstat(path.c_str(), &st) == 0;
}

std::string link_target(const std::string& path) {
    char buffer[4097];
    INFO(path);
    ssize_t n = OK(::readlink(path.c_str(), buffer, sizeof buffer));
    return {buffer, static_cast<std::size_t>(n)};
}

std::vector<std::string> list_dir(const std::string& path) {
    std::vector<std::string> names;
    DIR* dir = ::opendir(path.c_str());
    INFO("opendir ", path);
    REQUIRE(dir != nullptr);
    errno = 0;
    while (dirent* entry = ::readdir(dir))
        if (std::string name = entry->d_name; name != "." && name != "..") names.push_back(name);
    int err = errno;
    ::closedir(dir);
    REQUIRE(err == 0);
    std::sort(names.begin(), names.end());
    return names;
}

// Without privilege overlayfs' attributes are in user.*.
static std::string name_here(const std::string& name) {
    constexpr std::string_view kMarks = "trusted.overlay.";
    if (is_unprivileged() && name.starts_with(kMarks)) return "user.overlay." + name.substr(kMarks.size());
    if (name.starts_with("trusted.")) need_privilege("trusted.* attributes");
    return name;
}

void set_xattr(const std::string& path, const std::string& asked, std::string_view value) {
    const std::string name = name_here(asked);
    INFO(path, " ", name);
    OK(::lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0));
}

std::string get_xattr(const std::string& path, const std::string& asked) {
    const std::string name = name_here(asked);
    char buffer[65536];
    ssize_t n = ::lgetxattr(path.c_str(), name.c_str(), buffer, sizeof buffer);
    int err = errno;
    if (n < 0 && err == ENODATA) return "(none)";
    INFO(path, " ", name, ": ", errno_words(err));
    REQUIRE(n >= 0);
    return {buffer, static_cast<std::size_t>(n)};
}

std::map<std::string, std::string> all_xattrs(const std::string& path) {
    std::map<std::string, std::string> all;
    char names[65536];
    INFO(path);
    ssize_t n = OK(::llistxattr(path.c_str(), names, sizeof names));
    for (const char* name = names; name < names + n; name += std::char_traits<char>::length(name) + 1)
        all[name] = get_xattr(path, name);
    return all;
}

}  // namespace plyfs::test
