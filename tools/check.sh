#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what is needed, builds and runs the tests.
#     tools/check.sh          release build and the whole suite, a few minutes on 2 cores
#     tools/check.sh all      also clang, the address and undefined sanitizers, the thread sanitizer
# Stops at what does not build; tests that fail do not keep the rest from running.
set -eu
cd "$(dirname "$0")/.."

passed=0
failed=0
skipped=
begun=$(date +%s)

say() {
    echo "== $* [$(($(date +%s) - begun)) s]"
}

# build FOLDER, then options of meson
build() {
    folder=$1
    shift
    say "configuring $folder"
    if [ -f "$folder/build.ninja" ]; then
        meson configure "$folder" "$@"
    else
        meson setup "$folder" "$@"
    fi
    say "building $folder"
    ninja -C "$folder"
}

# counted NAME: a line of the summary in meson's log, 0 where there is none
counted() {
    number=$(sed -n "s/^$1: *//p" "$folder/meson-logs/testlog.txt" 2>/dev/null | tail -n 1)
    echo $((number))
}

# run FOLDER, then options of meson test
run() {
    folder=$1
    shift
    say "testing $folder"
    bad=0
    rm -f "$folder/meson-logs/testlog.txt"
    meson test -C "$folder" --no-rebuild --print-errorlogs "$@" </dev/null || bad=1
    new=$(($(counted Fail) + $(counted Timeout)))
    # Not a single test is a failure too: a suite was renamed.
    [ "$bad" = 0 ] && [ "$(counted Ok)" -gt 0 ] || [ "$new" -gt 0 ] || new=1
    passed=$((passed + $(counted Ok)))
    failed=$((failed + new))
}

# skip WHAT WHY
skip() {
    say "SKIPPED: $1: $2"
    skipped="$skipped; without $1 ($2)"
}

compilers_and_sanitizers() {
    # The kernels once more, as another compiler understands them.
    if command -v clang >/dev/null; then
        CC=clang build build-clang --werror -Dtests=true
        run build-clang --suite kernels --suite unit --suite abi
    else
        skip clang "not installed"
    fi
    if [ ! -e /proc/self/maps ]; then
        skip sanitizers "they need /proc"
        return
    fi
    # -O1 keeps their builds short. What depends on the kernel set only through code that the
    # kernel suite covers, and what looks at the installed library, is not repeated.
    small="-Dtests=true -Dbench=false -Doptimization=1 -Ddebug=true -Db_lundef=false"
    # shellcheck disable=SC2086
    build build-asan -Db_sanitize=address,undefined $small
    run build-asan --no-suite sets --no-suite package --no-suite abi --no-suite lint \
        --timeout-multiplier 6
    # shellcheck disable=SC2086
    build build-tsan -Db_sanitize=thread $small
    run build-tsan --suite threads --timeout-multiplier 10
}

if [ "${1:-}" = all ]; then
    # The extra compiler may be out of reach; what needs it is then skipped in plain sight.
    sh tools/packages.sh all || sh tools/packages.sh tests
else
    sh tools/packages.sh tests
fi

[ -d ../shared ] || skip "the reference numbers" "no folder ../shared beside this one"
build build-check --werror -Dtests=true
run build-check
[ "${1:-}" != all ] || compilers_and_sanitizers

# Kernels that this machine cannot run have not been proven by a green suite.
lacking=$(sed -n 's/.*kernel set \([a-z0-9]*\) NOT RUN.*/\1/p' build*/meson-logs/testlog.txt | sort -u)
for set in $lacking; do
    say "NOT RUN: kernel set $set, which this machine or build lacks"
done

say "done: logs are in $(pwd)/build*/meson-logs$skipped"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
