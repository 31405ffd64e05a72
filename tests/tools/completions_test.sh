#!/bin/bash
# completions_test.sh PLYFS_COMPLETIONS: bash completes options as a person types them; zsh and fish, where they are installed,
# find no fault in their files and complete an option too.
set -u
print=$(realpath "${1:?usage: completions_test.sh PLYFS_COMPLETIONS}")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place" || exit 2
mkdir disk1 disk2
faults=0
fault() {
    echo "$1"
    faults=$((faults + 1))
}

"$print" bash >plyfs.bash || exit 1
bash -n plyfs.bash || fault "bash does not understand its file"

# replies LINE: what bash would offer at the end of the line, sorted, on one line.
replies() {
    bash --norc -c '
        shopt -s extglob
        source ./plyfs.bash
        COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
        compopt() { :; }
        _plyfs
        printf "%s\n" "${COMPREPLY[@]}"' bash "$1" | sort | paste -s -d ' '
}
expect() {
    local line=$1 wanted=$2 got
    got=$(replies "$line")
    [ "$got" = "$wanted" ] || fault "'$line' is completed to '$got', not to '$wanted'"
}
expect 'plyfs -o minfr' 'minfreespace='
expect 'plyfs -o ro,minfr' 'ro,minfreespace='
# bash takes what comes after a '=' for a word by itself.
expect 'plyfs -o create=msp' 'msplfs msplus mspmfs msppfrd'
expect 'plyfs -o create=mfs,transp' 'mfs,transport='
expect 'plyfs -o create=mfs,transport=io' 'io_uring'
expect 'plyfs -o copyup=' 'off on'
expect 'plyfs -o noat' 'noatime'
expect 'plyfs -fo upperdir=dis' 'disk1 disk2'
expect 'plyfs -o lowerdir=disk1:dis' 'disk1 disk2'
expect 'plyfs --fore' '--foreground'
expect 'plyfs dis' 'disk1 disk2'
expect 'plyfs disk1:dis' 'disk1 disk2'
expect 'plyfs -o nosuchoption' ''
expect 'plyfs -o rul' ''

for shell in zsh fish; do
    command -v "$shell" >/dev/null || {
        echo "no $shell here: its file is not tried"
        continue
    }
    "$print" "$shell" >"plyfs.$shell"
    "$shell" -n "plyfs.$shell" || fault "$shell does not understand its file"
done
if command -v fish >/dev/null; then
    got=$(HOME=$place fish --no-config -c 'source plyfs.fish; complete -C "plyfs -o ro,create=msp"' | cut -f 1 | sort | paste -s -d ' ')
    [ "$got" = 'ro,create=msplfs ro,create=msplus ro,create=mspmfs ro,create=msppfrd' ] || fault "fish completes to '$got'"
fi
[ "$faults" -eq 0 ] && echo "options are completed"
[ "$faults" -eq 0 ]
