# Sourced by packaging/bench: whole jobs, as a user would time them, each in a mount of its own that nobody used yet:
# unpacking, walking, a repository, copying, compiling, removing.
# shellcheck shell=bash disable=SC2034,SC2154

readonly kTreeFiles=10000 kTreeFilesInFolder=50 kTreeBytes=8000
readonly kJobs=(untar find ls-l du grep git-add git-commit git-status cp-a rm compile)
readonly kCompiled=busybox # a source package of Debian's

# The tree to unpack, and the one to compile, configured: in $work, which is not on the image.
prepare_jobs() {
  "$ops_bench" prepare-tree "$work/tree" "$kTreeFiles" "$kTreeFilesInFolder" "$kTreeBytes"
  tar -C "$work" -cf "$work/tree.tar" tree
  rm -r "$work/tree"
  can_compile=
  mkdir "$work/source"
  if ! command -v make >/dev/null || ! command -v gcc >/dev/null; then
    tell "no row compile: make and gcc are not installed"
  elif ! unpack_source_package "$kCompiled" "$work/source" >"$work/log" 2>&1; then
    tell "no row compile: $(tail -n 1 "$work/log")"
  else
    mv "$work/source/$kCompiled"-* "$work/source/tree"
    # Few applets: what is measured is make and the compiler on many files, not for long.
    make -C "$work/source/tree" -s allnoconfig >"$work/log" 2>&1 || { tail "$work/log" >&2; fail "$kCompiled: allnoconfig failed"; }
    local applet
    for applet in ASH LS CP MV TAR GZIP SED AWK GREP FIND VI TOP; do
      sed -i "s/^# CONFIG_$applet is not set/CONFIG_$applet=y/" "$work/source/tree/.config"
    done
    make -C "$work/source/tree" -s oldconfig < <(yes '' || true) >"$work/log" 2>&1 || { tail "$work/log" >&2; fail "$kCompiled: oldconfig failed"; }
    can_compile=yes
  fi
}

# The same work everywhere, whoever the user is and whatever he configured.
job_git() {
  GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null git -c user.name=bench -c user.email=bench@localhost \
    -c gc.auto=0 -c core.fsync=none -C "$1/tree" "${@:2}"
}

# do_job DIR JOB
do_job() {
  case $2 in
    untar) tar -C "$1" -xf "$work/tree.tar" ;;
    find) find "$1/tree" -newer "$work/disk.img" ;; # a test that needs a stat
    ls-l) ls -lR "$1/tree" ;;
    du) du -s "$1/tree" ;;
    grep) grep -r 'not in any of them' "$1/tree" || (($? == 1)) ;;
    git-add) job_git "$1" add . ;;
    git-commit) job_git "$1" commit -q -m all ;;
    git-status) job_git "$1" status --short ;;
    cp-a) cp -a "$1/tree" "$1/copy" ;;
    rm) rm -r "$1/tree" "$1/copy" ;;
    compile) make -C "$1/source" -s -j"$(jobs_here)" ;;
  esac
}

# What a job starts from, not measured: walks see a tree that was just walked.
before_job() {
  case $2 in
    find | ls-l | du | grep) do_job "$1" "$2" ;;
    git-add) job_git "$1" init -q ;;
    compile) cp -a "$work/source/tree" "$1/source" ;;
  esac >/dev/null
}

measure_jobs() { # SECTION TARGET
  local at=$work/$1/$2/jobs job from to
  mkdir "$at"
  for job in "${kJobs[@]}"; do
    [[ $job != compile || -n $can_compile ]] || continue
    before_job "$at" "$job" || fail "$job could not be prepared on $2"
    from=${EPOCHREALTIME/./}
    do_job "$at" "$job" >"$work/log" 2>&1 || { tail "$work/log" >&2; fail "$job failed on $2"; }
    to=${EPOCHREALTIME/./}
    note_figure jobs "$1" "$job" "$2" "$(((to - from) / 1000))"
  done
  rm -r "$at"
}

inside_jobs() {
  local sections=() peers=() targets=() section round i can_compile PASSTHROUGH_HP=
  prepare_jobs
  mount_sections make_folders
  for ((round = 0; round < rounds; ++round)); do
    for section in "${sections[@]}"; do
      targets=(native layers pool)
      [[ $section != devfuse ]] || targets+=("${peers[@]}")
      for ((i = 0; i < ${#targets[@]}; ++i)); do
        tell "round $((round + 1)) of $rounds, $section: ${targets[(i + round) % ${#targets[@]}]}"
        measure_jobs "$section" "${targets[(i + round) % ${#targets[@]}]}"
      done
    done
  done
}
