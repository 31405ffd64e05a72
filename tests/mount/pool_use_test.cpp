// Pools as they are used: by a program that downloads, and by one that sorts what was downloaded into a library.
// tests/real/pool does the same at length, with more disks.
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <system_error>
#include <thread>
#include <vector>

#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"

using namespace plyfs::test;

namespace {

const char* const kSpreading = "mfs";
const char* const kKeepingPaths = "epmfs";

// Three disks of different kinds and sizes.
struct Ground {
    Ground() : mnt(scratch.dir("mnt")) {
        if (is_standin()) skip("about plyfs itself");
        disks.emplace_back("ext4", scratch.path(), "a", 64);
        disks.emplace_back("tmpfs", scratch.path(), "b", 48);
        disks.emplace_back("ext4", scratch.path(), "c", 96);
    }
    std::string branches() const { return disks[0].path() + ":" + disks[1].path() + ":" + disks[2].path(); }
    std::string operator/(const std::string& name) const { return mnt + "/" + name; }
    // "ac": on which disks the name is.
    std::string where(const std::string& name) const {
        std::string out;
        for (const LoopFs& disk : disks) {
            if (exists(disk / name)) out += disk.path().back();
        }
        return out;
    }
    std::unique_ptr<Mount> mount(const std::string& policy) const {
        return std::make_unique<Mount>("minfreespace=0,category.create=" + policy, branches(), mnt);
    }
    Scratch scratch;
    std::vector<LoopFs> disks;
    std::string mnt;
};

// A file that comes in pieces, in any order, and is checked as they come.
class Download {
  public:
    static constexpr std::size_t kPieces = 96, kPiece = 40000;

    explicit Download(const std::string& path) : path_(path), content_(pattern(kPieces * kPiece, 7)), done_(kPieces) {
        UniqueFd fd = open_file(path, O_CREAT | O_EXCL | O_RDWR);
        OK(::fallocate(fd.get(), 0, 0, static_cast<off_t>(content_.size())));
        for (std::size_t i = 0; i < kPieces; ++i) order_.push_back(i);
        std::shuffle(order_.begin(), order_.end(), std::mt19937(11));
    }
    const std::string& content() const { return content_; }
    const std::string& faults() const { return faults_; }

    // Begins all threads; `meanwhile` runs when about half of it is there.
    template <typename F>
    void run(F meanwhile) {
        const UniqueFd fds[] = {open_file(path_, O_RDWR), open_file(path_, O_RDWR), open_file(path_, O_RDONLY)};
        std::thread first([&] { write_pieces(0, fds[0].get()); }), second([&] { write_pieces(1, fds[1].get()); }),
            checker([&] { check_pieces(fds[2].get()); });
        while (written_ < kPieces / 2) nap(1);
        meanwhile();
        go_on_ = true;
        first.join();
        second.join();
        checker.join();
    }

  private:
    void fault(const char* what, std::size_t piece, const std::string& why) {
        const std::lock_guard lock(mutex_);
        faults_ += "piece " + std::to_string(piece) + " not " + what + ": " + why + "\n";
    }
    // What of the piece is not as it was written; empty: nothing.
    std::string difference(int fd, std::size_t piece) const {
        std::string got(kPiece, '\0');
        const ssize_t n = ::pread(fd, got.data(), kPiece, static_cast<off_t>(piece * kPiece));
        if (n < 0) return std::generic_category().message(errno);
        if (n != static_cast<ssize_t>(kPiece)) return std::to_string(n) + " bytes";
        const auto [here, there] =
            std::mismatch(got.begin(), got.end(), content_.begin() + static_cast<off_t>(piece * kPiece));
        return here == got.end() ? "" : "other bytes from " + std::to_string(here - got.begin());
    }
    // Where the daemon reads and writes a pool's file the kernel may be wrong for a moment: plyfs(8), LIMITS.
    void check(int fd, std::size_t piece, const char* what) {
        std::string wrong = difference(fd, piece);
        if (!wrong.empty() && is_unprivileged()) wrong = difference(fd, piece);
        if (!wrong.empty()) fault(what, piece, wrong);
    }
    void write_pieces(std::size_t thread, int fd) {
        for (std::size_t i = thread; i < kPieces; i += 2) {
            while (i > kPieces * 3 / 4 && !go_on_) nap(1);
            const std::size_t piece = order_[i];
            const auto at = static_cast<off_t>(piece * kPiece);
            if (::pwrite(fd, content_.data() + at, kPiece, at) != static_cast<ssize_t>(kPiece))
                fault("written", piece, std::generic_category().message(errno));
            check(fd, piece, "read back");
            done_[piece] = true;
            ++written_;
        }
        if (::fsync(fd) != 0) fault("synced", thread, std::generic_category().message(errno));
    }
    void check_pieces(int fd) {
        for (bool last = false; !last;) {
            last = written_ == kPieces;
            for (std::size_t piece = 0; piece < kPieces; ++piece) {
                if (done_[piece]) check(fd, piece, "read by another");
            }
        }
    }

