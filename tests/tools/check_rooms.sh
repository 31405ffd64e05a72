#!/bin/bash
# check_rooms.sh SOURCE_DIR: the rules of src/README.md that no compiler knows. A room includes itself and rooms to its
# left, libraries and raw file-system calls stay in their rooms, no file is longer than 500 lines, and no test's name has a
# semicolon. Every fault is told as "file:line: what"; exit 1 if there was one.
set -u
root=${1:?usage: check_rooms.sh SOURCE_DIR}
cd "$root" || exit 2

# config stands beside: its plain structs (config.h) are for every room from branch up, the rest for app and control.
# control keeps the counters and texts that fuse serves, and knows nothing of fuse. ctl is a program of its own.
declare -A place=([base]=1 [sys]=2 [config]=3 [branch]=4 [policy]=5 [overlay]=6 [node]=7 [ops]=8 [control]=9 [fuse]=10
                  [app]=11 [ctl]=12)
most_lines=500
faults=0

fault() {
    echo "$1"
    faults=$((faults + 1))
}

# Calls that are a member's or a plain function's name elsewhere count only when written "::name(".
plain_names='open|creat|close|read|write|readv|writev|stat|lstat|fstat|statfs|fstatfs|statvfs|fstatvfs|rename|link'
plain_names+='|unlink|rmdir|mkdir|mknod|symlink|readlink|chmod|fchmod|chown|lchown|fchown|truncate|ftruncate|fsync'
plain_names+='|flock|access|opendir|readdir|lseek|dup|dup2|dup3|mount|umount2'
# These names mean nothing else.
raw_names='openat|openat2|statx|fstatat|newfstatat|renameat|renameat2|linkat|unlinkat|mkdirat|mknodat|symlinkat'
raw_names+='|readlinkat|faccessat|fchmodat|fchownat|utimensat|futimens|fallocate|copy_file_range|getdents64|fdatasync'
raw_names+='|syncfs|pread|pwrite|preadv|pwritev|[lf]?getxattr|[lf]?setxattr|[lf]?listxattr|[lf]?removexattr'
raw_names+='|name_to_handle_at|open_by_handle_at|open_tree|move_mount|mount_setattr'

# Code without line comments and strings, with line numbers: "12:code".
code_of() { sed -E 's@"([^"\\]|\\.)*"@""@g; s@//.*@@' "$1" | grep -n ''; }
# As above, but strings kept: include lines.
includes_of() { grep -nE '^[[:space:]]*#[[:space:]]*include' "$1"; }

# may_include ROOM OTHER HEADER
may_include() {
    local room=$1 other=$2 header=$3
    [ "$room" = "$other" ] && return 0
    if [ "$room" = ctl ]; then
        [[ $other =~ ^(base|sys|config|branch|overlay|control)$ ]] && return 0 || return 1
    fi
    if [ "$other" = config ]; then
        case $room in
            app | control) return 0 ;;
            base | sys) return 1 ;;
            *) [ "$header" = config/config.h ] && return 0 || return 1 ;;
        esac
    fi
    [ "${place[$other]}" -lt "${place[$room]}" ]
}

check_includes() {
    local file=$1 room=$2 line header other
    while IFS=: read -r line text; do
        if [[ $text =~ \"([^\"]+)\" ]]; then
            header=${BASH_REMATCH[1]}
            other=${header%%/*}
            if [ "$other" = "$header" ] || [ -z "${place[$other]:-}" ]; then
                fault "$file:$line: include \"$header\" by its room: \"room/file.h\""
            elif ! may_include "$room" "$other" "$header"; then
                fault "$file:$line: room $room must not include $header"
            fi
        elif [[ $text =~ \<([^\>]+)\> ]]; then
            check_library "$file" "$line" "$room" "${BASH_REMATCH[1]}"
        fi
    done < <(includes_of "$file")
}

check_library() {
    local file=$1 line=$2 room=$3 header=$4
    case $header in
        fuse* | fuse3/*) [ "$room" = fuse ] || fault "$file:$line: <$header> only in fuse/" ;;
        yaml-cpp/*) [ "$file" = src/config/yaml.cpp ] || fault "$file:$line: <$header> only in config/yaml.cpp" ;;
        spdlog/*) [[ $file == src/base/log.* ]] || fault "$file:$line: <$header> only in base/log.*" ;;
        boost/filesystem*)
            [ "$room" = config ] || [ "$room" = app ] || fault "$file:$line: <$header> only in config/ and app/" ;;
        filesystem) fault "$file:$line: <filesystem> nowhere: Boost's at mount time, sys/ otherwise" ;;
    esac
}

check_calls() {
    local file=$1 room=$2 line text
    [ "$room" = sys ] && return
    while IFS=: read -r line text; do
        [ "$file" = src/base/fd.h ] && [[ $text == *"::close("* ]] && continue
        fault "$file:$line: file-system call outside sys/:${text}"
    done < <(code_of "$file" | grep -E \
        "(^|[^A-Za-z0-9_>:])::($plain_names)\(|(^|[^A-Za-z0-9_.>:])(::)?($raw_names)\(|SYS_($plain_names|$raw_names)\b" |
        grep -vE "^[0-9]+:[[:space:]]*(Status|Result<.*>|int|ssize_t|bool|void)[[:space:]]+($raw_names)\(")
}

check_length() {
    local lines
    lines=$(wc -l <"$1")
    [ "$lines" -le "$most_lines" ] || fault "$1:$lines: longer than $most_lines lines"
}

# A ';' splits the name for ctest 3.25, which then reports a pass without running the test.
check_test_names() {
    local name
    while read -r name; do
        fault "$1: semicolon in the name of a test: $name"
    done < <(tr '\n' ' ' <"$1" | grep -oE '(TEST_CASE|SCENARIO)[A-Z_]*\([^"]*"([^"\\]|\\.)*"' | grep ';')
}

while read -r file; do
    room=${file#src/}
    room=${room%%/*}
    if [ -z "${place[$room]:-}" ]; then
        fault "$file: $room is not a room"
        continue
    fi
    check_includes "$file" "$room"
    check_calls "$file" "$room"
    check_length "$file"
done < <(find src -name '*.h' -o -name '*.cpp' | sort)

while read -r file; do
    check_length "$file"
    [[ $file == *.sh ]] || check_test_names "$file"
done < <(find tests -name '*.h' -o -name '*.cpp' -o -name '*.sh' | sort)

[ "$faults" -eq 0 ] && echo "the rooms are in order"
[ "$faults" -eq 0 ]
