# Sourced by the scripts beside it: where the tree is, how they speak, and what they all ask of the system.
# shellcheck shell=bash disable=SC2034,SC2154

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
readonly top
readonly me=${0##*/}
export LC_ALL=C

say() { printf '%s: %s\n' "$me" "$*"; }
fail() {
  printf '%s: %s\n' "$me" "$*" >&2
  exit 99
}
# What nobody has foreseen fails with a line as well, and only one: 99 has been said already, perhaps in a subshell.
set -E
trap 'status=$?; ((status == 99)) || printf "%s: line %s: failed (%s): %s\n" "$me" "$LINENO" "$status" "$BASH_COMMAND" >&2; exit 99' ERR

# The URIs from which this system gets the packages of its own release: apt's view of its sources, whatever their format.
mirrors() {
  local codename
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  # shellcheck disable=SC2016 # $(REPO_URI) and the others are apt's
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    awk -v release="$codename" '$2 == release && $3 == "main" && !seen[$1]++ {print $1}'
}

# unpack_source_package PACKAGE FOLDER: into a folder below it; with lists of our own, nothing of the system's touched.
# Fails with a line on stderr.
unpack_source_package() {
  local codename mirror keyring apt
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  mirror=$(mirrors | head -n 1)
  [[ -n $mirror ]] || { echo "apt knows no mirror for this release" >&2; return 1; }
  for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp} ''; do
    [[ -e $keyring ]] && break
  done
  apt=$(mktemp -d)
  mkdir -p "$apt"/{none,lists/partial,cache/archives/partial}
  printf 'deb-src [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$codename" >"$apt/sources.list"
  local get=(apt-get -qq -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts="$apt/none"
    -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root)
  local status=0
  { "${get[@]}" update && (cd "$2" && "${get[@]}" source "$1"); } >&2 || status=1
  rm -rf "$apt"
  return "$status"
}

# "${own_world[@]}" COMMAND...: runs it in mount and process namespaces of its own. When it or we end, however that comes
# about, the kernel ends every process and undoes every mount that was made inside.
readonly own_world=(unshare --mount --propagation private --pid --fork --kill-child=KILL --mount-proc)

# end_world PID: kills the own_world that was started in the background as PID, and waits until all of it is gone.
end_world() {
  local first
  first=$(ps -o pid= --ppid "$1" 2>/dev/null | tr -d ' ') || true
  kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
  # A zombie is gone enough: the kernel ends the others before the first process of a namespace becomes one.
  while [[ -n $first && -e /proc/$first ]] && ! grep -q '^State:.Z' "/proc/$first/status" 2>/dev/null; do
    sleep 0.05
  done
}

# Detaches the loop devices whose image lies in FOLDER, known by its inode: a path may mean another file by now.
detach_loops() {
  local folder=$1 device inode
  command -v losetup >/dev/null || return 0
  losetup --noheadings --output NAME,BACK-INO 2>/dev/null | while read -r device inode; do
    [[ -n $(find "$folder" -xdev -type f -inum "${inode:-0}" -print -quit 2>/dev/null) ]] || continue
    [[ $(stat -c %d "$folder") == "$(losetup --noheadings --output BACK-MAJ:MIN "$device" | device_number)" ]] || continue
    losetup --detach "$device" || true
  done
}

# "8:1" (or with blanks) on stdin to the number that stat calls %d
device_number() {
  local major minor
  IFS=': ' read -r major minor
  printf '%s\n' $(((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)))
}

# As many as are worth it, leaving 1 GB of memory to each.
jobs_here() {
  local cpus memory
  cpus=$(nproc)
  memory=$(awk '/^MemAvailable/ {print int($2 / 1000000) + 1}' /proc/meminfo)
  printf '%s\n' $((cpus < memory ? cpus : memory))
}
