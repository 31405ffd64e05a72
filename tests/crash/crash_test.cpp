// The daemon is killed, or the power is cut, at the calls that an operation makes (support/gate.h). The next mount
// shows the operation done or not done, never anything between, in a pool for each name (a file that was about to be
// renamed over one on another branch may have both names then); no file's content is lost;
// what was said to be done is done; nothing that was being prepared is left. A power cut is a copy of the disk's image
// in that moment, whose journal is replayed.
//
// In ctest some calls of each operation, or of some; PLYFS_FAULT_SEED=NUMBER takes others. By hand all, hundreds, in
// half an hour:
//     build/dev/tests/crash/crash_tests --no-skip -tc='every call*'
#include "crash/crashes.h"
#include "support/check.h"
#include "support/sandbox.h"

using namespace plyfs::test;

namespace {

constexpr int kCuts = 6;

// operations: at one call of so many; 0: of each.
void at_one_call(Kind kind, const std::string& options, End end, int operations = 0) {
    set_deadline(280, "crash: " + options);
    Crashes(kind, options, end, {.operations = operations, .calls = 1}).run();
}

// -sc='OPTIONS' for one of them alone.
void at_every_call(Kind kind, const std::string& options, End end) {
    SUBCASE(options.empty() ? "as it is" : options.c_str()) {
        set_deadline(3600, "every call: " + options);
        MESSAGE(std::string(kind == Kind::layers ? "layers: " : "pool: ") << options);
        Crashes(kind, options, end, {}).run();
    }
}

}  // namespace

TEST_CASE("crash: layers and a daemon that is killed") {
    at_one_call(Kind::layers, "", End::kill);
}

TEST_CASE("crash: layers with metacopies and a daemon that is killed") {
    at_one_call(Kind::layers, "metacopy=on", End::kill);
}

TEST_CASE("crash: a pool and a daemon that is killed") {
    at_one_call(Kind::pool, "create=ff", End::kill);
}

// Each copies the image of a disk: of a few operations.
TEST_CASE("crash: layers and a power cut") {
    at_one_call(Kind::layers, "", End::power_cut, kCuts);
}

TEST_CASE("crash: a pool and a power cut") {
    at_one_call(Kind::pool, "create=ff", End::power_cut, kCuts);
}

TEST_CASE("every call: layers and kills" * doctest::skip()) {
    for (const char* options : {"", "metacopy=on", "upper-format=overlay-user", "upper-format=aufs"}) {
        at_every_call(Kind::layers, options, End::kill);
    }
}

TEST_CASE("every call: a pool and kills" * doctest::skip()) {
    for (const char* options : {"create=ff", "create=epmfs"}) at_every_call(Kind::pool, options, End::kill);
}

TEST_CASE("every call: layers and power cuts" * doctest::skip()) {
    for (const char* options : {"", "metacopy=on"}) at_every_call(Kind::layers, options, End::power_cut);
}

TEST_CASE("every call: a pool and power cuts" * doctest::skip()) {
    at_every_call(Kind::pool, "create=ff", End::power_cut);
}
