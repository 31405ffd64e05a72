// Which pages of a file the kernel keeps where the daemon reads and writes: none is read twice, and none is out of
// date.
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "support/check.h"
#include "support/files.h"
#include "support/stats.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kPages = 64;

std::string page(char c) {
    return std::string(kPage, c);
}

// Whoever writes a page reads it back, while others read all and ask for the attributes.
class Crowd {
  public:
    explicit Crowd(std::string path) : path_(std::move(path)) { write_file(path_, std::string(kPages * kPage, '0')); }

    long run(std::chrono::milliseconds time) {
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < kWriters; ++i) threads.emplace_back([this, i] { write(i); });
        for (std::size_t i = 0; i < kReaders; ++i) threads.emplace_back([this] { read(); });
        std::this_thread::sleep_for(time);
        stop_ = true;
        for (std::thread& thread : threads) thread.join();
        return wrong_;
    }

  private:
    static constexpr std::size_t kWriters = 3, kReaders = 3;
    void write(std::size_t which) {
        const UniqueFd fd = open_file(path_, O_RDWR);
        std::string got(kPage, '\0');
        for (std::size_t round = 0; !stop_; ++round) {
            const auto at = static_cast<off_t>(((round * 7) % (kPages / kWriters) * kWriters + which) * kPage);
            const std::string text = page(static_cast<char>('a' + round % 26));
            if (::pwrite(fd.get(), text.data(), kPage, at) != static_cast<ssize_t>(kPage)) ++wrong_;
            if (::pread(fd.get(), got.data(), kPage, at) != static_cast<ssize_t>(kPage) || got != text) ++wrong_;
        }
    }
    void read() {
        const UniqueFd fd = open_file(path_, O_RDONLY);
        std::string got(kPage, '\0');
        for (std::size_t round = 0; !stop_; ++round) {
            const auto at = static_cast<off_t>(round * 5 % kPages * kPage);
            if (::pread(fd.get(), got.data(), kPage, at) != static_cast<ssize_t>(kPage)) ++wrong_;
        }
    }

    const std::string path_;
    std::atomic<bool> stop_{false};
    std::atomic<long> wrong_{0};
};

// One write(2) of a whole file, past the page cache and asynchronous.
class DirectWriter {
  public:
    static constexpr std::size_t kSize = 160 * kPage;

    explicit DirectWriter(const std::string& path)
        : fd_(open_file(path, O_RDWR | O_CREAT | O_DIRECT)),
          buffer_(static_cast<char*>(::aligned_alloc(kPage, kSize)), &::free) {
        OK(static_cast<int>(::syscall(SYS_io_setup, 1, &context_)));
    }
    ~DirectWriter() { ::syscall(SYS_io_destroy, context_); }
    void write(char c) {
        std::memset(buffer_.get(), c, kSize);
        iocb one{};
        one.aio_lio_opcode = IOCB_CMD_PWRITE;
        one.aio_fildes = static_cast<std::uint32_t>(fd_.get());
        one.aio_buf = reinterpret_cast<std::uintptr_t>(buffer_.get());
        one.aio_nbytes = kSize;
        iocb* all[] = {&one};
        REQUIRE(::syscall(SYS_io_submit, context_, 1, all) == 1);
        io_event done{};
        REQUIRE(::syscall(SYS_io_getevents, context_, 1, 1, &done, nullptr) == 1);
        REQUIRE(done.res == static_cast<std::int64_t>(kSize));
    }

  private:
    UniqueFd fd_;
    std::unique_ptr<char, decltype(&::free)> buffer_;
    aio_context_t context_ = 0;
};

}  // namespace

TEST_CASE("kept pages: what is written asynchronously past the pages is in none of them before") {
    Layers tree;
    tree.mount("passthrough=off");
    DirectWriter writer(tree / "f");
    writer.write('0');
    std::atomic<bool> stop{false};
    std::vector<std::thread> readers;
    for (int i = 0; i < 2; ++i) {
        readers.emplace_back([&] {
            while (!stop) read_fd(open_file(tree / "f", O_RDONLY).get());
        });
    }
    int wrong = 0;
    for (int round = 0; round < 300; ++round) {
        const char c = static_cast<char>('a' + round % 26);
        writer.write(c);
        if (read_file(tree / "f") != std::string(DirectWriter::kSize, c)) ++wrong;
    }
    stop = true;
    for (std::thread& reader : readers) reader.join();
    CHECK(wrong == 0);
}

TEST_CASE("kept pages: of layers a file that is written and read through the daemon is read from memory") {
    Layers tree;
    write_file(tree.lower2 + "/below", std::string(kPages * kPage, 'o'));
    tree.mount("passthrough=off");
    write_file(tree / "made", std::string(kPages * kPage, 'o'));
    for (std::string name : {"below", "made"}) {
        CAPTURE(name);
        std::string expected(kPages * kPage, 'o');
        const Counter from_the_first(tree.mnt());
        {
            const UniqueFd fd = open_file(tree / name, O_RDWR), other = open_file(tree / name, O_RDONLY);
            CHECK((read_fd(other.get()) == expected));
            const Counter count(tree.mnt());
            for (std::size_t i : {3U, 40U, 11U}) {
                write_fd(fd.get(), page('n'), static_cast<off_t>(i * kPage));
                expected.replace(i * kPage, kPage, page('n'));
                CHECK(stat_of(tree / name).st_size == static_cast<off_t>(expected.size()));
                CHECK((read_fd(other.get()) == expected));
                CHECK((read_file(tree / name) == expected));
            }
            CHECK(count.request("read") == 0);
        }
        // RELEASE comes later than close(2).
        REQUIRE(eventually([&] { return from_the_first.request("release") == from_the_first.request("open"); }));
        const Counter count(tree.mnt());
        CHECK((read_file(tree / name) == expected));
        CHECK(count.request("read") == 0);
        // Nobody has it open: what others wrote is seen.
        expected.replace(0, 5, "other");
        write_fd(open_file(tree.upper + "/" + name, O_WRONLY).get(), "other", 0);
        CHECK((read_file(tree / name) == expected));
    }
}

TEST_CASE("kept pages: of layers whoever writes a page is given it, whatever others read meanwhile") {
    Layers tree;
    tree.mount("passthrough=off");
    CHECK(Crowd(tree / "f").run(std::chrono::milliseconds(1500)) == 0);
}
