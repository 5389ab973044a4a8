#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what is missing on Debian 12 or later, and asks for nothing where nothing is missing.
#     tools/packages.sh          to build
#     tools/packages.sh tests    also to test
#     tools/packages.sh all      also for the second compiler, which nothing fails without
set -eu

needed="gcc libc6-dev meson ninja-build pkg-config libopenblas-dev libpng-dev zlib1g-dev
libjansson-dev libyaml-dev libutf8proc-dev"
case ${1:-} in
tests) needed="$needed python3 g++ libcmocka-dev qemu-user" ;;
all) needed="$needed python3 g++ libcmocka-dev qemu-user clang" ;;
esac

command -v dpkg-query >/dev/null || {
    echo "== this is not Debian: meson will say which libraries are missing"
    exit 0
}

missing=
for package in $needed; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] ||
        missing="$missing $package"
done
[ -n "$missing" ] || { echo "== all packages are there"; exit 0; }

as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        echo "missing packages, and no sudo to install them; as root: apt-get install$missing" >&2
        exit 1
    }
    as_root=sudo
fi
echo "== installing:$missing"
# Dpkg::Use-Pty=0: plain lines. The variable stands behind sudo, which would drop it.
# shellcheck disable=SC2086
{
    $as_root apt-get update -q
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        -o Dpkg::Use-Pty=0 $missing
} </dev/null
