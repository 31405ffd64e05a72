#include "sys/busy_reader.h"

#include <unistd.h>

#include <array>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using plyfs::sys::BusyReader;
using plyfs::sys::PollWindow;

TEST_CASE(
    "busy polling: the window grows while requests come within its bound, and shrinks to nothing when they do not") {
    PollWindow window(100us);
    CHECK(window.now() == 0us);
    window.note(50us);
    CHECK(window.now() == 10us);
    for (int i = 0; i < 10; ++i) window.note(50us);
    CHECK(window.now() == 100us);
    window.note(1ms);
    CHECK(window.now() == 50us);
    for (int i = 0; i < 10; ++i) window.note(1ms);
    CHECK(window.now() == 0us);
    CHECK(window.now() <= window.most());
}

TEST_CASE("busy polling: what is read is what was written, polled for or waited for, by several threads") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    constexpr int kReaders = 3;
    constexpr int kEach = 200;
    BusyReader reader(100us);
    std::array<int, kReaders> got{};
    std::vector<std::thread> threads;
    for (int i = 0; i < kReaders; ++i) {
        threads.emplace_back([&, i] {
            char byte = 0;
            while (reader.read(ends[0], &byte, 1) == 1) ++got[static_cast<std::size_t>(i)];
        });
    }
    for (int i = 0; i < kReaders * kEach; ++i) {
        CHECK(::write(ends[1], "x", 1) == 1);
        if (i % 100 == 0) std::this_thread::sleep_for(1ms);
    }
    ::close(ends[1]);
    for (auto& thread : threads) thread.join();
    ::close(ends[0]);
    int all = 0;
    for (int each : got) all += each;
    CHECK(all == kReaders * kEach);
}
