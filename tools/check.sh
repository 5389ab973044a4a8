#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what is needed, builds and runs the tests.
#     tools/check.sh          release build and the whole suite (about 5 minutes on 2 cores)
#     tools/check.sh all      also clang, the address and undefined sanitizers, the thread sanitizer
set -eu
cd "$(dirname "$0")/.."

sh tools/packages.sh tests

# build NAME, then options of meson
build() {
    name=$1
    shift
    echo "== configuring $name"
    if [ -f "$name/build.ninja" ]; then
        meson configure "$name" "$@"
    else
        meson setup "$name" "$@"
    fi
    echo "== building $name"
    ninja -C "$name"
}

# run NAME, then options of meson test
run() {
    name=$1
    shift
    echo "== testing $name"
    meson test -C "$name" --print-errorlogs "$@"
}

build build-check --werror -Dtests=true
run build-check
if [ "${1:-}" = all ]; then
    CC=clang build build-clang --werror -Dtests=true
    build build-asan -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debugoptimized
    run build-asan --timeout-multiplier 4
    build build-tsan -Db_sanitize=thread -Db_lundef=false -Dbuildtype=debugoptimized
    run build-tsan --suite threads --timeout-multiplier 4
fi
echo "== done: all tests passed, logs are in $(pwd)/build-check/meson-logs"
