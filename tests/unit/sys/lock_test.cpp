#include "sys/lock.h"

#include <fcntl.h>

#include <atomic>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "scratch.h"

using namespace plyfs;

TEST_CASE(
    "writers: told while somebody has the file open for writing, and who opens it meanwhile does not end the process") {
    test::ScratchDir scratch;
    const std::string path = scratch / "file";
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(file.valid());
    CHECK_FALSE(*sys::has_writers(file));
    {
        const UniqueFd writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
        CHECK(*sys::has_writers(file));
    }
    CHECK_FALSE(*sys::has_writers(file));
    std::atomic<bool> stop{false};
    std::thread opener([&] {
        while (!stop) UniqueFd(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)).reset();
    });
    for (int i = 0; i < 20000; ++i) {
        if (!sys::has_writers(file)) FAIL_CHECK("it can not be told");
    }
    stop = true;
    opener.join();
}