    const std::string path_, content_;
    std::vector<std::size_t> order_;
    std::vector<std::atomic<bool>> done_;
    std::atomic<std::size_t> written_{0};
    std::mutex mutex_;
    std::string faults_;
    std::atomic<bool> go_on_{false};
};

// What a program does that would rather link: 0, or a copy where that is EXDEV.
void link_or_copy(const std::string& from, const std::string& to) {
    if (::link(from.c_str(), to.c_str()) == 0) return;
    REQUIRE(errno == EXDEV);
    must_run({"cp", "-p", from, to});
}

}  // namespace

TEST_CASE("pool use: a download that is reserved, written in any order and checked, linked and renamed meanwhile") {
    for (const char* policy : {kSpreading, kKeepingPaths}) {
        CAPTURE(policy);
        Ground g;
        for (const LoopFs& disk : g.disks) make_dirs(disk / "library");
        auto mount = g.mount(policy);
        make_dirs(g / "incoming");
        Download download(g / "incoming/film.part");
        const ino_t number = stat_of(g / "incoming/film.part").st_ino;
        const std::string disk = g.where("incoming/film.part");
        CHECK(disk.size() == 1);
        CHECK(stat_of(g / "incoming/film.part").st_blocks * 512 >= static_cast<off_t>(download.content().size()));
        Counter count(g.mnt);
        download.run([&] {
            OK(::link((g / "incoming/film.part").c_str(), (g / "library/film").c_str()));
            OK(::rename((g / "incoming/film.part").c_str(), (g / "incoming/film").c_str()));
        });
        CHECK(download.faults() == "");
        CHECK(count.served() == 0);
        for (int round = 0; round < 2; ++round) {
            for (std::string name : {"incoming/film", "library/film"}) {
                CHECK((read_file(g / name) == download.content()));
                CHECK(stat_of(g / name).st_nlink == 2);
                CHECK(stat_of(g / name).st_ino == stat_of(g / "incoming/film").st_ino);
                CHECK(g.where(name) == disk);
            }
            if (round == 0) CHECK(stat_of(g / "incoming/film").st_ino == number);
            CHECK_FALSE(exists(g / "incoming/film.part"));
            mount.reset();
            mount = g.mount(policy);
        }
        OK(::unlink((g / "incoming/film").c_str()));
        CHECK((read_file(g / "library/film") == download.content()));
        CHECK(stat_of(g / "library/film").st_nlink == 1);
    }
}

TEST_CASE("pool use: episodes are linked and renamed into a library whose directories lie on other disks") {
    for (const char* policy : {kSpreading, kKeepingPaths}) {
        CAPTURE(policy);
        Ground g;
        make_dirs(g.disks[0] / "tv/Show/Season 1");
        make_dirs(g.disks[1] / "tv/Show/Season 2");
        make_dirs(g.disks[2] / "downloads");
        write_file(g.disks[0] / "tv/Show/Season 1/e1", "first");
        write_file(g.disks[1] / "tv/Show/Season 2/e1", "of the second");
        make_dirs(g.disks[1] / "tv/Other");
        auto mount = g.mount(policy);
        for (int i = 2; i < 10; ++i) {
            const std::string dir = "downloads/Show." + std::to_string(i), file = g / dir + "/show.mkv",
                              episode = g / "tv/Show/Season 1/e" + std::to_string(i);
            make_dirs(g / dir);
            write_file(file, pattern(50000, static_cast<unsigned>(i)));
            CHECK(g.where(dir + "/show.mkv") == "c");
            if (i % 2 == 0) {
                link_or_copy(file, episode);
                OK(::unlink(file.c_str()));
                OK(::rmdir((g / dir).c_str()));
            } else {
                must_run({"mv", file, episode});
                must_run({"rm", "-r", g / dir});
            }
            CHECK(stat_of(episode).st_nlink == 1);
        }
        CHECK(list_dir(g / "downloads").empty());
        // A season is renamed that lies on several disks, then moved to where only another disk has the directory.
        must_run({"mv", g / "tv/Show/Season 1", g / "tv/Show/Season 01"});
        must_run({"mv", g / "tv/Show/Season 01", g / "tv/Other/"});
        must_run({"mv", g / "tv/Show/Season 2", g / "tv/Other/Season 02"});
        for (int round = 0; round < 2; ++round) {
            CHECK(list_dir(g / "tv/Show").empty());
            CHECK(list_dir(g / "tv/Other") == std::vector<std::string>{"Season 01", "Season 02"});
            CHECK(list_dir(g / "tv/Other/Season 01").size() == 9);
            CHECK(read_file(g / "tv/Other/Season 01/e1") == "first");
            CHECK(read_file(g / "tv/Other/Season 02/e1") == "of the second");
            for (int i = 2; i < 10; ++i) {
                const std::string episode = "tv/Other/Season 01/e" + std::to_string(i);
                CHECK((read_file(g / episode) == pattern(50000, static_cast<unsigned>(i))));
                CHECK(g.where(episode).size() == 1);
            }
            mount.reset();
            mount = g.mount(policy);
        }
        must_run({"rm", "-r", g / "tv"});
        CHECK(g.where("tv").empty());
    }
}
