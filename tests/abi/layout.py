# SPDX-License-Identifier: MIT
"""Public structs keep their layout: offsets and sizes as the compiler sees them are compared with
the frozen list. Fields may only be appended, and only with a new size of the struct.

    layout.py INCLUDE LIST COMPILER...            compares
    layout.py --update INCLUDE LIST COMPILER...   writes the list anew (before a release)
"""
import os
import re
import subprocess
import sys
import tempfile


def structs(include):
    """(name, fields) of each struct that is defined in the public headers."""
    for header in sorted(os.listdir(include)):
        if not header.endswith('.h'):
            continue
        with open(os.path.join(include, header), encoding='utf-8') as file:
            text = re.sub(r'/\*.*?\*/', '', file.read(), flags=re.S)
        for found in re.finditer(r'typedef struct (\w+)\s*\{(.*?)\}\s*\1;', text, re.S):
            fields = []
            for declaration in found.group(2).split(';'):
                names = declaration.split(',') if declaration.strip() else []
                fields += [re.search(r'(\w+)\s*(\[\w+\])?\s*$', name).group(1) for name in names]
            yield found.group(1), fields


def measure(include, compiler):
    lines = []
    for name, fields in structs(include):
        lines += [f'printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}), '
                  f'sizeof((({name} *)0)->{field}));' for field in fields]
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
    program = '#include <stablediff.h>\n#include <stdio.h>\nint main(void)\n{\n' + \
        '\n'.join(lines) + '\nreturn 0;\n}\n'
    with tempfile.TemporaryDirectory() as folder:
        source, binary = os.path.join(folder, 'layout.c'), os.path.join(folder, 'layout')
        with open(source, 'w', encoding='utf-8') as file:
            file.write(program)
        subprocess.run([*compiler, f'-I{include}', source, '-o', binary], check=True)
        return subprocess.run([binary], check=True, capture_output=True, text=True).stdout


def main(arguments):
    update = arguments[0] == '--update'
    include, path, *compiler = arguments[update:]
    found = measure(include, compiler)
    if update:
        with open(path, 'w', encoding='utf-8') as file:
            file.write(found)
        return 0
    with open(path, encoding='utf-8') as file:
        frozen = dict(line.rsplit(' ', line.count(' '))[0:1] + [line.strip()] for line in file)
    now = dict(line.rsplit(' ', line.count(' '))[0:1] + [line] for line in found.splitlines())
    wrong = [f'frozen: {line}, now: {now.get(key, "gone")}' for key, line in frozen.items()
             if '.' in key and now.get(key) != line]
    for key, line in frozen.items():  # a struct may grow
        if '.' not in key and int(now.get(key, '- 0').split()[1]) < int(line.split()[1]):
            wrong.append(f'{key} became smaller')
    unlisted = [line for key, line in now.items() if key not in frozen]
    print('\n'.join(wrong + [f'not in the list: {line}' for line in unlisted]))
    print(f'{len(frozen)} frozen, {len(wrong)} changed, {len(unlisted)} new')
    return 1 if wrong or unlisted or len(frozen) < 20 else 0


sys.exit(main(sys.argv[1:]))
