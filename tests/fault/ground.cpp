#include "fault/ground.h"

#include <ftw.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"

namespace plyfs::test {
namespace {

constexpr unsigned kMib = 640;

int make_old(const char* path, const struct stat*, int, struct FTW*) {
    const timespec past[2] = {{1111111111, 111}, {1222222222, 222}};
    return ::utimensat(AT_FDCWD, path, past, AT_SYMLINK_NOFOLLOW);
}

// All but directories, as paths from there.
std::set<std::string> files_below(const std::string& dir) {
    std::set<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir)) {
        if (!entry.is_directory() || entry.is_symlink()) files.insert(entry.path().string().substr(dir.size()));
    }
    return files;
}

void put(const std::string& dir, const std::string& name) {
    write_file(dir + "/" + name, content_of(name));
}

// Of every type of object.
void make_first_part(const std::string& tree) {
    make_dirs(tree + "/d/sub");
    make_dirs(tree + "/e");
    for (const char* name : {"f", "g", "linked"}) put(tree + "/d", name);
    put(tree + "/d/sub", "x");
    OK(::link((tree + "/d/linked").c_str(), (tree + "/d/linked2").c_str()));
    OK(::symlink("to f", (tree + "/d/s").c_str()));
    OK(::mkfifo((tree + "/d/p").c_str(), 0622));
    set_xattr(tree + "/d/f", "user.note", "of f");
    set_xattr(tree + "/d", "user.note", "of d");
    OK(::chown((tree + "/d/f").c_str(), 5, 6));
    OK(::chmod((tree + "/d/f").c_str(), 0640));
    OK(::lchown((tree + "/d/s").c_str(), 7, 8));
    OK(::chown((tree + "/d").c_str(), 12, 34));
    OK(::chmod((tree + "/d").c_str(), 0750));
}

void make_second_part(const std::string& tree) {
    make_dirs(tree + "/d/sub");
    put(tree + "/d", "h");
    put(tree + "/d/sub", "y");
    OK(::chown((tree + "/d").c_str(), 12, 34));
    OK(::chmod((tree + "/d").c_str(), 0750));
}

void make_own_part(const std::string& tree) {
    make_dirs(tree + "/od");
    put(tree, "o");
    put(tree + "/od", "in");
}

}  // namespace

std::string content_of(const std::string& name) {
    return name + ":" + pattern(5000, static_cast<unsigned>(name[0]));
}

Ground::Ground(Kind kind) : kind_(kind), began_(::time(nullptr) * 1000000000LL - 1000000000LL) {
    mnt_ = scratch_.dir("mnt");
    for (const char* name : {"one", "two"}) {
        disks_.push_back(
            std::make_unique<LoopFs>("ext4", scratch_.path(), name, kMib, std::vector<std::string>{"-N", "200000"}));
    }
    if (kind == Kind::pool) {
        for (const auto& disk : disks_) branches_.push_back(disk->dir("branch"));
        return;
    }
    for (const char* name : {"lower", "lower2"}) branches_.push_back(disks_[0]->dir(name));
    branches_.push_back(disks_[1]->dir("upper"));
    work_ = disks_[1]->dir("work");
}

Ground::~Ground() {
    unmount();
}

void Ground::make_tree(const std::string& name) const {
    std::vector<std::string> parts;
    for (const std::string& branch : branches_) parts.push_back(branch + "/" + name);
    make_first_part(parts[0]);
    make_second_part(parts[1]);
    make_own_part(parts.back());
    const std::string& with_w = kind_ == Kind::layers ? parts[0] : parts[1];
    make_dirs(with_w + "/w");
    put(with_w + "/w", "w");
    if (kind_ == Kind::pool) {
        make_dirs(parts[1] + "/e");
        for (const std::string& part : parts) put(part, "twin");
    }
    for (const std::string& part : parts) ::nftw(part.c_str(), make_old, 16, FTW_PHYS | FTW_DEPTH);
}

