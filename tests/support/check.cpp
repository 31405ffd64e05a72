#include "support/check.h"

#include <time.h>

#include <cstring>

namespace plyfs::test {

void skip(const std::string& reason) {
    throw Skipped("SKIPPED: " + reason);
}

std::string errno_words(int err) {
    if (err == 0) return "success";
    const char* name = strerrorname_np(err);
    const char* text = strerrordesc_np(err);
    return std::string(name ? name : "errno") + ": " + (text ? text : std::to_string(err));
}

void nap(int milliseconds) {
    timespec t{milliseconds / 1000, (milliseconds % 1000) * 1000000L};
    while (::nanosleep(&t, &t) == -1 && errno == EINTR) {
    }
}

namespace detail {

void fail_call(const char* call, const std::string& what, const char* file, int line) {
    std::string text = std::string(call) + " failed: " + (what.empty() ? errno_words(errno) : what);
    DOCTEST_ADD_FAIL_AT(file, line, text);
}

void must_fail(long rc, int got, int want, const char* call, const char* file, int line) {
    if (rc == -1 && got == want) {
        DOCTEST_CHECK(true);
        return;
    }
    std::string text = std::string(call) + ": wanted " + errno_words(want) + ", got " +
                       (rc == -1 ? errno_words(got) : "success (" + std::to_string(rc) + ")");
    DOCTEST_ADD_FAIL_AT(file, line, text);
}

}  // namespace detail
}  // namespace plyfs::test
