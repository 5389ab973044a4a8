#!/bin/sh
# SPDX-License-Identifier: MIT
# From a fresh Debian machine to a picture: installs what is needed, builds, draws a sentence.
#     tools/try.sh "a gray cat with green eyes on a white background" [picture.png]
set -eu
started=$(pwd)
cd "$(dirname "$0")/.."

sentence=${1:-a gray cat with green eyes on a white background}
picture=${2:-$(pwd)/picture.png}
case $picture in
/*) ;;
*) picture=$started/$picture ;;
esac

sh tools/packages.sh
[ -f build/build.ninja ] || {
    echo "== configuring build/"
    meson setup build -Dtests=false -Dbench=false
}
echo "== building"
ninja -C build
echo "== drawing: $sentence"
# The run path of a build tree begins at $ORIGIN, which the loader learns from /proc: in a bare
# chroot there is none.
[ -e /proc/self/exe ] || { LD_LIBRARY_PATH=$(pwd)/build/lib; export LD_LIBRARY_PATH; }
build/tools/sd-demo -p "$sentence" -o "$picture"
echo "== done: the picture is $picture"
