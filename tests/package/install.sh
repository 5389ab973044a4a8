#!/bin/sh
# SPDX-License-Identifier: MIT
# install.sh BUILD SOURCE PREFIX CC...: installs into a staging folder with a space in its name and
# uses the result as a host program would: pkg-config, shared and static linking, the installed
# sd-demo with the installed model, no traces of the build tree.
set -eu
build=$1
source=$2
prefix=$3
shift 3

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
stage="$scratch/a stage"

fail() {
    echo "$*"
    exit 1
}

DESTDIR=$stage meson install -C "$build" --no-rebuild --quiet
root=$stage$prefix
pc=$(find "$root" -name stablediff.pc)
libdir=$(dirname "$(dirname "$pc")")
[ -f "$root/include/stablediff/stablediff.h" ] || fail "no headers"
[ -f "$libdir/libstablediff.a" ] || fail "no static library"
[ -h "$libdir/libstablediff.so.1" ] || fail "no soname link"

# The staging folder as if it were the place that the library was made for, without the space.
ln -s "$stage" "$scratch/stage"
export PKG_CONFIG_PATH="${pc%/*}"
flags() {
    pkg-config --define-variable=prefix="$scratch/stage$prefix" "$@" stablediff
}
# -lm is for the examples' own arithmetic.
# shellcheck disable=SC2046
for example in "$source"/examples/*.c; do
    name=$(basename "$example" .c)
    "$@" "$example" -o "$scratch/$name" $(flags --cflags --libs) -lm ||
        fail "$name does not link with: pkg-config --cflags --libs, and -lm"
done

# The archive alone instead of the shared library; its dependencies stay shared. Debian's OpenBLAS
# asks for Fortran's library in static linking, which only its own archive would need.
static_flags=$(flags --static --libs | sed "s,-lstablediff,-l:libstablediff.a,")
[ "$("$1" -print-file-name=libgfortran.so)" != libgfortran.so ] ||
    static_flags=$(echo "$static_flags" | sed 's,-lgfortran,,g')
# shellcheck disable=SC2046,SC2086
"$@" "$source/examples/txt2img.c" -o "$scratch/static" $(flags --cflags) $static_flags ||
    fail "txt2img does not link statically with: $static_flags"
readelf -d "$scratch/static" | grep -q 'NEEDED.*stablediff' && fail "the archive was not taken"

for binary in "$root/bin/sd-demo" "$root/bin/sd-probe" "$libdir/libstablediff.so.1"; do
    readelf -d "$binary" | grep -E 'RPATH|RUNPATH' && fail "$binary carries a run path"
    readelf -d "$binary" | grep -E 'NEEDED.*(c\+\+|libgcc_s)' && fail "$binary needs more than C"
    readelf -lW "$binary" | grep 'GNU_STACK.*RWE' && fail "$binary has an executable stack"
    strings=$(tr -c '[:print:]' '\n' <"$binary" | grep -F -- "$build" || true)
    [ -z "$strings" ] || fail "$binary names the build tree: $strings"
done

# Everything that is installed runs: the tool finds its model beside itself.
export LD_LIBRARY_PATH="$libdir"
unset SDIFF_DATA_DIR
drew() {
    [ -s "$scratch/$1.png" ] || { cat "$scratch/log"; fail "$1 made no picture"; }
}
"$root/bin/sd-demo" --steps 2 "a green apple" -o "$scratch/sd-demo.png" >"$scratch/log" 2>&1 || true
drew sd-demo
for program in txt2img static; do
    "$scratch/$program" "$root/share/stablediff/models/tinysd" "a green apple" \
        "$scratch/$program.png" >"$scratch/log" 2>&1 || true
    drew $program
done
cmp "$scratch/txt2img.png" "$scratch/static.png" || fail "shared and static library disagree"
echo "installed, linked both ways, and run"
