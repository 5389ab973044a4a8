# SPDX-License-Identifier: MIT
"""The public functions are the same in the headers, in the linker map and in the shared library,
and the static library keeps to the prefixes sdiff_ and sdi_.

    symbols.py INCLUDE MAP SHARED [STATIC]       without STATIC: it holds bundled libraries too
"""
import os
import re
import subprocess
import sys


def in_headers(include):
    names = set()
    for header in os.listdir(include):
        if header.endswith('.h'):
            with open(os.path.join(include, header), encoding='utf-8') as file:
                text = re.sub(r'/\*.*?\*/|^\s*#[^\n]*', '', file.read(), flags=re.S | re.M)
            names |= set(re.findall(r'SDIFF_API[^;(]*?(\w+)\s*\(', text))
    return names


def in_map(path):
    with open(path, encoding='utf-8') as file:
        return set(re.findall(r'^\s+(sdiff_\w+);', file.read(), re.M))


def defined(*options):
    out = subprocess.run(['nm', *options], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in out.splitlines()]
    return {row[2].split('@')[0] for row in rows if len(row) == 3 and row[1] != 'A'}


def report(what, names):
    for name in sorted(names):
        print(f'{what}: {name}')
    return len(names)


def main(include, map_file, shared, static=None):
    headers, mapped = in_headers(include), in_map(map_file)
    exported = defined('-D', '--defined-only', shared)
    internal = defined('-g', '--defined-only', static) if static else set()
    wrong = report('in a header, not in the map', headers - mapped) + \
        report('in the map, not in a header', mapped - headers) + \
        report('in the map, not in the library', mapped - exported) + \
        report('in the library, not in the map', exported - mapped) + \
        report('without prefix in the static library',
               {name for name in internal if not re.match(r'(__odr_asan\.)?(sdiff_|sdi_)', name)})
    if not static:
        print('prefixes of the static library: not checked, it holds bundled libraries')
    print(f'{len(headers)} public functions, {len(internal)} symbols, {wrong} problems')
    return 1 if wrong or len(headers) < 50 else 0


sys.exit(main(*sys.argv[1:]))
