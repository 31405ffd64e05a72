#include "mount/io_battery.h"

#include <linux/aio_abi.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#ifdef PLYFS_TEST_LIBURING
#include <liburing.h>
#endif

#include "support/check.h"
#include "support/files.h"

namespace plyfs::test {
namespace {

constexpr std::size_t kPage = 4096;

struct AlignedBuffer {
    explicit AlignedBuffer(const std::string& content)
        : data(static_cast<char*>(std::aligned_alloc(kPage, (content.size() + kPage - 1) / kPage * kPage))),
          size(content.size()) {
        std::memcpy(data.get(), content.data(), size);
    }
    struct Free {
        void operator()(void* p) const { std::free(p); }
    };
    std::unique_ptr<char, Free> data;
    std::size_t size;
};

void by_vectors(int fd) {
    std::string a = pattern(1000, 2), b = pattern(9000, 3), read_a(1000, 0), read_b(9000, 0);
    iovec out[2] = {{a.data(), a.size()}, {b.data(), b.size()}}, in[2] = {{read_a.data(), 1000}, {read_b.data(), 9000}};
    CHECK(OK(::lseek(fd, 777, SEEK_SET)) == 777);
    CHECK(OK(::writev(fd, out, 2)) == 10000);
    CHECK(OK(::lseek(fd, 777, SEEK_SET)) == 777);
    CHECK(OK(::readv(fd, in, 2)) == 10000);
    CHECK((read_a == a && read_b == b));
    iovec tail{a.data(), a.size()};
    CHECK(OK(::pwritev2(fd, &tail, 1, 5000, RWF_DSYNC)) == 1000);
    CHECK(OK(::pwritev2(fd, &tail, 1, 0, RWF_APPEND)) == 1000);
    CHECK(stat_of(fd).st_size == 11777);
    CHECK(read_fd(fd, 10777) == a);
}

void by_pipe(const std::string& path, int fd) {
    int ends[2];
    OK(::pipe2(ends, O_CLOEXEC));
    UniqueFd out(ends[0]), in(ends[1]);
    std::string bytes = pattern(30000, 4);
    CHECK(OK(::write(in.get(), bytes.data(), bytes.size())) == 30000);
    off_t at = 100;
    for (std::size_t left = bytes.size(); left > 0;)
        left -= static_cast<std::size_t>(OK(::splice(out.get(), nullptr, fd, &at, left, SPLICE_F_MOVE)));
    CHECK(read_fd(fd, 100, 30000) == bytes);
    at = 100;
    CHECK(OK(::splice(fd, &at, in.get(), nullptr, 20000, 0)) > 0);
    char first[100];
    CHECK(OK(::read(out.get(), first, sizeof first)) == 100);
    CHECK(std::string(first, 100) == bytes.substr(0, 100));
    UniqueFd copy = open_file(path + ".sent", O_CREAT | O_RDWR | O_TRUNC);
    at = 100;
    for (off_t end = 30100; at < end;)
        REQUIRE(OK(::sendfile(copy.get(), fd, &at, 30100 - at > 0 ? 30100 - 100 : 0)) > 0);
    CHECK(read_fd(copy.get()).substr(0, 30000) == bytes);
    OK(::unlink((path + ".sent").c_str()));
}

void by_mapping(int fd) {
    OK(::ftruncate(fd, 5 * kPage));
    auto* shared = static_cast<char*>(::mmap(nullptr, 5 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    REQUIRE(shared != MAP_FAILED);
    auto* own = static_cast<char*>(::mmap(nullptr, 5 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    REQUIRE(own != MAP_FAILED);
    std::memcpy(shared + 2 * kPage, "stored through a mapping", 24);
    CHECK(read_fd(fd, 2 * kPage, 24) == "stored through a mapping");
    CHECK(std::string(own + 2 * kPage, 24) == "stored through a mapping");
    write_fd(fd, "written", 3 * kPage);
    CHECK(std::string(shared + 3 * kPage, 7) == "written");
    std::string untouched = read_fd(fd, 4 * kPage, 7);
    std::memcpy(own + 4 * kPage, "private", 7);
    CHECK(read_fd(fd, 4 * kPage, 7) == untouched);
    CHECK(::msync(shared, 5 * kPage, MS_SYNC) == 0);
    OK(::munmap(shared, 5 * kPage));
    OK(::munmap(own, 5 * kPage));
}

void by_append(const std::string& path) {
    UniqueFd a = open_file(path, O_WRONLY | O_APPEND), b = open_file(path, O_RDWR);
    off_t size = stat_of(a.get()).st_size;
    for (int i = 0; i < 10; i++) CHECK(OK(::write(a.get(), "0123456789", 10)) == 10);
    OK(::fcntl(b.get(), F_SETFL, O_APPEND));
    OK(::lseek(b.get(), 0, SEEK_SET));
    CHECK(OK(::write(b.get(), "end", 3)) == 3);
    CHECK(stat_of(path).st_size == size + 103);
    CHECK(read_fd(b.get(), size + 90) == "0123456789end");
}

void by_direct_io(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
    if (!fd.valid() && errno == EINVAL) {
        MESSAGE("this branch knows no O_DIRECT");
        return;
    }
    REQUIRE(fd.valid());
    AlignedBuffer buffer(pattern(4 * kPage, 5));
    CHECK(OK(::pwrite(fd.get(), buffer.data.get(), buffer.size, kPage)) == static_cast<ssize_t>(buffer.size));
    std::memset(buffer.data.get(), 0, buffer.size);
    CHECK(OK(::pread(fd.get(), buffer.data.get(), buffer.size, kPage)) == static_cast<ssize_t>(buffer.size));
    CHECK(std::string(buffer.data.get(), buffer.size) == pattern(4 * kPage, 5));
    CHECK(read_fd(open_file(path, O_RDONLY).get(), kPage, 4 * kPage) == pattern(4 * kPage, 5));
    AlignedBuffer aio(pattern(4 * kPage, 6));
    if (write_by_libaio(fd.get(), std::string(aio.data.get(), aio.size), 0))
        CHECK(read_fd(open_file(path, O_RDONLY).get(), 0, 4 * kPage) == pattern(4 * kPage, 6));
}

}  // namespace

bool write_by_libaio(int fd, const std::string& content, off_t at) {
    AlignedBuffer buffer(content);
    aio_context_t context = 0;
    if (::syscall(SYS_io_setup, 8, &context) != 0) {
        MESSAGE("no libaio here: " << errno_words(errno));
        return false;
    }
    iocb block{};
    block.aio_fildes = static_cast<unsigned>(fd);
    block.aio_lio_opcode = IOCB_CMD_PWRITE;
    block.aio_buf = reinterpret_cast<unsigned long long>(buffer.data.get());
    block.aio_nbytes = buffer.size;
    block.aio_offset = at;
    iocb* list[1] = {&block};
    io_event event{};
    CHECK(OK(::syscall(SYS_io_submit, context, 1, list)) == 1);
    CHECK(OK(::syscall(SYS_io_getevents, context, 1, 1, &event, nullptr)) == 1);
    CHECK(event.res == static_cast<long long>(buffer.size));
    ::syscall(SYS_io_destroy, context);
    return true;
}

#ifdef PLYFS_TEST_LIBURING
bool write_by_uring(int fd, const std::string& content, off_t at) {
    io_uring ring{};
    if (int rc = ::io_uring_queue_init(8, &ring, 0); rc < 0) {
        MESSAGE("no io_uring here: " << errno_words(-rc));
        return false;
    }
    std::string back(content.size(), '\0');
    auto one = [&](bool write) {
        io_uring_sqe* entry = ::io_uring_get_sqe(&ring);
        auto size = static_cast<unsigned>(content.size());
        if (write)
            ::io_uring_prep_write(entry, fd, content.data(), size, static_cast<__u64>(at));
        else
            ::io_uring_prep_read(entry, fd, back.data(), size, static_cast<__u64>(at));
        CHECK(::io_uring_submit(&ring) == 1);
        io_uring_cqe* done = nullptr;
        REQUIRE(::io_uring_wait_cqe(&ring, &done) == 0);
        CHECK(done->res == static_cast<int>(size));
        ::io_uring_cqe_seen(&ring, done);
    };
    one(true);
    one(false);
    ::io_uring_queue_exit(&ring);
    CHECK(back == content);
    return true;
}
#else
bool write_by_uring(int, const std::string&, off_t) {
    MESSAGE("built without liburing");
    return false;
}
#endif

void move_bytes_every_way(const std::string& path) {
    CAPTURE(path);
    UniqueFd fd = open_file(path, O_CREAT | O_RDWR | O_TRUNC);
    write_fd(fd.get(), pattern(100), 0);
    CHECK(read_fd(fd.get()) == pattern(100));
    by_vectors(fd.get());
    by_pipe(path, fd.get());
    by_mapping(fd.get());
    by_append(path);
    by_direct_io(path);
    if (write_by_uring(fd.get(), pattern(50000, 11), 123)) CHECK(read_fd(fd.get(), 123, 50000) == pattern(50000, 11));
}

void read_every_way(const std::string& path, const std::string& content) {
    CAPTURE(path);
    UniqueFd fd = open_file(path, O_RDONLY);
    REQUIRE(content.size() > 30000);
    CHECK(read_fd(fd.get()) == content);
    std::string a(1000, 0), b(9000, 0);
    iovec in[2] = {{a.data(), a.size()}, {b.data(), b.size()}};
    CHECK(OK(::preadv(fd.get(), in, 2, 50)) == 10000);
    CHECK(a + b == content.substr(50, 10000));
    for (int kind : {MAP_SHARED, MAP_PRIVATE}) {
        void* map = ::mmap(nullptr, content.size(), PROT_READ, kind, fd.get(), 0);
        REQUIRE(map != MAP_FAILED);
        CHECK(std::memcmp(map, content.data(), content.size()) == 0);
        OK(::munmap(map, content.size()));
    }
    int ends[2];
    OK(::pipe2(ends, O_CLOEXEC));
    UniqueFd out(ends[0]), into(ends[1]);
    off_t at = 10;
    CHECK(OK(::splice(fd.get(), &at, into.get(), nullptr, 1000, 0)) == 1000);
    CHECK(OK(::sendfile(into.get(), fd.get(), &at, 1000)) == 1000);
    CHECK(OK(::read(out.get(), b.data(), 2000)) == 2000);
    CHECK(b.substr(0, 2000) == content.substr(10, 2000));
}

}  // namespace plyfs::test
