#!/bin/sh
# SPDX-License-Identifier: MIT
# emulated.sh CPU KERNELS: sd-demo makes a picture on a machine that lacks newer instructions, which
# qemu refuses as the machine would, and takes just these kernels. Skipped (77) without qemu.
set -eu
cpu=$1
kernels=$2

command -v qemu-x86_64 >/dev/null || { echo "qemu-x86_64 is not installed"; exit 77; }
case $(uname -m) in
x86_64) ;;
*) echo "not an x86-64 machine"; exit 77 ;;
esac

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
qemu-x86_64 -cpu "$cpu" "$SD_DEMO" -v -t 1 --steps 1 --cfg-scale 1 -s 1 -W 32 -H 32 \
    -o "$folder/picture.png" "a green apple" >"$folder/log" 2>&1 || true
grep -v "TCG doesn't support" "$folder/log"
[ -s "$folder/picture.png" ] || { echo "no picture with the instructions of $cpu"; exit 1; }
grep -q "kernels $kernels\$" "$folder/log" || { echo "kernels $kernels were expected"; exit 1; }
