# Sourced by packaging/bench: the first write to a large file of a layer below, beside cp of the same file with what makes it
# durable, on file systems that share blocks between files and on one that does not.
# shellcheck shell=bash disable=SC2154

readonly kCopyUpFileSystems=(ext4 xfs btrfs)
readonly kCopyUpImageMB=4096
readonly kCopyUpRows=(1-GiB sparse)

# A GiB of data; and 10 GiB of which 1 MiB is data.
prepare_copies() {
  mkdir -p "$1"/{lower,native}
  dd if=/dev/urandom of="$1/lower/1-GiB" bs=1M count=1024 status=none
  truncate -s 10G "$1/lower/sparse"
  dd if=/dev/urandom of="$1/lower/sparse" bs=1M count=1 seek=5000 conv=notrunc status=none
  sync -f "$1"
}

# Both read from the page cache, as far as it holds the file.
measure_copyup() { # FILE_SYSTEM TARGET ROW
  local at=$work/copyup/$1 from to
  cat "$at/lower/$3" >/dev/null
  from=${EPOCHREALTIME/./}
  if [[ $2 == native ]]; then
    cp --reflink=auto "$at/lower/$3" "$at/native/$3"
    sync "$at/native/$3"
  else
    : >>"$at/merged/$3"
  fi
  to=${EPOCHREALTIME/./}
  note_figure copyup "$1" "$3" "$2" "$(((to - from) / 1000))"
}

inside_copyup() {
  local system at round target row targets=(native layers) i
  for system in "${kCopyUpFileSystems[@]}"; do
    at=$work/copyup/$system
    mkdir -p "$at"
    truncate -s "${kCopyUpImageMB}M" "$work/$system.img"
    "mkfs.$system" -q "$work/$system.img" >"$work/log" 2>&1 && mount -o loop "$work/$system.img" "$at" || { tell "no $system here"; continue; }
    tell "$system"
    prepare_copies "$at"
    for ((round = 0; round < rounds; ++round)); do
      mkdir "$at"/{upper,work,merged}
      mount_or_fail "$at/merged" -o "lowerdir=$at/lower,upperdir=$at/upper,workdir=$at/work"
      for row in "${kCopyUpRows[@]}"; do
        for ((i = 0; i < ${#targets[@]}; ++i)); do
          target=${targets[(i + round) % ${#targets[@]}]}
          measure_copyup "$system" "$target" "$row"
        done
        (($(stat -c %b "$at/upper/sparse" 2>/dev/null || echo 0) < 4096)) || fail "$system: the copy is not sparse"
        rm -f "$at/native/$row"
      done
      umount "$at/merged"
      rm -r "$at"/{upper,work,merged}
    done
    umount "$at"
    rm "$work/$system.img"
  done
}
