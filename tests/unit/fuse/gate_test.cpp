#include "fuse/gate.h"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

using namespace plyfs::fuse;

TEST_CASE("gate: closed, it lets nobody in until it is opened, and who is inside leaves") {
    Gate gate;
    CHECK(gate.is_empty());
    gate.enter();
    CHECK_FALSE(gate.is_empty());
    gate.close();
    gate.leave();
    gate.leave();  // once is enough
    CHECK(gate.is_empty());
    std::atomic<bool> in{false};
    std::thread other([&] {
        gate.enter();
        in = true;
        gate.leave();
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK_FALSE(in);
    CHECK(gate.is_empty());
    gate.open();
    other.join();
    CHECK(in);
    CHECK(gate.is_empty());
}

TEST_CASE("gate: a thread that ends inside is inside no longer") {
    Gate gate;
    std::thread([&] { gate.enter(); }).join();
    CHECK(gate.is_empty());
}

TEST_CASE("gate: nobody is inside once it was closed and found empty, however many come") {
    Gate gate;
    std::atomic<bool> closed{false}, stop{false};
    std::atomic<int> inside{0}, wrong{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            while (!stop) {
                gate.enter();
                ++inside;
                if (closed) ++wrong;
                --inside;
                gate.leave();
            }
        });
    }
    for (int round = 0; round < 200; ++round) {
        gate.close();
        while (!gate.is_empty()) std::this_thread::yield();
        closed = true;
        if (inside != 0) ++wrong;
        std::this_thread::yield();
        closed = false;
        gate.open();
    }
    stop = true;
    gate.open();
    for (auto& thread : threads) thread.join();
    CHECK(wrong == 0);
}
