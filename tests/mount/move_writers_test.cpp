// Several writers while their file moves, and a daemon that is killed while it does: every byte that was acknowledged
// is there, through the mount, on the branch and after the next mount.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "mount/full_disks.h"

using namespace plyfs::test;

namespace {

constexpr std::size_t kMiB = 1 << 20;
constexpr std::size_t kCell = 24 << 10;  // not a multiple of anybody's extents
constexpr int kWriters = 4;
constexpr int kCells = 100;  // of each writer

// What writer `who` puts into its cell at its round; a cell may be written again.
std::string cell(int who, int number, int round) {
    return pattern(kCell, static_cast<unsigned>(1 + who * 100000 + number * 10 + round));
}
off_t place_of(int who, int number) {
    return static_cast<off_t>((number * kWriters + who) * kCell);
}

// The acknowledged round of each cell, shared with children; 0: none.
struct Acknowledged {
    std::atomic<int> round[kWriters][kCells];
};
struct Shared {
    Shared() {
        void* map = ::mmap(nullptr, sizeof(Acknowledged), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        REQUIRE(map != MAP_FAILED);
        cells = new (map) Acknowledged();
    }
    ~Shared() { ::munmap(cells, sizeof(Acknowledged)); }
    Acknowledged* cells;
};

// Errors end it; what was acknowledged is noted at once.
int write_cells(const std::string& path, int who, Acknowledged& done, int rounds) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return errno;
    std::mt19937 random(static_cast<unsigned>(who));
    for (int round = 1; round <= rounds; ++round) {
        for (int i = 0; i < kCells; ++i) {
            // Not in order, so that the file has holes that others fill.
            const int number = round == 1 ? (i * 37 + who) % kCells : static_cast<int>(random() % kCells);
            const std::string bytes = cell(who, number, round);
            if (const int error = try_write(fd, bytes, place_of(who, number)); error != 0) return error;
            done.round[who][number] = round;
        }
    }
    return ::fsync(fd) == 0 && ::close(fd) == 0 ? 0 : errno;
}

// How many cells are not what was acknowledged; one that was being written may be the next round's.
int lost_cells(const std::string& path, const Acknowledged& done, int rounds) {
    const std::string content = read_file(path);
    int lost = 0;
    for (int who = 0; who < kWriters; ++who) {
        for (int number = 0; number < kCells; ++number) {
            const int round = done.round[who][number];
            if (round == 0) continue;
            const auto at = static_cast<std::size_t>(place_of(who, number));
            const std::string found = content.size() > at ? content.substr(at, kCell) : std::string();
            bool right = false;
            for (int r = round; r <= rounds && !right; ++r) right = found == cell(who, number, r);
            if (!right) ++lost;
        }
    }
    return lost;
}

}  // namespace

TEST_CASE("move: threads and processes that write through descriptors of their own lose no byte") {
    FullDisks disks;
    disks.start();
    constexpr int kRounds = 3;
    Shared shared;
    UniqueFd first = open_file(disks / "f", O_CREAT | O_WRONLY);  // before readers could have it in passthrough
    disks.fill('a', 3 * kMiB);
    std::atomic<bool> writing{true};
    std::atomic<int> short_reads{0}, failed{0};
    std::thread reader([&] {
        UniqueFd fd(::open((disks / "f").c_str(), O_RDONLY | O_CLOEXEC));
        std::string buffer(kCell, '\0');
        for (int i = 0; writing; i = (i + 7) % kCells) {
            const int round = shared.cells->round[1][i];
            if (round == 0) continue;
            const ssize_t n = ::pread(fd.get(), buffer.data(), kCell, place_of(1, i));
            if (n != static_cast<ssize_t>(kCell)) ++short_reads;
        }
    });
    std::thread thread([&] {
        if (write_cells(disks / "f", 0, *shared.cells, kRounds) != 0) ++failed;
    });
    std::thread metadata([&] {
        for (int i = 0; writing; ++i) {
            if (::chmod((disks / "f").c_str(), i % 2 ? 0600 : 0644) != 0) ++failed;
            nap(3);
        }
    });
    {
        Child one([&] { return write_cells(disks / "f", 1, *shared.cells, kRounds); });
        Child two([&] { return write_cells(disks / "f", 2, *shared.cells, kRounds); });
        Child three([&] { return write_cells(disks / "f", 3, *shared.cells, kRounds); });
        CHECK(one.wait() == 0);
        CHECK(two.wait() == 0);
        CHECK(three.wait() == 0);
    }
    thread.join();
    writing = false;
    metadata.join();
    reader.join();
    first.reset();
    CHECK(failed == 0);
    CHECK(short_reads == 0);
    CHECK(disks.moves() == 1);
    CHECK(disks.where("f") == "b");
    CHECK(lost_cells(disks / "f", *shared.cells, kRounds) == 0);
    CHECK(lost_cells(disks.at('b', "f"), *shared.cells, kRounds) == 0);
    disks.start();
    CHECK(lost_cells(disks / "f", *shared.cells, kRounds) == 0);
}

