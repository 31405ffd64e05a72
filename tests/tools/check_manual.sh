#!/bin/bash
# check_manual.sh PAGE...: mandoc finds no error and no warning in the manual's pages. 77 (skipped) without mandoc.
set -u
command -v mandoc >/dev/null || {
    echo "mandoc is not installed"
    exit 77
}
mandoc -T lint -W warning "$@" && echo "no errors, no warnings"
