#!/bin/bash
# packages_test.sh SOURCE_DIR: what the packages are made of agrees with the tree, as far as the tools are here: the version is
# CMake's, rpm and apparmor understand their files.
set -u
cd "${1:?usage: packages_test.sh SOURCE_DIR}" || exit 2
faults=0
fault() {
    echo "$1"
    faults=$((faults + 1))
}
version=$(sed -n 's/^project(plyfs VERSION \([0-9.]*\) .*/\1/p' CMakeLists.txt)
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fault "packaging finds no version in CMakeLists.txt"

if command -v rpmspec >/dev/null; then
    said=$(rpmspec -P packaging/plyfs.spec 2>&1) || fault "rpmspec: $said"
    grep -qE "^Version: +${version//./\\.}\$" <<<"$said" || fault "the RPM's version is not $version"
else
    echo "no rpmspec here: plyfs.spec is not tried"
fi
if command -v apparmor_parser >/dev/null; then
    # The kernel is not asked; what is included must be there.
    said=$(apparmor_parser --skip-kernel-load --skip-cache --debug packaging/apparmor/usr.bin.plyfs 2>&1) ||
        fault "apparmor_parser: $said"
else
    echo "no apparmor_parser here: the profile is not tried"
fi
[ "$faults" -eq 0 ] && echo "the packages' files agree with the tree"
[ "$faults" -eq 0 ]
