# Sourced by the scripts beside it. Each runs in mount and process namespaces of its own, with its files in one folder
# that is removed at the end: no mount, process or loop device outlives it. They need root and a built plyfs.
# shellcheck shell=bash disable=SC2034
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=../../packaging/common.bash
. "$here/../../packaging/common.bash"

# The program under test: PLYFS, else the newest of this tree's builds.
plyfs_program() {
  if [[ -n ${PLYFS:-} ]]; then
    [[ -f $PLYFS && -x $PLYFS ]] || fail "PLYFS=$PLYFS: no program there; name a built plyfs"
    realpath "$PLYFS"
    return
  fi
  local newest
  # shellcheck disable=SC2012
  newest=$(ls -t "$top"/build/*/src/app/plyfs 2>/dev/null | head -n 1)
  [[ -n $newest ]] || fail "no built plyfs in build/; build it, or name it: PLYFS=PROGRAM $0"
  printf '%s\n' "$newest"
}

need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || skip "no $tool here"
  done
}
skip() {
  printf '%s: SKIPPED: %s\n' "$me" "$*"
  exit 77
}

# in_own_world "$@": the script starts itself again in namespaces of its own, with $scratch set; returns there only.
in_own_world() {
  if [[ ${1:-} == --inside ]]; then
    scratch=$2
    return
  fi
  ((EUID == 0)) || skip "mounting needs root"
  [[ -c /dev/fuse ]] || skip "no /dev/fuse here"
  scratch=$(mktemp -d "${PLYFS_TEST_TMP:-${TMPDIR:-/tmp}}/plyfs-real.XXXXXX")
  chmod 755 "$scratch"
  local status=0
  "${own_world[@]}" "$0" --inside "$scratch" "$@" || status=$?
  detach_loops "$scratch"
  rm -rf --one-file-system "$scratch"
  exit "$status"
}

# loop_disk NAME MIB [KIND]: an ext4, xfs or btrfs of its own, mounted on $scratch/NAME.
loop_disk() {
  local kind=${3:-ext4} words=(-q -f)
  [[ $kind != ext4 ]] || words=(-q -F -b 4096 -m 0)
  truncate -s "$2M" "$scratch/$1.img"
  "mkfs.$kind" "${words[@]}" "$scratch/$1.img" >/dev/null
  mkdir "$scratch/$1"
  mount -o loop "$scratch/$1.img" "$scratch/$1"
}

# One line for each object below FOLDER: what it is, and of files a hash. Two of them are compared with diff. What is
# unpacked by another program at another time differs only in what is left out here: inode numbers and ctimes.
digest() {
  (
    cd "$1" || exit
    find . -xdev ! -type d -printf '%p %y %m %U:%G %s %T@ %n %l\n' -o -type d -printf '%p %y %m %U:%G\n' | LC_ALL=C sort
    find . -xdev -type f -print0 | LC_ALL=C sort -z | xargs -0 --no-run-if-empty sha256sum
  )
}
# The same with ctimes: nobody touched it.
digest_strict() {
  (cd "$1" && find . -xdev -printf '%p %C@ %T@ %i %n\n' | LC_ALL=C sort)
  digest "$1"
}

# same FIRST SECOND WHAT: two digest files are equal, or the script fails with the first lines that differ.
same() {
  diff "$1" "$2" >"$scratch/diff" && return
  head -n 20 "$scratch/diff" >&2
  fail "$3"
}

stat_of() { getfattr --absolute-names --only-values -n user.plyfs.stats "$1" | sed -n "s/^$2 //p"; }

# Unmounts MOUNTPOINT and waits for its daemon, which must end.
end_mount() {
  local pid
  pid=$(stat_of "$1" pid)
  umount "$1"
  for _ in {1..100}; do
    [[ -e /proc/$pid ]] || return 0
    sleep 0.05
  done
  fail "the daemon $pid still runs after umount $1"
}

# served MOUNTPOINT: how many reads and writes the daemon had to serve itself; where all passes through, none.
expect_passthrough() {
  local served
  served=$(($(stat_of "$1" requests.read) + $(stat_of "$1" requests.write)))
  say "$(stat_of "$1" opens.passthrough) opens passed through, $(stat_of "$1" copyups) copy-ups, $(stat_of "$1" splits) splits, daemon served $served reads and writes"
  ((served == 0)) || fail "the daemon served $served reads and writes"
}
