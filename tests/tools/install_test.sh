#!/bin/bash
# install_test.sh BUILD_DIR: what `cmake --install` lays down, for /usr, /usr/local and another prefix, into a folder of ours.
set -u
build=${1:?usage: install_test.sh BUILD_DIR}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
faults=0
fault() {
    echo "$1"
    faults=$((faults + 1))
}

expect_file() { [ -s "$place$1" ] || fault "not installed: $1"; }
# A link that leads to the program below the same folder.
expect_link() {
    [ -L "$place$1" ] && [ "$(realpath -m "$place$1")" = "$place$2" ] || fault "$1 does not lead to $2"
}

for prefix in /usr /usr/local /opt/plyfs; do
    rm -rf "${place:?}"/*
    DESTDIR=$place cmake --install "$build" --prefix "$prefix" >"$place.log" 2>&1 || {
        cat "$place.log"
        rm -f "$place.log"
        exit 1
    }
    sbin=$prefix/sbin
    [ "$prefix" != /usr/local ] || sbin=/usr/sbin
    [ "$prefix" != /opt/plyfs ] || grep -q 'ln -s /opt/plyfs/bin/plyfs /sbin/mount.plyfs' "$place.log" ||
        fault "$prefix: nothing said of where mount(8) looks"
    rm -f "$place.log"
    expect_file "$prefix/bin/plyfs"
    expect_file "$prefix/bin/plyctl"
    expect_link "$sbin/mount.plyfs" "$prefix/bin/plyfs"
    expect_link "$sbin/mount.fuse.plyfs" "$prefix/bin/plyfs"
    expect_link "$prefix/libexec/plyfs/fuse-overlayfs" "$prefix/bin/plyfs"
    expect_link "$prefix/share/man/man8/mount.fuse.plyfs.8" "$prefix/share/man/man8/mount.plyfs.8"
    for file in share/man/man1/plyctl.1 share/man/man8/plyfs.8 share/man/man8/mount.plyfs.8 share/man/man5/plyfs.yaml.5 \
        share/doc/plyfs/examples/pool.yaml share/bash-completion/completions/plyfs share/zsh/site-functions/_plyfs \
        share/fish/vendor_completions.d/plyfs.fish lib/systemd/system-generators/plyfs-generator \
        lib/systemd/system/plyfs@.service lib/tmpfiles.d/plyfs-io_uring.conf; do
        expect_file "$prefix/$file"
    done
    grep -q "^ExecStart=$prefix/bin/plyfs " "$place$prefix/lib/systemd/system/plyfs@.service" ||
        fault "$prefix: the unit starts another program"
    grep -q "^ExecReload=$prefix/bin/plyctl reload --pid=" "$place$prefix/lib/systemd/system/plyfs@.service" ||
        fault "$prefix: the unit is reloaded by another program"
done
[ "$faults" -eq 0 ] && echo "everything is where it belongs"
[ "$faults" -eq 0 ]
