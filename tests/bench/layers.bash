# Sourced by packaging/bench: layers beside the kernel's overlayfs and fuse-overlayfs, in what is done when a root file system
# is used: unpacking, removing, walking, changing owners, looking for what is not there. Each round mounts anew with an
# empty upper directory.
# shellcheck shell=bash disable=SC2034,SC2154

readonly kManyLayers=64
readonly kLowerFolders=60 kLowerFiles=25
# ROW:COUNT, in the order in which they are done; of one layer below, of the same with metacopy=on (which fuse-overlayfs
# does not have), then of many.
readonly kLayerRows=(find:1560 chown:1560 create:5000 write+rename:1500 remove:6500)
readonly kMetacopyRows=(chown-metacopy:1560)
readonly kManyRows=(missing-64:5000 find-64:1089)
# Not what one of many takes but the longest of all.
readonly kCopyRows=(stat-beside-copy:1)
readonly kCopiedMB=512

prepare_layers() {
  local from=$work/disk/layers i j
  mkdir -p "$from/one"
  for ((i = 0; i < kLowerFolders; ++i)); do
    mkdir "$from/one/d$i"
    for ((j = 0; j < kLowerFiles; ++j)); do printf x >"$from/one/d$i/f$j"; done
  done
  many=
  for ((i = 0; i < kManyLayers; ++i)); do
    mkdir -p "$from/m/$i"
    "$ops_bench" prepare-layer "$from/m/$i" "$i"
    many+=:$from/m/$i
  done
  many=${many#:}
  mkdir -p "$from/big"
  dd if=/dev/urandom of="$from/big/big" bs=1M count="$kCopiedMB" status=none
}

# mount_own TARGET TRANSPORT OPTIONS
mount_own() {
  "$plyfs" -o "transport=$2,$3" "$work/l" 2>"$work/log" || { cat "$work/log" >&2; fail "plyfs does not mount ($1)"; }
  # The kernel takes the rings after plyfs has said that it is there, if they are still switched on then.
  stat "$work/l" >/dev/null
  [[ $(stat_of "$work/l" transport) == "$2" ]] || fail "plyfs has no $2 ($1)"
}

# note_layers TARGET ROW MICROSECONDS: what the kernel and fuse-overlayfs take stands beside both of our transports.
note_layers() {
  local section target=$1
  for section in devfuse io_uring; do
    case $1:$section in
      layers:io_uring | layers-on-rings:devfuse) continue ;;
      layers-on-rings:io_uring) target=layers ;;
    esac
    [[ $section == devfuse || -n $on_rings ]] || continue
    note_figure layers "$section" "$2" "$target" "$3"
  done
}

# mount_layers TARGET LOWERS [OPTIONS]: on $work/l, with upper and work directories that nobody used yet, in $own.
mount_layers() {
  local options
  own=$(mktemp -d "$work/disk/layers/own.XXXX")
  mkdir "$own/u" "$own/w"
  mkdir -p "$work/l"
  options=lowerdir=$2,upperdir=$own/u,workdir=$own/w
  [[ -z ${3:-} || $1 == fuse-overlayfs ]] || options+=,$3
  case $1 in
    layers) mount_own "$1" devfuse "$options" ;;
    layers-on-rings) with_rings mount_own "$1" io_uring "$options" ;;
    overlayfs) mount -t overlay overlay -o "$options" "$work/l" ;;
    fuse-overlayfs) "$fuse_overlayfs" -o "$options,allow_other" "$work/l" >/dev/null 2>&1 ;;
  esac
  mountpoint -q "$work/l" || fail "$1 does not mount"
}

# Microseconds that the command takes for each of COUNT objects.
timed_each() {
  local count=$1 from to
  shift
  from=${EPOCHREALTIME/./}
  "$@" >/dev/null || fail "$* failed"
  to=${EPOCHREALTIME/./}
  awk -v took=$((to - from)) -v count="$count" 'BEGIN {printf "%.3f\n", took / count}'
}

measure_layer_row() {
  local row=$1 count=$2
  case $row in
    find*) timed_each "$count" find "$work/l" -newer "$work/disk.img" ;; # a test that needs a stat
    chown*) timed_each "$count" chown -R 12:34 "$work/l" ;;
    remove) timed_each "$count" rm -r "$work/l/new" ;;
    stat-beside-copy)
      sync -f "$work/disk" # what others wrote is not waited for
      "$ops_bench" beside-copy "$work/l" big | cut -f2
      ;;
    missing*) "$ops_bench" bulk "$work/l/merged" missing "$count" | cut -f2 ;;
    create | write+rename)
      mkdir -p "$work/l/new"
      "$ops_bench" bulk "$work/l/new" "$row" "$count" | cut -f2
      ;;
  esac
}

# measure_layers ROUND TARGET...
measure_layers() {
  local round=$1 i target rows row lowers options value
  shift
  local targets=("$@")
  for ((i = 0; i < ${#targets[@]}; ++i)); do
    target=${targets[(i + round) % ${#targets[@]}]}
    for rows in kLayerRows kMetacopyRows kManyRows kCopyRows; do
      local -n rows_of=$rows
      lowers=$work/disk/layers/one
      [[ $rows != kManyRows ]] || lowers=$many
      [[ $rows != kCopyRows ]] || lowers=$work/disk/layers/big
      options=
      [[ $rows != kMetacopyRows ]] || options=redirect_dir=on,metacopy=on
      mount_layers "$target" "$lowers" "$options"
      for row in "${rows_of[@]}"; do
        value=$(measure_layer_row "${row%:*}" "${row#*:}")
        [[ -n $value ]] || fail "$row gave no figure on $target"
        note_layers "$target" "${row%:*}" "$value"
      done
      umount "$work/l"
      [[ $rows != kCopyRows ]] || rm -rf "$own" # the disk has room for one copy
    done
  done
}

inside_layers() {
  local round targets=(layers) on_rings=
  if [[ -n $fuse_overlayfs ]]; then
    targets+=(fuse-overlayfs)
  else
    tell "no column for fuse-overlayfs: it is not installed"
  fi
  tell "preparing"
  prepare_layers
  if mount_layers overlayfs "$work/disk/layers/one" 2>/dev/null; then
    umount "$work/l"
    targets+=(overlayfs)
  else
    tell "no column for overlayfs: it does not mount here"
  fi
  if [[ -w $kRings ]]; then
    mount_layers layers-on-rings "$work/disk/layers/one"
    on_rings=$(stat_of "$work/l" transport | sed -n '/^io_uring$/p')
    umount "$work/l"
  fi
  [[ -z $on_rings ]] && tell "nothing over io_uring: this kernel or our libfuse does not have it" || targets+=(layers-on-rings)
  for ((round = 0; round < rounds; ++round)); do
    tell "round $((round + 1)) of $rounds"
    measure_layers "$round" "${targets[@]}"
  done
}
