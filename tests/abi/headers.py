# SPDX-License-Identifier: MIT
"""Each public header compiles alone, as strict C99 and as C++, and its structs have no padding that
a later field could hide in.

    headers.py INCLUDE LANGUAGE COMPILER...       LANGUAGE: c or c++
"""
import os
import subprocess
import sys

FLAGS = {
    'c': ['-std=c99', '-Wpadded', '-Wstrict-prototypes'],
    'c++': ['-std=c++11'],
}
COMMON = ['-pedantic-errors', '-Wall', '-Wextra', '-Wundef', '-Werror', '-fsyntax-only']


def main(include, language, *compiler):
    failed = 0
    headers = sorted(name for name in os.listdir(include) if name.endswith('.h'))
    for header in headers:
        for repeat in (1, 2):  # twice: the include guard
            source = f'#include "{header}"\n' * repeat
            done = subprocess.run([*compiler, *COMMON, *FLAGS[language], f'-I{include}', '-x',
                                   language, '-'], input=source, text=True, check=False)
            failed += done.returncode != 0
    print(f'{len(headers)} headers as {language}, {failed} failures')
    return 1 if failed or len(headers) < 10 else 0


sys.exit(main(*sys.argv[1:]))
