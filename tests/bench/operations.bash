# Sourced by packaging/bench: data with fio, and the operations of tests/bench/ops_bench.cpp one by one.
# shellcheck shell=bash disable=SC2034,SC2154

readonly kDataMB=64
# ROW:PATTERN:BLOCK:ENGINE, and further words for fio. The first four are the short form.
readonly kFioRows=(
  read:read:4k:psync: randread:randread:4k:psync: write:write:4k:psync: randwrite:randwrite:4k:psync:
  read-128k:read:128k:psync: write-128k:write:128k:psync:
  randread-libaio:randread:4k:libaio:"--direct=1 --iodepth=32" randwrite-libaio:randwrite:4k:libaio:"--direct=1 --iodepth=32"
  randread-io_uring:randread:4k:io_uring:"--direct=1 --iodepth=32" randwrite-io_uring:randwrite:4k:io_uring:"--direct=1 --iodepth=32"
  mmap-read:read:4k:mmap: mmap-write:write:4k:mmap:
)
readonly kShortDataRows=("${kFioRows[@]:0:4}")
readonly kOpsRows=(stat-cold stat-warm missing-name open-close open-read4k-close create-close append unlink mkdir rename
  readdir readdir-stat chmod stat-cold-2 missing-name-2 open-close-2 create-close-2 unlink-2)

prepare_section() {
  local from=$work/disk/$1 place
  make_folders "$1"
  for place in lower pool1 native hp mergerfs1; do
    "$ops_bench" prepare "$from/$place"
    dd if=/dev/urandom of="$from/$place/data.read" bs=1M count="$kDataMB" status=none
  done
  # What is written lies where it can be: no copy-up is measured here.
  for place in upper pool1 native mergerfs1 fo-upper o-upper; do
    dd if=/dev/urandom of="$from/$place/data.write" bs=1M count="$kDataMB" status=none
  done
}

# Microseconds that one read or write takes. Nothing is dropped from the page cache: that would drop the native file's
# pages, but not those behind a mount.
measure_data() {
  local at=$1 row pattern block engine more file=data.read
  IFS=: read -r row pattern block engine more <<<"$2"
  [[ $pattern != *write ]] || file=data.write
  if [[ $pattern == *write ]]; then sync -f "$work/disk"; else cat "$at/$file" >/dev/null; fi
  # shellcheck disable=SC2086
  (cd "$at" && fio --name=bench --filename="$file" --ioengine="$engine" --bs="$block" --rw="$pattern" --size="${kDataMB}M" \
    --invalidate=0 --fallocate=none --time_based --runtime="$seconds" $more --output-format=terse --terse-version=3) |
    awk -F';' '{iops = $8 + $49; if (iops) printf "%.3f\n", 1000000 / iops}'
}

# A row that ends with a number: by so many threads.
measure_operations() {
  local row=${2%-[0-9]} threads=1
  [[ $row == "$2" ]] || threads=${2##*-}
  "$ops_bench" run "$1" "$row" "$threads" | cut -f2
}

# measure KIND SECTION ROUND ROWS TARGETS: one round; the first target is another one each time.
measure() {
  local kind=$1 section=$2 round=$3 row target value i
  local -n rows_=$4 targets_=$5
  for row in "${rows_[@]}"; do
    for ((i = 0; i < ${#targets_[@]}; ++i)); do
      target=${targets_[(i + round) % ${#targets_[@]}]}
      value=$("measure_$kind" "$work/$section/$target" "$row")
      if [[ -z $value ]]; then
        case $target in native | layers | pool) fail "${row%%:*} gave no figure on $target" ;; esac
        tell "${row%%:*} can not be done on $target"
        continue
      fi
      note_figure "$kind" "$section" "${row%%:*}" "$target" "$value"
    done
  done
}

inside_operations() {
  local sections=() peers=() compared=() section round hp=()
  [[ -z ${PASSTHROUGH_HP:-} ]] && tell "no comparison with passthrough_hp: name one in PASSTHROUGH_HP" || hp=(hp)
  mount_sections prepare_section
  local data_targets=(native layers pool "${peers[@]}")
  for ((round = 0; round < rounds; ++round)); do
    tell "round $((round + 1)) of $rounds"
    measure data devfuse "$round" kShortDataRows data_targets
    for section in "${sections[@]}"; do
      compared=(native layers pool "${hp[@]}")
      [[ $section != devfuse ]] || compared+=("${peers[@]}")
      measure operations "$section" "$round" kOpsRows compared
    done
  done
}

inside_data() {
  local sections=() peers=() targets=() section round PASSTHROUGH_HP=
  mount_sections prepare_section
  for ((round = 0; round < rounds; ++round)); do
    tell "round $((round + 1)) of $rounds"
    for section in "${sections[@]}"; do
      targets=(native layers pool)
      [[ $section != devfuse ]] || targets+=("${peers[@]}")
      measure data "$section" "$round" kFioRows targets
    done
  done
}
