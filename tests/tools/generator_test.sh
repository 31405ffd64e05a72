#!/bin/bash
# generator_test.sh PLYFS_GENERATOR SOURCE_DIR: what plyfs-generator makes of an fstab, by the file; and systemd finds no
# fault with that and with plyfs@.service, where it is installed.
set -u
generator=$(realpath "${1:?usage: generator_test.sh PLYFS_GENERATOR SOURCE_DIR}")
source=${2:?usage: generator_test.sh PLYFS_GENERATOR SOURCE_DIR}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
faults=0
fault() {
    echo "$1"
    faults=$((faults + 1))
}

mkdir "$place/early" "$place/late" "$place/units"
cat >"$place/fstab" <<'END'
# disks
/dev/sda1  /plyfs-test/disk1     ext4  defaults         0 2
/dev/sdb1  /plyfs-test/my\040disk  ext4  defaults       0 2
/dev/sdc1  none                  swap  sw               0 0
/plyfs-test/disk1:/plyfs-test/my\040disk=ro  /plyfs-test/the\040pool  plyfs  nofail  0 0
/plyfs-test/disk*  /plyfs-test/some  fuse.plyfs  branches-missing=degraded,nofail  0 0
/plyfs-test/disk1=XX  /plyfs-test/wrong  plyfs  defaults  0 0
END
SYSTEMD_FSTAB=$place/fstab "$generator" "$place/units" "$place/early" "$place/late" 2>"$place/said" ||
    fault "the generator failed: $(cat "$place/said")"
grep -q '/plyfs-test/wrong: .*XX' "$place/said" || fault "nothing said of the wrong line: $(cat "$place/said")"

pool=$place/units/'plyfs\x2dtest-the\x20pool.mount.d/50-plyfs-branches.conf'
grep -qxF 'RequiresMountsFor="/plyfs-test/disk1"' "$pool" || fault "the first branch is not in the pool's drop-in"
grep -qxF 'RequiresMountsFor="/plyfs-test/my disk"' "$pool" || fault "the second branch is not in the pool's drop-in"
some=$place/units/'plyfs\x2dtest-some.mount.d/50-plyfs-branches.conf'
grep -qxF 'After=plyfs\x2dtest-disk1.mount' "$some" || fault "the disk that fits the pattern is not in its drop-in"
! grep -q RequiresMountsFor "$some" || fault "a pool that may lack branches requires them"
[ "$(find "$place/units" -type f | grep -cvE 'pool|some')" -eq 0 ] || fault "there are drop-ins of other units"
[ -z "$(find "$place/early" "$place/late" -type f)" ] || fault "files in folders that are not ours"

if command -v systemd-escape >/dev/null; then
    [ "$(systemd-escape --path --suffix=mount '/plyfs-test/the pool')" = 'plyfs\x2dtest-the\x20pool.mount' ] ||
        fault "systemd names units otherwise"
fi
if command -v systemd-analyze >/dev/null; then
    for name in 'plyfs\x2dtest-the\x20pool' 'plyfs\x2dtest-some'; do
        where=$(systemd-escape --path --unescape "$name")
        printf '[Mount]\nWhat=plyfs\nWhere=%s\nType=plyfs\n' "$where" >"$place/units/$name.mount"
    done
    sed 's|@program@|/bin/true|; s|@control@|/bin/true|' "$source/packaging/systemd/plyfs@.service.in" >"$place/units/plyfs@.service"
    mkdir "$place/units/plyfs@pool.service.d"
    printf '[Unit]\nRequiresMountsFor="/plyfs-test/disk1"\n' >"$place/units/plyfs@pool.service.d/50-plyfs-branches.conf"
    (cd "$place/units" && SYSTEMD_UNIT_PATH="$place/units:" systemd-analyze verify --man=no ./*.mount plyfs@pool.service) \
        >"$place/said" 2>&1
    ! grep -iE 'plyfs' "$place/said" || fault "systemd-analyze complains"
fi
[ "$faults" -eq 0 ] && echo "mounts come after their branches"
[ "$faults" -eq 0 ]
