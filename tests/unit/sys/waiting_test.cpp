#include "sys/waiting.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "scratch.h"
#include "sys/open.h"

using namespace plyfs;

namespace {

// A thread that begins something it does not come back from for now.
class Sleeper {
  public:
    template <typename Sleep>
    explicit Sleeper(Sleep sleep)
        : thread_([this, sleep] {
              id_ = ::gettid();
              sleep();
          }) {}
    ~Sleeper() { thread_.join(); }
    // What is said of it once that is `wanted`; else after a while whatever it is.
    template <typename Wanted>
    sys::Waiting waits(Wanted wanted) {
        sys::Waiting last;
        for (int i = 0; i < 500; ++i) {
            const auto now = id_ ? sys::find_waiting(id_) : Errno(ESRCH);
            if (now) last = *now;
            if (now && wanted(last)) break;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return last;
    }

  private:
    std::atomic<pid_t> id_{0};
    std::thread thread_;
};

}  // namespace

TEST_CASE("waiting: a thread in a call on a descriptor waits for what that lies on") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    UniqueFd reader(ends[0]), writer(ends[1]);
    const auto mount = sys::mount_of(reader);
    REQUIRE(mount);
    Sleeper sleeper([&] {
        char byte;
        CHECK(::read(reader.get(), &byte, 1) == 1);
    });
    const auto waiting = sleeper.waits([](const sys::Waiting& now) { return !now.mounts.empty(); });
    CHECK_FALSE(waiting.for_a_thread);
    CHECK(waiting.mounts == std::vector<std::uint64_t>{*mount});
    CHECK(::write(writer.get(), "x", 1) == 1);
}

TEST_CASE("waiting: a path through a descriptor is one of what that lies on") {
    const test::ScratchDir scratch;
    // Nobody has the other end of it: an open waits.
    REQUIRE(::mkfifo((scratch / "fifo").c_str(), 0600) == 0);
    const UniqueFd fifo = test::open_or_fail(scratch / "fifo", O_PATH);
    const sys::ProcPath path(fifo);
    Sleeper sleeper([&] { UniqueFd opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); });
    const auto waiting = sleeper.waits([](const sys::Waiting& now) { return !now.mounts.empty(); });
    CHECK(waiting.mounts == std::vector<std::uint64_t>{*sys::mount_of(fifo)});
    UniqueFd writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    CHECK(writer.valid());
}

TEST_CASE("waiting: a thread that waits for another says so") {
    std::mutex held;
    std::unique_lock hold(held);
    Sleeper sleeper([&] { const std::lock_guard lock(held); });
    CHECK(sleeper.waits([](const sys::Waiting& now) { return now.for_a_thread; }).for_a_thread);
    hold.unlock();
}
