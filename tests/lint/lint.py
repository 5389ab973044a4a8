# SPDX-License-Identifier: MIT
"""Rules of the source that a compiler does not check: which folder may include which, where foreign
libraries are seen, how long files and functions may be."""
import os
import re
import sys

ROOT = sys.argv[1]
MAX_FILE, MAX_FUNCTION, MAX_COLUMNS = 800, 100, 100

# Downwards only; text, sample, image and io stand beside the networks.
MAY_INCLUDE = {
    'base': {'base', 'stablediff'},
    'tensor': {'tensor', 'base'},
    'kernel': {'kernel', 'tensor', 'base'},
    'nn': {'nn', 'kernel', 'tensor', 'base'},
    'net': {'net', 'nn', 'kernel', 'tensor', 'base'},
    'io': {'io', 'tensor', 'base'},
    'image': {'image', 'io', 'tensor', 'base'},
    'text': {'text', 'io', 'tensor', 'base'},
    'sample': {'sample', 'tensor', 'base'},
}
MAY_INCLUDE['model'] = set().union(*MAY_INCLUDE.values()) | {'model'}
MAY_INCLUDE['pipeline'] = MAY_INCLUDE['model'] | {'pipeline'}
MAY_INCLUDE['api'] = MAY_INCLUDE['pipeline'] | {'api'}

# Headers of other libraries, and the only folders that may see them.
ONLY_IN = {
    'cblas.h': {'lib/kernel/gemm'},
    'png.h': {'lib/image'},
    'zlib.h': {'lib/io'},
    'yaml.h': {'lib/model'},
    'immintrin.h': {'lib/kernel/x86'},
}

problems = []


def complain(path, line, text):
    problems.append(f'{path}:{line}: {text}')


def folder_of(path):
    """lib/io/zip.c -> io; outside of lib: None."""
    parts = path.split(os.sep)
    return parts[1] if parts[0] == 'lib' and len(parts) > 2 else None


def check_includes(path, lines):
    folder = folder_of(path)
    for number, line in enumerate(lines, 1):
        found = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if not found:
            continue
        name = found.group(2)
        if folder and found.group(1) == '"' and '/' in name:
            target = name.split('/')[0]
            if target not in MAY_INCLUDE[folder]:
                complain(path, number, f'lib/{folder} may not include {name}')
        if name in ONLY_IN and path.startswith('lib') and \
                not any(path.startswith(place + os.sep) for place in ONLY_IN[name]):
            complain(path, number, f'{name} may be seen in {", ".join(ONLY_IN[name])} only')
        if path.startswith('tools') and name.split('/')[0] in MAY_INCLUDE and '..' not in name:
            if name.split('/')[0] != 'stablediff':
                complain(path, number, 'tools see the public headers only')


def check_lengths(path, lines):
    if len(lines) > MAX_FILE:
        complain(path, MAX_FILE, f'{len(lines)} lines, {MAX_FILE} are the limit')
    start = 0
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS and 'http' not in line:
            complain(path, number, f'{len(line)} columns, {MAX_COLUMNS} are the limit')
        if line == '{':
            start = number
        elif line == '}' and start:
            if number - start - 1 > MAX_FUNCTION:
                complain(path, start, f'a function of {number - start - 1} lines, {MAX_FUNCTION} '
                                      'are the limit')
            start = 0


def check_head(path, lines):
    if not lines or 'SPDX-License-Identifier: MIT' not in '\n'.join(lines[:2]):
        complain(path, 1, 'the file does not open with its licence')


def check_forbidden(path, text):
    """Nothing in the library prints, ends the process or depends on the locale."""
    if not path.startswith('lib'):
        return
    code = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"',
                  lambda m: re.sub(r'[^\n]', ' ', m.group()), text, flags=re.S)
    for found in re.finditer(r'(?<![\w.>])(printf|puts|perror|exit|_exit|abort|assert|setlocale|'
                             r'strtod|strtof|atof|sscanf|malloc|calloc|realloc|rand|srand)\s*\(',
                             code):
        line = code.count('\n', 0, found.start()) + 1
        complain(path, line, f'{found.group(1)} is not for a library')


# Of a machine or a registry, not of the project. (Written so that this file does not match.)
FOREIGN = re.compile('|'.join((r'(?<![\w.])/(?:ho' r'me|ro' r'ot|wo' r'rk|Us' r'ers)/\w',
                               r'pypi' r'\.org',
                               r'files\.python' r'hosted', r'deb\.deb' r'ian\.org',
                               r'registry\.np' r'mjs')))
TEXT = ('.c', '.h', '.py', '.sh', '.md', '.map', '.build', '.txt', '.wrap')


def check_text(path, text):
    """Any text file: no tabs, no space at the end of a line, one newline at the end."""
    if text and (not text.endswith('\n') or text.endswith('\n\n')):
        complain(path, text.count('\n'), 'the file must end with one newline')
    for number, line in enumerate(text.split('\n'), 1):
        if '\t' in line:
            complain(path, number, 'a tab')
        if line != line.rstrip():
            complain(path, number, 'space at the end of the line')
        if FOREIGN.search(line):
            complain(path, number, 'a path or host that is not of the project')


def check_names(path, text):
    """What a document names by its path is there: as written, or below lib/ or the document."""
    for number, line in enumerate(text.split('\n'), 1):
        for name in re.findall(r'`([\w-]+/[\w./-]+\.(?:c|h|md|py|sh|txt|map|png))`', line):
            places = (name, os.path.join('lib', name), os.path.join(os.path.dirname(path), name))
            if not any(os.path.exists(os.path.join(ROOT, place)) for place in places):
                complain(path, number, f'{name} does not exist')


def texts():
    """Everything that is written by hand, except the models and other people's sources."""
    places = [os.path.join(ROOT, top) for top in ('lib', 'include', 'tools', 'tests', 'examples',
                                                  'bench', 'docs', 'subprojects/packagefiles')]
    files = [os.path.join(ROOT, name) for name in sorted(os.listdir(ROOT))]
    for place in places:
        for folder, _, names in os.walk(place):
            files += [os.path.join(folder, name) for name in sorted(names)]
    for file in files:
        if file.endswith(TEXT) and os.path.isfile(file) and \
                not file.startswith(os.path.join(ROOT, 'tests', 'data')):
            yield os.path.relpath(file, ROOT)


def sources():
    for top in ('lib', 'include', 'tools', 'tests', 'examples', 'bench'):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in sorted(names):
                if name.endswith(('.c', '.h')):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def main():
    count = 0
    for path in texts():
        with open(os.path.join(ROOT, path), encoding='utf-8') as file:
            text = file.read()
        check_text(path, text)
        if path.endswith('.md'):
            check_names(path, text)
    for path in sources():
        with open(os.path.join(ROOT, path), encoding='utf-8') as file:
            text = file.read()
        lines = text.split('\n')
        if lines[-1] == '':
            lines.pop()
        check_includes(path, lines)
        check_lengths(path, lines)
        check_head(path, lines)
        check_forbidden(path, text)
        count += 1
    print('\n'.join(problems))
    print(f'{count} files, {len(problems)} problems')
    return 1 if problems or count < 100 else 0


sys.exit(main())