void Ground::mount(const std::string& options) {
    std::string all = options;
    const auto add = [&](const std::string& word) { all += (all.empty() ? "" : ",") + word; };
    if (kind_ == Kind::layers) {
        add("lowerdir=" + branches_[0] + ":" + branches_[1] + ",upperdir=" + branches_[2] + ",workdir=" + work_);
        mount_.emplace(all, "", mnt_);
    } else {
        add("minfreespace=0");
        mount_.emplace(all, branches_[0] + ":" + branches_[1], mnt_);
    }
}

void Ground::unmount() {
    mount_.reset();
}

void Ground::clean_up_after_kill() {
    const pid_t pid = mount_->pid();
    REQUIRE(eventually([&] { return !is_alive(pid); }));
    OK(::umount2(mnt_.c_str(), MNT_DETACH));
    mount_.reset();
}

void Ground::settle() const {
    for (const auto& disk : disks_) OK(::syncfs(open_file(disk->path(), O_RDONLY | O_DIRECTORY).get()));
}

std::unique_ptr<Ground> Ground::cut_power() const {
    std::unique_ptr<Ground> later(new Ground(kind_, began_));
    later->mnt_ = later->scratch_.dir("mnt");
    later->branches_ = branches_;
    later->work_ = work_;
    for (std::size_t i = 0; i < disks_.size(); ++i) {
        if (!is_written(i)) continue;
        // The journal is written with this; data that nobody waited for is not.
        const UniqueFd other = open_file(*disks_[i] / "other", O_CREAT | O_RDWR);
        write_fd(other.get(), "x", 0);
        OK(::fsync(other.get()));
        const std::string name = i == 0 ? "one" : "two", &here = later->scratch_.path();
        must_run({"cp", "--sparse=always", "--reflink=auto", disks_[i]->path() + ".img", here + "/" + name + ".img"});
    }
    for (std::size_t i = 0; i < disks_.size(); ++i) {
        if (!is_written(i)) continue;
        const std::string name = i == 0 ? "one" : "two";
        later->disks_.push_back(std::make_unique<LoopFs>(LoopFs::of_image("ext4", later->scratch_.path(), name)));
        const std::string &old_path = disks_[i]->path(), &new_path = later->disks_.back()->path();
        const auto follow = [&](std::string& path) {
            if (path.starts_with(old_path + "/")) path.replace(0, old_path.size(), new_path);
        };
        for (std::string& branch : later->branches_) follow(branch);
        follow(later->work_);
    }
    return later;
}

TreeDigest Ground::look(const std::string& name) const {
    return TreeDigest::of(at(name),
                          {.identity = false, .dir_details = false, .trusted = false, .mtimes = true, .now = began_});
}

std::vector<std::string> Ground::leftovers() const {
    std::vector<std::string> found;
    if (kind_ == Kind::layers) {
        if (exists(work_ + "/work")) found = list_dir(work_ + "/work");
        return found;
    }
    for (const std::string& branch : branches_) {
        for (const std::string& name : list_dir(branch)) {
            if (!name.starts_with(".plyfs.")) continue;
            for (const std::string& left : list_dir(branch + "/" + name)) found.push_back(name + "/" + left);
        }
    }
    const auto seconds = files_below(branches_[1]);
    for (const std::string& file : files_below(branches_[0])) {
        if (seconds.contains(file) && !file.ends_with("/twin")) found.push_back("two of " + file);
    }
    return found;
}

void Ground::note_read_only() {
    read_only_.clear();
    if (kind_ == Kind::pool) return;
    for (int i = 0; i < 2; ++i) read_only_.push_back(TreeDigest::of(branches_[static_cast<std::size_t>(i)]));
}

std::string Ground::read_only_changes() const {
    std::string text;
    for (std::size_t i = 0; i < read_only_.size(); ++i) text += read_only_[i].difference(TreeDigest::of(branches_[i]));
    return text;
}

}  // namespace plyfs::test
