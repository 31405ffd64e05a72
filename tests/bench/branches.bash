# Sourced by packaging/bench: what an operation costs in a pool of few and of many branches, all on one file system, so that
# only their number differs. Every directory lies on all of them, and the files in it are spread.
# shellcheck shell=bash disable=SC2154

readonly kBranchCounts=(2 8 64)
readonly kBranchRows=(stat-cold stat-warm missing-name open-close create-close unlink readdir readdir-stat)

# mount_branches COUNT TRANSPORT: on $work/b/COUNT
mount_branches() {
  local i from=$work/disk/branches/$1 list=
  mkdir -p "$work/b/$1"
  for ((i = 0; i < $1; ++i)); do
    mkdir -p "$from/$i"
    list+=:$from/$i
  done
  "$plyfs" -o "transport=$2,minfreespace=0,func.mkdir=all" "${list#:}" "$work/b/$1" 2>"$work/log" ||
    { cat "$work/log" >&2; fail "plyfs does not mount $1 branches"; }
}

inside_branches() {
  local count round i
  tell "preparing"
  for count in "${kBranchCounts[@]}"; do
    mount_branches "$count" devfuse
    "$ops_bench" prepare "$work/b/$count"
  done
  for ((round = 0; round < rounds; ++round)); do
    tell "round $((round + 1)) of $rounds"
    for row in "${kBranchRows[@]}"; do
      for ((i = 0; i < ${#kBranchCounts[@]}; ++i)); do
        count=${kBranchCounts[(i + round) % ${#kBranchCounts[@]}]}
        printf 'measure_branches\tdevfuse\t%s\t%s\t%s\n' "$row" "$count" "$("$ops_bench" run "$work/b/$count" "$row" | cut -f2)" >>"$work/figures"
      done
    done
  done
}
