# Sourced by packaging/bench: what an operation costs as the number of branches, of layers or of files grows, and nothing else.
# shellcheck shell=bash disable=SC2154

readonly kGrowthRows=(stat-cold stat-warm missing-name open-close create-close unlink readdir readdir-stat)
readonly kBranchCounts=(2 8 64)
readonly kLowerCounts=(1 8 64 128)
readonly kFileCounts=(10000 100000 1000000)
readonly kFilesInFolder=1000
readonly kInodes=1600000 # of the image: there have to be enough for the most files

# grow KIND COUNT...: measures in $work/KIND/COUNT, the first another one each round.
grow() {
  local kind=$1 row i count round figure
  shift
  local counts=("$@")
  for ((round = 0; round < rounds; ++round)); do
    tell "$kind: round $((round + 1)) of $rounds"
    for row in "${kGrowthRows[@]}"; do
      for ((i = 0; i < ${#counts[@]}; ++i)); do
        count=${counts[(i + round) % ${#counts[@]}]}
        [[ $kind != files ]] || find "$work/files/$count" -newer "$work/disk.img" >/dev/null # known to the kernel and us
        figure=$(measure_operations "$work/$kind/$count" "$row") || fail "$row with $count $kind could not be measured"
        note_figure growth "$kind" "$row" "$count" "$figure"
      done
    done
  done
}

# Pools of so many branches: every directory lies on all of them, and the files in it are spread.
inside_branches() {
  local count i list from
  for count in "${kBranchCounts[@]}"; do
    from=$work/disk/branches/$count list=
    for ((i = 0; i < count; ++i)); do
      mkdir -p "$from/$i"
      list+=:$from/$i
    done
    mount_or_fail "$work/branches/$count" -o transport=devfuse,minfreespace=0,func.mkdir=all "${list#:}"
    "$ops_bench" prepare "$work/branches/$count"
  done
  grow branches "${kBranchCounts[@]}"
}

# Layers of which each has the directory, and some of the files in it.
inside_lowers() {
  local count i list from
  for count in "${kLowerCounts[@]}"; do
    from=$work/disk/lowers/$count list=
    mkdir -p "$from"/{upper,work,all}
    for ((i = 0; i < count; ++i)); do
      mkdir -p "$from/$i/read"
      list+=:$from/$i
    done
    "$ops_bench" prepare "$from/all"
    i=0
    while read -r file; do mv "$file" "$from/$((i++ % count))/read/"; done < <(find "$from/all/read" -type f)
    mount_or_fail "$work/lowers/$count" -o "transport=devfuse,lowerdir=${list#:},upperdir=$from/upper,workdir=$from/work"
  done
  grow lowers "${kLowerCounts[@]}"
}

# A pool in which the kernel and the daemon know so many files.
inside_files() {
  local count from
  for count in "${kFileCounts[@]}"; do
    from=$work/disk/files/$count
    mkdir -p "$from"/{1,2}
    "$ops_bench" prepare-tree "$from/1/known" "$count" "$kFilesInFolder" 0
    mount_or_fail "$work/files/$count" -o transport=devfuse "$from/1:$from/2"
    "$ops_bench" prepare "$work/files/$count"
    tell "files: $count known"
  done
  grow files "${kFileCounts[@]}"
}

inside_growth() {
  inside_branches
  inside_lowers
  inside_files
}
