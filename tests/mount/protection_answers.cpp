#include "protection_answers.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <functional>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"

namespace plyfs::test {
namespace {

const std::vector<std::string> kFiles = {"fixed", "grows"};
const std::vector<std::string> kDirs = {"fixed dir", "growing dir"};

class Attempts {
  public:
    explicit Attempts(std::string root) : root_(std::move(root)) {}
    void try_to(const std::string& what, const std::function<long()>& call) {
        const int error = err_of(call());
        said_.push_back(what + ": " + (error ? errno_words(error) : "done"));
    }
    void try_open_with(const std::string& name, const std::string& words, int flags) {
        said_.push_back("open " + name + " " + words + ": " + std::to_string(try_open(root_ + "/" + name, flags)));
    }
    void say(const std::string& what) { said_.push_back(what); }
    std::string at(const std::string& name) const { return root_ + "/" + name; }
    std::vector<std::string> take() { return std::move(said_); }

  private:
    std::string root_;
    std::vector<std::string> said_;
};

void open_it(Attempts& all, const std::string& name) {
    all.try_open_with(name, "r", O_RDONLY);
    all.try_open_with(name, "w", O_WRONLY);
    all.try_open_with(name, "rw", O_RDWR);
    all.try_open_with(name, "a", O_WRONLY | O_APPEND);
    all.try_open_with(name, "a, truncated", O_WRONLY | O_APPEND | O_TRUNC);
    all.try_open_with(name, "r, truncated", O_RDONLY | O_TRUNC);
    all.try_open_with(name, "w, created", O_WRONLY | O_CREAT);
}

void change_it(Attempts& all, const std::string& name) {
    const std::string path = all.at(name);
    const auto times = [&](long atime, long mtime) {
        const timespec both[2] = {{1000, atime}, {1000, mtime}};
        return ::utimensat(AT_FDCWD, path.c_str(), both, 0);
    };
    all.try_to("truncate " + name, [&] { return ::truncate(path.c_str(), 3); });
    all.try_to("chmod " + name, [&] { return ::chmod(path.c_str(), 0711); });
    all.try_to("chown " + name, [&] { return ::chown(path.c_str(), 1, 1); });
    all.try_to("touch " + name, [&] { return ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0); });
    all.try_to("touch with times " + name, [&] { return times(UTIME_NOW, UTIME_NOW); });
    all.try_to("touch atime " + name, [&] { return times(UTIME_NOW, UTIME_OMIT); });
    all.try_to("utimes " + name, [&] { return times(1, 1); });
    for (const char* attribute : {"user.x", "trusted.x", "security.x"}) {
        const std::string what = std::string(attribute) + " of " + name;
        all.try_to("set " + what, [&] { return ::setxattr(path.c_str(), attribute, "x", 1, 0); });
        all.try_to("remove " + what, [&] { return ::removexattr(path.c_str(), attribute); });
    }
}

// Not what is wrong with any object of its kind: that a mount is never asked.
void move_it(Attempts& all, const std::string& name) {
    const std::string path = all.at(name);
    const auto free = all.at("free");
    write_file(free, "free");
    all.try_to("link " + name, [&] { return ::link(path.c_str(), all.at("link").c_str()); });
    all.try_to("rename " + name, [&] { return ::rename(path.c_str(), all.at("moved").c_str()); });
    all.try_to("exchange " + name,
               [&] { return ::renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, free.c_str(), RENAME_EXCHANGE); });
    all.try_to("exchange with " + name,
               [&] { return ::renameat2(AT_FDCWD, free.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE); });
    if (S_ISDIR(stat_of(path).st_mode)) {
        make_dirs(all.at("free dir"));
        all.try_to("rename to " + name, [&] { return ::rename(all.at("free dir").c_str(), path.c_str()); });
        all.try_to("remove " + name, [&] { return ::rmdir(path.c_str()); });
    } else {
        all.try_to("rename to " + name, [&] { return ::rename(free.c_str(), path.c_str()); });
        all.try_to("remove " + name, [&] { return ::unlink(path.c_str()); });
    }
}

