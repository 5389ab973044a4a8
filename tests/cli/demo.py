# SPDX-License-Identifier: MIT
"""What the tests of sd-demo share: running it in an empty folder, reading PNG files."""
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

PROGRAM = os.environ.get('SD_DEMO', '')
SOURCE = os.environ.get('SDIFF_SOURCE_DIR', '')
SHARED = os.environ.get('SDIFF_SHARED_DIR', '')
TINY = os.path.join(SOURCE, 'models', 'tinysd')
BAD = os.path.join(SHARED, 'fixtures-ldm', 'bad')

# Exit codes by kind (tools/common.h).
OK, USAGE, IO, FORMAT, MISMATCH, UNSUPPORTED, MEMORY, CANCELLED = 0, 2, 3, 4, 5, 6, 7, 8


def bad_cases(*kinds):
    """Lines of bad.tsv: (file, expectation)."""
    with open(os.path.join(BAD, 'bad.tsv'), encoding='utf-8') as table:
        rows = [line.rstrip('\n').split('\t') for line in table]
    return [(row[0], row[2]) for row in rows if row[1] in kinds]


class Png:
    """Size, RGB rows and texts of an 8-bit RGB file, read without the library under test."""

    def __init__(self, path):
        self.texts = {}
        data = b''
        with open(path, 'rb') as file:
            content = file.read()
        assert content[:8] == b'\x89PNG\r\n\x1a\n', path
        at = 8
        while at < len(content):
            size, kind = struct.unpack('>I4s', content[at:at + 8])
            body = content[at + 8:at + 8 + size]
            assert struct.unpack('>I', content[at + 8 + size:at + 12 + size])[0] == \
                zlib.crc32(kind + body), path
            at += 12 + size
            if kind == b'IHDR':
                self.width, self.height, depth, colour = struct.unpack('>IIBB', body[:10])
                assert (depth, colour) == (8, 2), path
            elif kind == b'IDAT':
                data += body
            elif kind == b'tEXt':
                key, _, text = body.partition(b'\0')
                self.texts[key.decode('latin-1')] = text.decode('latin-1')
            elif kind == b'iTXt':
                key, _, rest = body.partition(b'\0')
                self.texts[key.decode('latin-1')] = rest[2:].split(b'\0', 2)[2].decode('utf-8')
        self.pixels = self._unfilter(zlib.decompress(data))

    def _unfilter(self, raw):
        stride = 3 * self.width
        above = bytearray(stride)
        out = bytearray()
        for y in range(self.height):
            kind = raw[y * (stride + 1)]
            row = bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
            for x in range(stride):
                left = row[x - 3] if x >= 3 else 0
                up, corner = above[x], above[x - 3] if x >= 3 else 0
                guess = (0, left, up, (left + up) // 2, paeth(left, up, corner))[kind]
                row[x] = (row[x] + guess) & 255
            out += row
            above = row
        return bytes(out)


def paeth(left, up, corner):
    p = left + up - corner
    return min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))[2]


def write_png(path, width, height, channels, pixel):
    """Pixels are what pixel(x, y) returns: a tuple of bytes."""
    def chunk(kind, body):
        return struct.pack('>I', len(body)) + kind + body + \
            struct.pack('>I', zlib.crc32(kind + body))
    rows = b''.join(b'\0' + bytes(v for x in range(width) for v in pixel(x, y))
                    for y in range(height))
    header = struct.pack('>IIBBBBB', width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    with open(path, 'wb') as file:
        file.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) +
                   chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))


class DemoTest(unittest.TestCase):
    """Each test runs in a fresh empty folder."""

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.folder = self._folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_demo(self, *arguments, program=PROGRAM, timeout=60, env=None):
        return subprocess.run([program, *map(str, arguments)], cwd=self.folder, timeout=timeout,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors='replace', env={**os.environ, **(env or {})}, check=False)

    def draw(self, *arguments, **options):
        done = self.run_demo(*arguments, **options)
        self.assertEqual(done.returncode, OK, done.stderr)
        return done

    def refused(self, codes, *arguments, **options):
        """Ends with one of the codes and one sentence, and leaves nothing behind."""
        before = sorted(os.listdir(self.folder))
        done = self.run_demo(*arguments, **options)
        codes = codes if isinstance(codes, tuple) else (codes,)
        self.assertIn(done.returncode, codes, f'{arguments}: {done.stderr}')
        self.assertRegex(done.stderr, r'\A[^\n]*sd-demo: [^\n]+\n\Z', f'{arguments}')
        self.assertEqual(done.stdout, '', arguments)
        self.assertEqual(sorted(os.listdir(self.folder)), before, arguments)
        return done


def main():
    if not os.path.isfile(PROGRAM):
        sys.exit('SD_DEMO names no program')
    unittest.main(verbosity=2)
