// Whether the copies of a pool's files say the same.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>

#include "base/log.h"
#include "control/own_names.h"
#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/failure.h"
#include "ctl/mounts.h"
#include "ctl/text.h"
#include "sys/dirent.h"
#include "sys/file_io.h"
#include "sys/lock.h"
#include "sys/open.h"
#include "sys/stat.h"

namespace plyfs::ctl {
namespace {

struct Dir {
    const std::string* branch;
    UniqueFd fd;
};
struct Copy {
    const Dir* dir;
    sys::Stat st;
};

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

class Check {
  public:
    Check(std::vector<std::string> branches, bool content) : branches_(std::move(branches)), content_(content) {}

    void run() {
        std::vector<Dir> roots;
        for (const std::string& branch : branches_) {
            auto fd = sys::open_root(branch.c_str());
            if (!fd) fail(branch, fd.error());
            look_for_leftovers(branch, *fd);
            roots.push_back({&branch, std::move(*fd)});
        }
        compare_dirs("", roots);
    }
    std::uint64_t compared() const { return compared_; }
    const std::vector<std::pair<std::string, std::string>>& found() const { return found_; }

  private:
    [[noreturn]] static void fail(const std::string& path, Errno e) {
        throw Failure(shown(path) + " can not be read: " + log::errno_text(e.value()));
    }
    void note(const std::string& path, std::string what) { found_.emplace_back(path, std::move(what)); }

    static std::vector<std::string> names_in(BorrowedFd dir, const std::string& path) {
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

    // What mounts prepare is theirs as long as they have it locked, and empty when they have ended.
    void look_for_leftovers(const std::string& branch, BorrowedFd root) {
        for (const std::string& written : names_in(root, branch)) {
            if (!control::is_own_name(written)) continue;
            const auto dir = sys::open_dir_path(root, *Name::parse(written));
            const auto fd = dir ? sys::open_dir_for_reading(*dir) : dir.error();
            if (!fd || !sys::lock_alone(*fd)) continue;
            const auto left = names_in(*dir, branch + "/" + written).size();
            if (left > 0) {
                note(written, fmt::format("{} objects on {} that a mount left which was killed; the next mount of it "
                                          "removes them",
                                          left, branch));
            }
        }
    }

    void compare_dirs(const std::string& path, const std::vector<Dir>& dirs) {
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

    void compare(const std::string& path, const std::string& name, const std::vector<Copy>& copies) {
        ++compared_;
        const Copy& first = copies[0];
        for (std::size_t i = 1; i < copies.size(); ++i) compare_two(path, name, first, copies[i]);
        if (!sys::is_dir(first.st)) return;
        std::vector<Dir> dirs;
        for (const Copy& copy : copies) {
            if (!sys::is_dir(copy.st)) continue;
            auto fd = sys::open_dir_path(copy.dir->fd, *Name::parse(name));
            if (fd) dirs.push_back({copy.dir->branch, std::move(*fd)});
        }
        if (dirs.size() > 1) compare_dirs(path, dirs);
    }

    // Tells the gravest difference.
    void compare_two(const std::string& path, const std::string& name, const Copy& a, const Copy& b) {
        const auto differ = [&](const std::string& of_a, const std::string& of_b) {
            note(path, fmt::format("{} on {}, {} on {}", of_a, *a.dir->branch, of_b, *b.dir->branch));
        };
        if ((a.st.stx_mode & S_IFMT) != (b.st.stx_mode & S_IFMT)) return differ(type_of(a.st), type_of(b.st));
        if (owner_of(a.st) != owner_of(b.st)) return differ(owner_of(a.st), owner_of(b.st));
        if (!sys::is_regular(a.st)) return;
        if (a.st.stx_size != b.st.stx_size) {
            return differ(fmt::format("{} bytes", a.st.stx_size), fmt::format("{} bytes", b.st.stx_size));
        }
        if (content_ && !same_content(path, name, a, b)) return differ("other content", "as many bytes");
        if (time_of(a.st) != time_of(b.st)) differ("changed at " + time_of(a.st), time_of(b.st));
    }

    static bool same_content(const std::string& path, const std::string& name, const Copy& a, const Copy& b) {
        const auto open = [&](const Copy& copy) {
            auto fd = sys::open_file(copy.dir->fd, *Name::parse(name), O_RDONLY);
            if (!fd) fail(*copy.dir->branch + "/" + path, fd.error());
            return std::move(*fd);
        };
        const UniqueFd one = open(a), other = open(b);
        std::vector<std::byte> here(std::size_t{1} << 20), there(here.size());
        for (std::uint64_t at = 0;;) {
            const auto got = sys::read_at(one, here, at);
            if (!got) fail(*a.dir->branch + "/" + path, got.error());
            const auto more = sys::read_at(other, there, at);
            if (!more) fail(*b.dir->branch + "/" + path, more.error());
            const std::size_t both = std::min(*got, *more);
            if (both == 0) return *got == *more;
            if (!std::equal(here.begin(), here.begin() + static_cast<std::ptrdiff_t>(both), there.begin()))
                return false;
            at += both;
        }
    }

    const std::vector<std::string> branches_;
    const bool content_;
    std::uint64_t compared_ = 0;
    std::vector<std::pair<std::string, std::string>> found_;
};

}  // namespace

int run_fsck(const Words& words) {
    const Mount mount = mount_of(words.arguments[0]);
    const Json status = ask(mount, "status");
    if (status["kind"].text() != "pool") throw Failure(shown(mount.path) + " has layers, which have no copies");
    std::vector<std::string> branches;
    for (const Json& branch : status["branches"].items()) {
        // What lies on a branch that may not be modified is what it was; a copy-up of it is another file.
        if (branch["present"].is_true() && branch["mode"].text() != "ro") branches.push_back(branch["path"].text());
    }
    Check check(std::move(branches), words.content);
    check.run();
    if (words.json) {
        Json list = Json::array(), out;
        for (const auto& [path, what] : check.found()) {
            Json one;
            list.push(one.add("path", path).add("what", what));
        }
        print_line(out.add("compared", check.compared()).add("found", std::move(list)));
    } else {
        for (const auto& [path, what] : check.found()) print("/" + shown(path) + ": " + shown(what) + "\n");
        print(fmt::format("{}: {} names on several branches, {} differences\n", shown(mount.path), check.compared(),
                          check.found().size()));
    }
    return check.found().empty() ? 0 : 1;
}

}  // namespace plyfs::ctl
