#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what building (and with "tests": testing) needs on Debian 12 and later.
set -eu

needed="gcc libc6-dev meson ninja-build pkg-config libopenblas-dev libpng-dev zlib1g-dev
libjansson-dev libyaml-dev libutf8proc-dev"
[ "${1:-}" != tests ] || needed="$needed g++ clang libclang-rt-14-dev libcmocka-dev qemu-user python3"

missing=
for package in $needed; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
[ -n "$missing" ] || { echo "== all packages are there"; exit 0; }

root=
[ "$(id -u)" = 0 ] || root=sudo
echo "== installing:$missing"
$root apt-get update -q
DEBIAN_FRONTEND=noninteractive $root apt-get install -y -q --no-install-recommends $missing
