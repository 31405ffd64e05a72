// Assertions for system calls, and skipping. OK and FAILS say the call, errno in words and the line; both end
// the test case when they do not hold. Use them on the test's own thread only: elsewhere count failures and
// check the count.
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

namespace plyfs::test {

// Thrown by skip(); the reporter in main.cpp tells it from a failure.
struct Skipped : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// This machine can not run this test: ends the test case, which ctest then shows as skipped, never as passed.
[[noreturn]] void skip(const std::string& reason);

namespace detail {
void fail_call(const char* call, const std::string& what, const char* file, int line);

template <typename T>
T must(T rc, const char* call, const char* file, int line) {
    if (rc == static_cast<T>(-1)) fail_call(call, "", file, line);
    return rc;
}
void must_fail(long rc, int got, int want, const char* call, const char* file, int line);
}  // namespace detail

// errno's name and words, as in "ENOENT: No such file or directory".
std::string errno_words(int err);
// 0 for a call that succeeded, its errno otherwise.
inline int err_of(long rc) {
    return rc == -1 ? errno : 0;
}

// What fn returns, asked again every few milliseconds until it is true or the time is over.
template <typename F>
bool eventually(F fn, int milliseconds = 3000);
void nap(int milliseconds);

template <typename F>
bool eventually(F fn, int milliseconds) {
    for (int waited = 0; waited < milliseconds; waited += 5) {
        if (fn()) return true;
        nap(5);
    }
    return fn();
}

}  // namespace plyfs::test

// A failure that does not end the test: for destructors.
#define FAILED_CHECK(...) DOCTEST_ADD_FAIL_CHECK_AT(__FILE__, __LINE__, (__VA_ARGS__))
#define OK(...) ::plyfs::test::detail::must(__VA_ARGS__, #__VA_ARGS__, __FILE__, __LINE__)
#define FAILS(want, ...)                                                                                   \
    do {                                                                                                   \
        errno = 0;                                                                                         \
        long fails_rc_ = static_cast<long>(__VA_ARGS__);                                                   \
        int fails_errno_ = errno;                                                                          \
        ::plyfs::test::detail::must_fail(fails_rc_, fails_errno_, want, #__VA_ARGS__, __FILE__, __LINE__); \
    } while (false)
