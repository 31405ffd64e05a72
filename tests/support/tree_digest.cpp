#include "support/tree_digest.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "support/check.h"
#include "support/files.h"

namespace plyfs::test {
namespace {

unsigned long long mix(unsigned long long hash, unsigned long long value) {
    hash = (hash ^ value) * 0x9E3779B97F4A7C15ULL;
    return hash ^ (hash >> 29);
}

// Zeros hash to nothing, so that a hole equals the zeros it stands for.
unsigned long long hash_content(const std::string& path, off_t size) {
    UniqueFd fd = open_file(path, O_RDONLY | O_NOFOLLOW | O_NOATIME | O_NONBLOCK);
    std::vector<unsigned long long> words(1 << 13);
    unsigned long long hash = 14695981039346656037ULL;
    off_t at = ::lseek(fd.get(), 0, SEEK_DATA);
    if (at < 0) at = errno == ENXIO ? size : 0;
    for (;;) {
        at &= ~7LL;
        std::fill(words.begin(), words.end(), 0ULL);
        ssize_t n = OK(::pread(fd.get(), words.data(), words.size() * sizeof words[0], at));
        if (n == 0) return hash;
        for (std::size_t i = 0; i < (static_cast<std::size_t>(n) + 7) / 8; i++)
            if (words[i]) hash = mix(mix(hash, static_cast<unsigned long long>(at) + i * 8), words[i]);
        at += n;
        if (n % 8 != 0) return hash;
        if (off_t data = ::lseek(fd.get(), at, SEEK_DATA); data > at) at = data;
    }
}

std::string describe(const std::string& path, const struct stat& st, const DigestScope& scope) {
    std::ostringstream out;
    bool dir = S_ISDIR(st.st_mode);
    out << std::oct << "mode=" << st.st_mode << std::dec << " owner=" << st.st_uid << ":" << st.st_gid;
    if (!dir || scope.dir_details) {
        out << " size=" << st.st_size << " nlink=" << st.st_nlink;
        const bool recent = scope.now > 0 && ns(st.st_mtim) >= scope.now;
        if (scope.mtimes) out << " mtime=" << (recent ? "now" : std::to_string(ns(st.st_mtim)));
    }
    if (scope.identity) out << " ino=" << st.st_ino << " ctime=" << ns(st.st_ctim) << " blocks=" << st.st_blocks;
    if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) out << " rdev=" << major(st.st_rdev) << ":" << minor(st.st_rdev);
    if (S_ISLNK(st.st_mode)) out << " target=" << link_target(path);
    if (S_ISREG(st.st_mode)) out << " hash=" << std::hex << hash_content(path, st.st_size) << std::dec;
    for (const auto& [name, value] : all_xattrs(path)) {
        if (!scope.trusted && name.rfind("trusted.", 0) == 0) continue;
        out << " " << name << "=" << std::hash<std::string>()(value) << "/" << value.size();
    }
    return out.str();
}

void walk(const std::string& root, const std::string& below, const DigestScope& scope,
          std::map<std::string, std::string>& lines) {
    std::string path = root + below;
    struct stat st = lstat_of(path);
    lines[below.empty() ? "/" : below] = describe(path, st, scope);
    if (!S_ISDIR(st.st_mode)) return;
    for (const std::string& name : list_dir(path)) walk(root, below + "/" + name, scope, lines);
}

}  // namespace

TreeDigest TreeDigest::of(const std::string& root, DigestScope scope) {
    TreeDigest digest;
    walk(root, "", scope, digest.lines_);
    return digest;
}

TreeDigest TreeDigest::seen(const std::string& root) {
    return of(root, {.identity = false, .dir_details = false, .trusted = false, .mtimes = true});
}

// Empty where there is nothing.
const std::string& TreeDigest::line_of(const std::string& path) const {
    static const std::string nothing;
    const auto found = lines_.find(path);
    return found == lines_.end() ? nothing : found->second;
}

std::set<std::string> TreeDigest::contents() const {
    std::set<std::string> out;
    for (const auto& [path, line] : lines_) {
        const std::size_t at = line.find(" hash=");
        if (at != std::string::npos) out.insert(line.substr(at, line.find(' ', at + 1) - at));
    }
    return out;
}

namespace {

// The line with one link less, as it is before a second name is there and after the first is gone.
std::string with_a_link_less(const std::string& line) {
    const std::string key = " nlink=";
    const std::size_t at = line.find(key);
    if (at == std::string::npos) return line;
    std::size_t digits = 0;
    const unsigned long links = std::stoul(line.substr(at + key.size()), &digits);
    return line.substr(0, at + key.size()) + std::to_string(links - 1) + line.substr(at + key.size() + digits);
}

}  // namespace

std::string TreeDigest::strays_from(const TreeDigest& before, const TreeDigest& after) const {
    std::string text;
    std::set<std::string> paths;
    for (const TreeDigest* digest : {&before, &after, this}) {
        for (const auto& [path, line] : digest->lines_) paths.insert(path);
    }
    for (const std::string& path : paths) {
        const std::string& line = line_of(path);
        if (line == before.line_of(path) || line == after.line_of(path)) continue;
        const std::string less = with_a_link_less(line);
        if (less == before.line_of(path) || less == after.line_of(path)) continue;
        text += path + "\n  before: " + before.line_of(path) + "\n  after:  " + after.line_of(path) +
                "\n  is:     " + line + "\n";
    }
    const auto here = contents(), later = after.contents();
    for (const std::string& content : before.contents()) {
        if (later.contains(content) && !here.contains(content)) text += "lost: " + content + "\n";
    }
    return text;
}

std::string TreeDigest::difference(const TreeDigest& other) const {
    std::string text;
    int told = 0;
    auto tell = [&](const std::string& line) {
        if (told++ < 10) text += line + "\n";
    };
    for (const auto& [path, line] : lines_) {
        auto found = other.lines_.find(path);
        if (found == other.lines_.end())
            tell("only in the first: " + path + " " + line);
        else if (found->second != line)
            tell(path + "\n  first:  " + line + "\n  second: " + found->second);
    }
    for (const auto& [path, line] : other.lines_)
        if (!lines_.count(path)) tell("only in the second: " + path + " " + line);
    if (told > 10) text += "and " + std::to_string(told - 10) + " more\n";
    return text;
}

}  // namespace plyfs::test
