#include "ctl/copy_check.h"

#include <fmt/format.h>

#include "base/log.h"
#include "control/own_names.h"
#include "ctl/failure.h"
#include "ctl/one_file.h"
#include "ctl/text.h"
#include "sys/dirent.h"
#include "sys/open.h"

namespace plyfs::ctl {
namespace {

[[noreturn]] void fail(const std::string& path, Errno e) {
    throw Failure(shown(path) + " can not be read: " + log::errno_text(e.value()));
}

const char* type_of(const sys::Stat& st) {
    if (sys::is_dir(st)) return "a directory";
    if (sys::is_regular(st)) return "a file";
    return S_ISLNK(st.stx_mode) ? "a symbolic link" : "special";
}

std::string owner_of(const sys::Stat& st) {
    return fmt::format("mode {:04o}, owner {}:{}", st.stx_mode & 07777U, st.stx_uid, st.stx_gid);
}

std::string time_of(const sys::Stat& st) {
    return fmt::format("{}.{:09}", st.stx_mtime.tv_sec, st.stx_mtime.tv_nsec);
}

bool same_bytes(const std::string& path, const std::string& name, BorrowedFd one, BorrowedFd other) {
    const auto a = sys::open_path(one, *Name::parse(name)), b = sys::open_path(other, *Name::parse(name));
    const auto same = !a ? a.error() : !b ? b.error() : same_content(*a, *b);
    if (!same) fail(path, same.error());
    return *same;
}

}  // namespace

std::vector<std::string> names_in(BorrowedFd dir, const std::string& path) {
    auto fd = sys::open_dir_for_reading(dir);
    if (!fd) fail(path, fd.error());
    sys::DirReader reader(std::move(*fd));
    std::vector<std::string> names;
    for (sys::DirEntry entry;;) {
        const auto more = reader.next(entry);
        if (!more) fail(path, more.error());
        if (!*more) return names;
        if (!entry.is_dot()) names.emplace_back(entry.name);
    }
}

void CopyCheck::run(std::vector<Finding>& found) {
    found_ = &found;
    std::vector<UniqueFd> roots;
    std::vector<Dir> dirs;
    for (const std::string& branch : branches_) {
        auto root = sys::open_root(branch.c_str());
        auto dir = root ? sys::duplicate(*root) : root.error();
        if (!dir) fail(branch, dir.error());
        dirs.push_back({&branch, *root, std::move(*dir)});
        roots.push_back(std::move(*root));
    }
    compare_dirs("", dirs);
}

void CopyCheck::compare_dirs(const std::string& path, const std::vector<Dir>& dirs) {
    std::map<std::string, std::vector<Copy>> copies;
    for (const Dir& dir : dirs) {
        for (const std::string& written : names_in(dir.fd, *dir.branch + "/" + path)) {
            if (path.empty() && (written == "lost+found" || control::is_own_name(written))) continue;
            const auto name = Name::parse(written);
            const auto st = name ? sys::stat_at(dir.fd, *name) : name.error();
            if (st && !sys::is_whiteout_device(*st)) copies[written].push_back({&dir, *st});
        }
    }
    for (const auto& [name, found] : copies) {
        if (found.size() > 1) compare(path.empty() ? name : path + "/" + name, name, found);
    }
}

void CopyCheck::compare(const std::string& path, const std::string& name, const std::vector<Copy>& copies) {
    ++compared_;
    std::string what;
    for (std::size_t i = 1; i < copies.size(); ++i) {
        const std::string one = difference(path, name, copies[0], copies[i]);
        if (!one.empty()) what += (what.empty() ? "" : "; ") + one;
    }
    if (!what.empty()) {
        Finding finding{path, std::move(what), false, {}};
        if (fixer_) fix(name, copies, finding);
        found_->push_back(std::move(finding));
    }
    if (!sys::is_dir(copies[0].st)) return;
    std::vector<Dir> dirs;
    for (const Copy& copy : copies) {
        if (!sys::is_dir(copy.st)) continue;
        auto fd = sys::open_dir_path(copy.dir->fd, *Name::parse(name));
        if (fd) dirs.push_back({copy.dir->branch, copy.dir->root, std::move(*fd)});
    }
    if (dirs.size() > 1) compare_dirs(path, dirs);
}

// The gravest; empty: none.
std::string CopyCheck::difference(const std::string& path, const std::string& name, const Copy& a,
                                  const Copy& b) const {
    const auto differ = [&](const std::string& of_a, const std::string& of_b) {
        return fmt::format("{} on {}, {} on {}", of_a, *a.dir->branch, of_b, *b.dir->branch);
    };
    if ((a.st.stx_mode & S_IFMT) != (b.st.stx_mode & S_IFMT)) return differ(type_of(a.st), type_of(b.st));
    if (owner_of(a.st) != owner_of(b.st)) return differ(owner_of(a.st), owner_of(b.st));
    if (!sys::is_regular(a.st)) return {};
    if (a.st.stx_size != b.st.stx_size) {
        return differ(fmt::format("{} bytes", a.st.stx_size), fmt::format("{} bytes", b.st.stx_size));
    }
    if (content_ && !same_bytes(path, name, a.dir->fd, b.dir->fd)) {
        return differ("other content", "as many bytes");
    }
    return time_of(a.st) == time_of(b.st) ? "" : differ("changed at " + time_of(a.st), time_of(b.st));
}

void CopyCheck::fix(const std::string& name, const std::vector<Copy>& copies, Finding& finding) {
    std::vector<CopyAt> at;
    for (const Copy& copy : copies) at.push_back({*copy.dir->branch, copy.dir->root, copy.dir->fd, copy.st});
    finding.stays = fixer_->make_same(*Name::parse(name), at, content_);
    finding.fixed = finding.stays.empty();
}

}  // namespace plyfs::ctl