void fill_it(Attempts& all, const std::string& dir) {
    const std::string path = all.at(dir) + "/";
    write_file(all.at("free2"), "free");
    write_file(all.at("free3"), "free");
    all.try_to("append in " + dir, [&] { return ::truncate((path + "child").c_str(), 20); });
    all.try_to("chmod in " + dir, [&] { return ::chmod((path + "child2").c_str(), 0600); });
    all.try_to("mkdir in sub of " + dir, [&] { return ::mkdir((path + "sub/new").c_str(), 0755); });
    all.try_open_with(dir + "/new", "created", O_WRONLY | O_CREAT);
    all.try_open_with(dir, "nameless", O_WRONLY | O_TMPFILE);
    all.try_to("mkdir in " + dir, [&] { return ::mkdir((path + "newdir").c_str(), 0755); });
    all.try_to("mkfifo in " + dir, [&] { return ::mkfifo((path + "fifo").c_str(), 0600); });
    all.try_to("symlink in " + dir, [&] { return ::symlink("x", (path + "symlink").c_str()); });
    all.try_to("link in " + dir, [&] { return ::link(all.at("free2").c_str(), (path + "link").c_str()); });
    all.try_to("rename into " + dir, [&] { return ::rename(all.at("free2").c_str(), (path + "moved").c_str()); });
    all.try_to("rename over in " + dir, [&] { return ::rename(all.at("free3").c_str(), (path + "child").c_str()); });
    all.try_to("rename out of " + dir, [&] { return ::rename((path + "child").c_str(), all.at("out").c_str()); });
    all.try_to("unlink in " + dir, [&] { return ::unlink((path + "child2").c_str()); });
    all.try_to("rmdir in " + dir, [&] { return ::rmdir((path + "empty").c_str()); });
    std::string names;
    for (const std::string& name : list_dir(all.at(dir))) names += " " + name;
    all.say(dir + ":" + names);
}

std::string letters_of(const std::string& path) {
    const std::string shown = must_run({"lsattr", "-d", path}).out;
    std::string letters;
    for (char flag : shown.substr(0, shown.find(' '))) {
        if (flag == 'i' || flag == 'a') letters.push_back(flag);
    }
    return letters;
}

// Flags come to a file that is open: who writes it goes on.
void flag_while_open(Attempts& all, const std::string& letter) {
    const std::string name = "open " + letter;
    write_file(all.at(name), "0123456789");
    write_file(all.at("source"), "source");
    UniqueFd fd = open_file(all.at(name), O_RDWR);
    UniqueFd source = open_file(all.at("source"), O_RDONLY);
    must_run({"chattr", "+" + letter, all.at(name)});
    all.try_to("write to " + name, [&] { return ::pwrite(fd.get(), "xx", 2, 2); });
    all.try_to("chmod " + name, [&] { return ::fchmod(fd.get(), 0600); });
    all.try_to("cut " + name, [&] { return ::ftruncate(fd.get(), 8); });
    all.try_to("allocate " + name, [&] { return ::fallocate(fd.get(), 0, 0, 8192); });
    all.try_to("reserve " + name, [&] { return ::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 8192); });
    all.try_to("copy to " + name,
               [&] { return ::copy_file_range(source.get(), nullptr, fd.get(), nullptr, 6, 0) == 6 ? 0 : -1; });
    all.say(name + ": " + read_file(all.at(name)).substr(0, 10) + " " + letters_of(all.at(name)));
    must_run({"chattr", "-" + letter, all.at(name)});
    all.try_to("write to " + name + " again", [&] { return ::pwrite(fd.get(), "yy", 2, 4); });
    all.try_open_with(name, "w", O_WRONLY);
}

}  // namespace

void make_objects(const std::string& root) {
    for (const auto& name : kFiles) write_file(root + "/" + name, "0123456789");
    for (const auto& name : kDirs) {
        make_dirs(root + "/" + name + "/sub");
        make_dirs(root + "/" + name + "/empty");
        write_file(root + "/" + name + "/child", "child");
        write_file(root + "/" + name + "/child2", "child");
    }
}

void protect(const std::string& root) {
    if (!have_tool("chattr") || !have_tool("lsattr")) skip("chattr and lsattr are needed");
    for (const auto* of : {&kFiles, &kDirs}) {
        must_run({"chattr", "+i", root + "/" + (*of)[0]});
        must_run({"chattr", "+a", root + "/" + (*of)[1]});
    }
}

std::vector<std::string> answers(const std::string& root) {
    Attempts all(root);
    for (const auto& name : kFiles) {
        open_it(all, name);
        change_it(all, name);
        move_it(all, name);
        all.say(name + ": " + read_file(all.at(name)) + " " + letters_of(all.at(name)));
    }
    for (const auto& name : kDirs) {
        change_it(all, name);
        fill_it(all, name);
        move_it(all, name);
        all.say(name + ": " + letters_of(all.at(name)));
    }
    for (const auto& name : {kFiles[0], kFiles[1], kDirs[0], kDirs[1]}) {
        must_run({"chattr", "-i", "-a", "+A", all.at(name)});
        all.say(name + ": " + letters_of(all.at(name)));
        all.try_to("chmod free " + name, [&] { return ::chmod(all.at(name).c_str(), 0700); });
        all.try_to("rename free " + name, [&] { return ::rename(all.at(name).c_str(), all.at(name + "!").c_str()); });
    }
    for (const char* letter : {"i", "a"}) flag_while_open(all, letter);
    return all.take();
}

}  // namespace plyfs::test
