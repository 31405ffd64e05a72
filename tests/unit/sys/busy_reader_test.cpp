#include "sys/busy_reader.h"

#include <fcntl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using plyfs::sys::BusyReader;

namespace {

struct Pipe {
    Pipe() { REQUIRE(::pipe(ends.data()) == 0); }
    ~Pipe() {
        ::close(ends[0]);
        end();
    }
    void put(int messages) const {
        for (int i = 0; i < messages; ++i) CHECK(::write(ends[1], "x", 1) == 1);
    }
    void end() {
        if (ends[1] >= 0) ::close(ends[1]);
        ends[1] = -1;
    }
    std::array<int, 2> ends{};
};

// Threads that read until the end and count.
struct Readers {
    using Serve = std::function<void(int)>;
    Readers(Pipe& pipe, BusyReader& reader, int count, const Serve& serve = {}) : pipe_(pipe) {
        for (int i = 0; i < count; ++i) {
            threads_.emplace_back([this, &reader, serve, fd = pipe.ends[0]] {
                char byte = 0;
                while (reader.read(fd, &byte, 1) == 1) {
                    const int number = ++got;
                    if (serve) serve(number);
                }
            });
        }
    }
    ~Readers() {
        pipe_.end();
        for (auto& thread : threads_) thread.join();
    }
    bool come_to(int wanted, std::chrono::milliseconds most = 5s) const {
        const auto end = std::chrono::steady_clock::now() + most;
        while (got < wanted && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(100us);
        return got >= wanted;
    }
    std::atomic<int> got{0};

  private:
    Pipe& pipe_;
    std::vector<std::thread> threads_;
};

// So long that a machine with other work to do comes to it.
constexpr auto kLong = 20ms;

// One after the other, as a client does: until somebody leads.
bool become_led(const Pipe& pipe, const BusyReader& reader, const Readers& readers) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!reader.is_led() && std::chrono::steady_clock::now() < end) {
        const int before = readers.got;
        pipe.put(1);
        while (readers.got == before) std::this_thread::yield();
    }
    return reader.is_led();
}

}  // namespace

TEST_CASE("busy polling: what is read is what was written, looked out for or waited for, by several threads") {
    for (unsigned processors : {2U, 64U}) {
        Pipe pipe;
        BusyReader reader(100us, processors);
        int wrote = 0;
        Readers readers(pipe, reader, 3);
        for (int i = 0; i < 600; ++i) {
            pipe.put(1);
            ++wrote;
            if (i % 100 == 0) std::this_thread::sleep_for(1ms);
        }
        CHECK(readers.come_to(wrote));
    }
}

TEST_CASE("busy polling: somebody leads while messages come fast, and nobody when they do not") {
    Pipe pipe;
    BusyReader reader(kLong, 2);
    Readers readers(pipe, reader, 3);
    CHECK_FALSE(reader.is_led());
    REQUIRE(become_led(pipe, reader, readers));
    std::this_thread::sleep_for(20 * kLong);
    CHECK_FALSE(reader.is_led());
    const int before = readers.got;
    pipe.put(1);
    CHECK(readers.come_to(before + 1));
}

TEST_CASE("busy polling: a leader that takes long keeps nobody waiting") {
    Pipe pipe;
    BusyReader reader(kLong, 2);
    std::atomic<bool> holds = false;
    std::atomic<bool> held = false;
    Readers readers(pipe, reader, 3, [&](int) {
        if (!holds.load() || held.exchange(true)) return;
        while (holds.load()) std::this_thread::sleep_for(1ms);
    });
    REQUIRE(become_led(pipe, reader, readers));
    const int before = readers.got;
    holds = true;
    pipe.put(1);
    CHECK(readers.come_to(before + 1));
    pipe.put(20);
    CHECK(readers.come_to(before + 21));
    CHECK(held.load());
    holds = false;
}

TEST_CASE("busy polling: nobody leads with one processor, or when it is not wanted") {
    for (const BusyReader& reader : {BusyReader(0us, 8), BusyReader(100us, 1)}) CHECK_FALSE(reader.looks_out());
    CHECK(BusyReader(100us, 2).looks_out());
}

TEST_CASE("busy polling: a descriptor that does not block, left so by who led before, is waited for as any other") {
    Pipe pipe;
    REQUIRE(::fcntl(pipe.ends[0], F_SETFL, O_NONBLOCK) == 0);
    BusyReader reader(100us, 2);
    Readers readers(pipe, reader, 2);
    std::this_thread::sleep_for(20ms);
    CHECK((::fcntl(pipe.ends[0], F_GETFL) & O_NONBLOCK) == 0);
    pipe.put(1);
    CHECK(readers.come_to(1));
}

TEST_CASE("busy polling: threads that wait can be cancelled") {
    Pipe pipe;
    BusyReader reader(100us, 2);
    std::atomic<bool> stop = false;
    std::atomic<int> got = 0;
    struct Asked {
        BusyReader* reader;
        int fd;
        std::atomic<int>* got;
    } asked{&reader, pipe.ends[0], &got};
    const auto read_on = [](void* what) -> void* {
        const auto& to = *static_cast<Asked*>(what);
        char byte = 0;
        while (to.reader->read(to.fd, &byte, 1) == 1) ++*to.got;
        return nullptr;
    };
    std::vector<pthread_t> threads(3);
    for (auto& thread : threads) REQUIRE(::pthread_create(&thread, nullptr, read_on, &asked) == 0);
    std::thread writer([&] {
        while (!stop) {
            const int before = got;
            pipe.put(1);
            for (int i = 0; i < 1000 && got == before; ++i) std::this_thread::yield();
        }
    });
    std::this_thread::sleep_for(50ms);
    stop = true;
    writer.join();
    for (const auto& thread : threads) CHECK(::pthread_cancel(thread) == 0);
    for (const auto& thread : threads) CHECK(::pthread_join(thread, nullptr) == 0);
}
