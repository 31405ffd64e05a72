# Sourced by packaging/bench: what is measured, each with folders of its own on the image's file system: us as layers and as
# a pool, libfuse's passthrough_hp, the kernel's overlayfs, mergerfs and fuse-overlayfs.
# shellcheck shell=bash disable=SC2034,SC2154

# The folders of a section's targets, and what each is mounted on: $work/SECTION/TARGET, from $work/disk/SECTION/.
make_folders() {
  local from=$work/disk/$1 at=$work/$1
  mkdir -p "$from"/{lower,upper,work,pool1,pool2,native,hp,mergerfs1,mergerfs2,fo-upper,fo-work,o-upper,o-work}
  mkdir -p "$at"/{layers,pool,hp,mergerfs,fuse-overlayfs,overlayfs}
  ln -sfn "$from/native" "$at/native"
}

# mount_plyfs SECTION TRANSPORT
mount_plyfs() {
  local from=$work/disk/$1 layers
  layers=lowerdir=$from/lower,upperdir=$from/upper,workdir=$from/work
  if ! { "$plyfs" -o "transport=$2,$layers" "$work/$1/layers" &&
    "$plyfs" -o "transport=$2,create=ff" "$from/pool1:$from/pool2" "$work/$1/pool"; } 2>"$work/log"; then
    cat "$work/log" >&2
    fail "plyfs does not mount"
  fi
}

mount_or_fail() { # MOUNTPOINT ARGUMENT...
  mkdir -p "$1"
  "$plyfs" "${@:2}" "$1" 2>"$work/log" || { cat "$work/log" >&2; fail "plyfs does not mount $1"; }
}

stat_of() { getfattr -n user.plyfs.stats --only-values "$1" 2>/dev/null | sed -n "s/^$2 //p"; }

# mount_hp SECTION [OPTION]
mount_hp() {
  [[ -n ${PASSTHROUGH_HP:-} ]] || return 0
  # Permissions are checked, as wherever others may enter: that costs a request after each change of a directory.
  "$PASSTHROUGH_HP" -o "allow_other,default_permissions${2:+,$2}" "$work/disk/$1/hp" "$work/$1/hp" >"$work/hp.log" 2>&1 ||
    { cat "$work/hp.log" >&2; fail "$PASSTHROUGH_HP does not mount"; }
  stat "$work/$1/hp/read" >/dev/null || fail "$PASSTHROUGH_HP does not answer"
}

has_rings() { # MOUNTPOINT: whether the daemon mounted last there serves rings
  local pid _
  pid=$(pgrep -n -f " $1\$") || return 1
  for _ in {1..40}; do
    grep -qs '^fuse-ring' /proc/"$pid"/task/*/comm && return
    sleep 0.05
  done
  return 1
}

# mount_peers SECTION: those that are here, in $peers.
mount_peers() {
  local section=$1 from=$work/disk/$1 at=$work/$1
  peers=()
  if mount -t overlay overlay -o "lowerdir=$from/lower,upperdir=$from/o-upper,workdir=$from/o-work" "$at/overlayfs" 2>/dev/null; then
    peers+=(overlayfs)
  else
    tell "no column for overlayfs: it does not mount here"
  fi
  if [[ -n $mergerfs ]]; then
    # The second form is for versions before 2.41, which have no passthrough.
    "$mergerfs" -o allow_other,category.create=ff,minfreespace=0,cache.files=auto-full,passthrough.io=rw \
      "$from/mergerfs1:$from/mergerfs2" "$at/mergerfs" >/dev/null 2>&1 ||
      "$mergerfs" -o allow_other,category.create=ff,minfreespace=0 "$from/mergerfs1:$from/mergerfs2" "$at/mergerfs" >/dev/null 2>&1
    peers+=(mergerfs)
  fi
  if [[ -n $fuse_overlayfs ]]; then
    "$fuse_overlayfs" -o "lowerdir=$from/lower,upperdir=$from/fo-upper,workdir=$from/fo-work,allow_other" "$at/fuse-overlayfs" >/dev/null 2>&1
    peers+=(fuse-overlayfs)
  fi
}

# Runs a command with FUSE over io_uring switched on: a connection made meanwhile keeps it. Not by others at once.
with_rings() {
  local status=0 old
  exec 8>>"$kRingsLock"
  flock -n 8 || { tell "waiting for a test that uses io_uring"; flock -w "$kRingsWait" 8 || { exec 8>&-; return 1; }; }
  old=$(<"$kRings")
  printf '%s' "$old" >"$work/rings" # for clean_up, if we do not come to it
  if printf 1 2>/dev/null >"$kRings"; then
    "$@" 8>&- || status=$?
    printf '%s' "$old" >"$kRings"
  else
    status=1
  fi
  rm -f "$work/rings"
  exec 8>&-
  return "$status"
}

mount_on_rings() {
  mount_plyfs io_uring io_uring
  [[ $(stat_of "$work/io_uring/layers" transport) == io_uring ]] || { tell "nothing over io_uring: $(tail -n 1 "$work/log")"; return 1; }
  [[ -n ${PASSTHROUGH_HP:-} ]] || return 0
  mount_hp io_uring io_uring
  has_rings "$work/io_uring/hp" || { tell "nothing over io_uring: $PASSTHROUGH_HP does not serve it"; return 1; }
}

# mount_sections PREPARE: mounts everything, over /dev/fuse and, where this system has it, over io_uring; $sections are those
# that there are.
mount_sections() {
  sections=(devfuse)
  tell "preparing"
  "$1" devfuse
  mount_plyfs devfuse devfuse
  mount_hp devfuse
  mount_peers devfuse
  if [[ ! -w $kRings ]]; then
    tell "nothing over io_uring: this kernel's fuse does not have it"
  else
    "$1" io_uring
    if with_rings mount_on_rings; then sections+=(io_uring); fi
  fi
  sync -f "$work/disk"
}

# Who moved the bytes? A fast wrong way would not count.
check_counters() {
  local mount counter value
  for mount in "$work"/*/{layers,pool}; do
    mountpoint -q "$mount" || continue
    for counter in requests.read requests.write; do
      value=$(stat_of "$mount" "$counter")
      [[ $value == 0 ]] || { tell "$mount: $counter $value, where the kernel should have read and written"; return 1; }
    done
  done
}
