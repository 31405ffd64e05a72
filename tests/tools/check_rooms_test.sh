#!/bin/bash
# check_rooms_test.sh CHECK: the check finds each kind of fault, and only those, in a made-up tree.
set -u
check=${1:?usage: check_rooms_test.sh CHECK}
tree=$(mktemp -d) || exit 2
trap 'rm -rf "$tree"' EXIT
failed=0

put() {
    mkdir -p "$tree/$(dirname "$1")"
    printf '%s\n' "${@:2}" >"$tree/$1"
}

# expect NAME FILE FAULT LINE...: with the lines in the file, the check's output has the fault; empty: it has none.
expect() {
    local name=$1 file=$2 fault=$3 output
    put "$file" "${@:4}"
    output=$("$check" "$tree")
    local status=$?
    rm -f "$tree/$file"
    if [ -z "$fault" ] && [ $status -ne 0 ]; then
        echo "$name: should be in order, but: $output"
        failed=1
    elif [ -n "$fault" ] && { [ $status -eq 0 ] || [[ $output != *"$fault"* ]]; }; then
        echo "$name: should say '$fault', but: $output"
        failed=1
    fi
}

mkdir -p "$tree/src" "$tree/tests"
expect "left" src/node/a.cpp "" '#include "overlay/x.h"' '#include "node/y.h"' '#include <vector>'
expect "right" src/sys/a.cpp "src/sys/a.cpp:2: room sys must not include branch/x.h" '' '#include "branch/x.h"'
expect "plain structs" src/branch/a.h "" '#include "config/config.h"'
expect "the rest of config" src/ops/a.h "room ops must not include config/yaml.h" '#include "config/yaml.h"'
expect "config below branch" src/sys/a.h "room sys must not include config/config.h" '#include "config/config.h"'
expect "config for app" src/app/a.cpp "" '#include "config/options.h"' '#include "control/x.h"' '#include "fuse/x.h"'
expect "control for fuse" src/fuse/a.cpp "" '#include "control/x.h"'
expect "fuse for control" src/control/a.cpp "room control must not include fuse/x.h" '#include "fuse/x.h"'
expect "config's own" src/config/a.cpp "" '#include "sys/open.h"' '#include <boost/filesystem.hpp>'
expect "no room" src/misc/a.cpp "misc is not a room" 'int a;'
expect "without room" src/node/a.cpp "include \"x.h\" by its room" '#include "x.h"'
expect "fuse" src/ops/a.cpp "<fuse3/fuse_lowlevel.h> only in fuse/" '#include <fuse3/fuse_lowlevel.h>'
expect "fuse at home" src/fuse/a.cpp "" '#include <fuse_lowlevel.h>'
expect "yaml" src/config/a.cpp "only in config/yaml.cpp" '#include <yaml-cpp/yaml.h>'
expect "spdlog" src/app/a.cpp "only in base/log." '#include <spdlog/spdlog.h>'
expect "boost" src/branch/a.cpp "only in config/ and app/" '#include <boost/filesystem.hpp>'
expect "std filesystem" src/app/a.cpp "<filesystem> nowhere" '#include <filesystem>'
expect "raw call" src/overlay/a.cpp "file-system call outside sys/" 'int f() { return openat(1, "x", 0); }'
expect "global call" src/node/a.cpp "src/node/a.cpp:1: file-system call" 'int f() { return ::rename("a", "b"); }'
expect "numbered call" src/node/a.cpp "file-system call" 'long f() { return ::syscall(SYS_openat2, 1); }'
expect "xattr call" src/ops/a.cpp "file-system call" 'auto n = fgetxattr(fd, "user.a", nullptr, 0);'
expect "at home" src/sys/a.cpp "" 'int f() { return ::openat(1, "x", 0); }'
expect "own names" src/ops/a.cpp "" 'auto a = sys::rename(x);' 'a.open();' 'b->statx();' 'Status rename(int);' \
    'auto c = Class::open(x);' 'int open(int);' '// openat(1)' 'log("openat(%d)", 1);'
expect "the one close" src/base/fd.h "" 'void reset() { ::close(fd_); }'
expect "another close" src/node/a.cpp "file-system call" 'void reset() { ::close(fd_); }'
mapfile -t long < <(yes '//' | head -501)
expect "length" src/node/a.cpp "longer than 500 lines" "${long[@]}"
expect "a test's length" tests/a.cpp "longer than 500 lines" "${long[@]}"
expect "just not too long" tests/a.cpp "" "${long[@]:1}"
expect "semicolon" tests/unit/a.cpp "semicolon in the name of a test" 'TEST_CASE("a; b") {}'
expect "semicolon on the next line" tests/unit/a.cpp "semicolon" 'TEST_CASE_FIXTURE(X,' '    "a; b") {}'
expect "semicolon elsewhere" tests/unit/a.cpp "" 'TEST_CASE("a") { f("x;y"); }'
[ $failed -eq 0 ] && echo "the check finds what it should"
exit $failed
