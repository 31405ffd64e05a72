#include "fuse/executor.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>

using namespace plyfs;
using fuse::Executor;

namespace {

void wait_until(const std::atomic<int>& value, int wanted) {
    while (value < wanted) std::this_thread::yield();
}

}  // namespace

TEST_CASE("executor: everything posted is done before it ends") {
    std::atomic<int> done{0};
    {
        Executor executor(4);
        for (int i = 0; i < 5000; ++i) executor.post([&] { ++done; });
    }
    CHECK(done == 5000);
}

TEST_CASE("executor: nothing posted, nothing to wait for") {
    Executor executor(4);
}

TEST_CASE("executor: work that waits for other work gets its threads, up to the limit") {
    constexpr int kThreads = 6;
    std::atomic<int> running{0}, after{0};
    {
        Executor executor(kThreads);
        std::atomic<bool> go{false};
        // Each waits until all of them run: only with a thread each.
        for (int i = 0; i < kThreads; ++i) {
            executor.post([&] {
                ++running;
                wait_until(running, kThreads);
            });
        }
        wait_until(running, kThreads);
        for (int i = 0; i < 20; ++i) {
            executor.post([&] {
                while (!go) std::this_thread::yield();
                ++after;
            });
        }
        CHECK(after == 0);
        go = true;
    }
    CHECK(after == 20);
}

TEST_CASE("executor: never more threads than allowed") {
    std::atomic<int> now{0}, most{0};
    {
        Executor executor(3);
        for (int i = 0; i < 300; ++i) {
            executor.post([&] {
                const int count = ++now;
                int seen = most;
                while (count > seen && !most.compare_exchange_weak(seen, count)) {
                }
                std::this_thread::yield();
                --now;
            });
        }
    }
    CHECK(most <= 3);
    CHECK(most >= 1);
}

TEST_CASE("executor: an idle thread takes new work") {
    std::atomic<int> done{0};
    std::set<std::thread::id> threads;
    Executor executor(64);
    for (int i = 1; i <= 50; ++i) {
        executor.post([&] {
            threads.insert(std::this_thread::get_id());
            ++done;
        });
        wait_until(done, i);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    CHECK(done == 50);
    CHECK(threads.size() < 25);  // not one thread a piece of work
}

TEST_CASE("executor: posting from many threads and from work itself") {
    std::atomic<int> done{0};
    {
        Executor executor(4);
        std::vector<std::thread> posters;
        for (int t = 0; t < 4; ++t) {
            posters.emplace_back([&] {
                for (int i = 0; i < 500; ++i) executor.post([&] { executor.post([&] { ++done; }); });
            });
        }
        for (auto& poster : posters) poster.join();
        wait_until(done, 2000);
    }
    CHECK(done == 2000);
}

TEST_CASE("executor: when all threads wait and nothing is done there are more than the limit says") {
    std::atomic<int> waiting{0}, done{0};
    std::atomic<bool> go{false};
    {
        Executor executor(2);
        for (int i = 0; i < 2; ++i) {
            executor.post([&] {
                ++waiting;
                while (!go) std::this_thread::yield();
            });
        }
        wait_until(waiting, 2);
        for (int i = 0; i < 3; ++i) executor.post([&] { ++done; });
        executor.relieve();
        executor.relieve();
        wait_until(done, 3);
        go = true;
    }
    CHECK(done == 3);
}

TEST_CASE("executor: at a limit of processes the work is done all the same") {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        // The limit does not hold for root.
        const rlimit none = {0, 0};
        if (::setrlimit(RLIMIT_NPROC, &none) != 0 || ::setresuid(65534, 65534, 65534) != 0) ::_exit(2);
        std::atomic<int> done{0};
        {
            Executor executor(4);
            for (int i = 0; i < 10; ++i) executor.post([&] { ++done; });
        }
        ::_exit(done == 10 ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("executor: work posted by work while it ends is done as well") {
    for (int round = 0; round < 200; ++round) {
        std::atomic<int> done{0};
        {
            Executor executor(4);
            for (int i = 0; i < 10; ++i) {
                executor.post([&] {
                    std::this_thread::yield();
                    executor.post([&] { ++done; });
                });
            }
        }
        CHECK(done == 10);
    }
}