TEST_CASE("move: renamed, linked and removed names while it moves") {
    FullDisks disks;
    disks.start();
    const std::string before = pattern(8 * kMiB, 1);
    for (int round = 0; round < 6; ++round) {
        INFO("round ", round);
        const std::string name = "f" + std::to_string(round), other = "g" + std::to_string(round);
        UniqueFd file = open_file(disks / name, O_CREAT | O_RDWR);
        write_fd(file.get(), before, 0);
        disks.fill('a', kMiB / 2);
        std::atomic<int> error{0};
        std::thread writer([&] { error = try_write(file.get(), before, static_cast<off_t>(before.size())); });
        nap(round * 4);
        if (round % 3 == 0) OK(::rename((disks / name).c_str(), (disks / other).c_str()));
        if (round % 3 == 1) OK(::link((disks / name).c_str(), (disks / other).c_str()));
        if (round % 3 == 2) OK(::unlink((disks / name).c_str()));
        writer.join();
        CHECK(error == 0);
        CHECK((read_fd(file.get()) == before + before));
        if (round % 3 != 2) CHECK((read_file(disks / other) == before + before));
        CHECK(stat_of(file.get()).st_nlink == static_cast<nlink_t>(round % 3 == 0 ? 1 : round % 3 == 1 ? 2 : 0));
        CHECK(disks.where(name).size() == (round % 3 == 1 ? 1 : 0));
        CHECK(disks.where(other).size() == (round % 3 == 2 ? 0 : 1));
        file.reset();
        for (const auto& left : {name, other}) ::unlink((disks / left).c_str());
    }
}

TEST_CASE("move: a daemon that is killed while it moves a file leaves it whole") {
    FullDisks disks;
    for (int round = 0; round < 8; ++round) {
        INFO("round ", round);
        disks.start();
        Shared shared;
        write_file(disks / "f", "");
        disks.fill('a', 2 * kMiB);
        {
            Child one([&] { return write_cells(disks / "f", 0, *shared.cells, 1); });
            Child two([&] { return write_cells(disks / "f", 1, *shared.cells, 1); });
            // While the copy is made, or shortly after: a move shows as soon as the other disk has the directory.
            CHECK(eventually([&] { return exists(disks.at('b', ".plyfs.work")); }, 10000));
            nap(round * 2);
            OK(::kill(disks.mount->pid(), SIGKILL));
            one.wait();
            two.wait();
        }
        OK(::umount2(disks.mnt.c_str(), MNT_DETACH));
        disks.start();
        CHECK(lost_cells(disks / "f", *shared.cells, 1) == 0);
        // What was being prepared goes when something is prepared there again.
        disks.mount.reset();
        for (char disk : {'a', 'b', 'c'}) {
            ::unlink(disks.at(disk, "f").c_str());
            run({"rm", "-rf", disks.at(disk, ".plyfs.work")});
        }
        disks.free('a');
    }
}
