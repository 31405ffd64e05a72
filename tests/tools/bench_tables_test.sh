#!/bin/bash
# bench_tables_test.sh FOLDER: packaging/bench's tables and chart, of figures made up here.
set -u
bench=${1:?usage: bench_tables_test.sh FOLDER}
folder=$(mktemp -d) || exit 2
trap 'rm -rf "$folder"' EXIT
failed=0

fault() {
    printf '%s\n' "$*"
    failed=1
}
# figures LINE...: "KIND SECTION ROW TARGET TIME"
figures() { printf '%s\n' "$@" | tr ' ' '\t' >"$folder/figures"; }
make_table() { awk -f "$bench/figures.awk" -f "$bench/table.awk" "$folder/figures" >"$folder/table" 2>"$folder/missed"; }

# expect NAME STATUS LINE: the table has the line, and the program ends so.
expect() {
    local status=0
    make_table || status=$?
    ((status == $2)) || fault "$1: ends with $status, not $2"
    grep -qF -- "$3" "$folder/table" || fault "$1: no line '$3' in: $(cat "$folder/table")"
    if (($2)) && [[ ! -s $folder/missed ]]; then fault "$1: a miss is not told"; fi
}

figures 'data devfuse read native 1' 'data devfuse read native 3' 'data devfuse read native 2' \
    'data devfuse read layers 2' 'data devfuse read layers 3' 'data devfuse read layers 2'
expect 'medians of times and of the ratios within a round' 0 '| read | 2.00 | 2.00 | 1.00 | 0.95 |'

figures 'operations devfuse unlink native 1' 'operations devfuse unlink layers 50' 'operations devfuse unlink pool 100' \
    'operations devfuse unlink mergerfs 200' 'operations devfuse unlink fuse-overlayfs 250'
expect 'compared with the faster peer' 1 '| 4.00 | **2.00 missed** | 3.00 |'

figures 'operations devfuse unlink native 1' 'operations devfuse unlink layers 50'
expect 'without peers there is nothing to compare' 0 '| unlink | 1.00 | 50.00 |'

figures 'jobs devfuse compile native 100' 'jobs devfuse compile layers 110'
expect 'a job that takes too long' 1 '**0.91 missed** | 0.95 |'

figures 'layers devfuse stat-beside-copy layers 9000' 'layers devfuse stat-beside-copy overlayfs 20000'
expect 'a time with a bound' 0 '| stat-beside-copy | 9000.00 | 20000.00 |'
figures 'layers devfuse stat-beside-copy layers 12000' 'layers devfuse stat-beside-copy overlayfs 20000'
expect 'a time over its bound' 1 '| **12000.00 missed** | 20000.00 |'

figures 'growth branches stat-warm 2 10' 'growth branches stat-warm 64 12'
expect 'growth within bounds' 0 '| stat-warm | 10.00 | 12.00 | 1.20 | 1.3 |'
figures 'growth files missing-name 10 10' 'growth files missing-name 1000 14'
expect 'growth out of bounds' 1 '| missing-name | 10.00 | 14.00 | **1.40 missed** | 1.3 |'

figures 'layers io_uring find overlayfs 10' 'layers io_uring find layers 20' 'layers io_uring find fuse-overlayfs 70'
awk -f "$bench/figures.awk" -f "$bench/chart.awk" "$folder/figures" >"$folder/chart.svg"
python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$folder/chart.svg" || fault "the chart is no XML"
grep -q '>0.50<' "$folder/chart.svg" || fault "the chart does not say that layers are half as fast as overlayfs"

exit $failed
