# SPDX-License-Identifier: MIT
"""What sd-demo refuses: the exit code of the kind, one sentence, nothing left behind."""
import os
import unittest

from demo import (BAD, FORMAT, IO, MEMORY, MISMATCH, OK, SHARED, UNSUPPORTED, USAGE, DemoTest,
                  bad_cases, main)
from test_pictures import put_text


class Options(DemoTest):
    def test_numbers_that_cannot_be(self):
        for option, values in {
                '--width': ('0', '7', '-8', '1000000000', '1e9', '99999999999999999999', '', 'x'),
                '--height': ('0', '9', '1000000000'),
                '--steps': ('0', '-1', '1000000000', '2.5', '99999999999'),
                '--cfg-scale': ('nan', 'inf', '-nan', '1e9', '', '7,5', '7x'),
                '--cfg-rescale': ('nan', '2', '-1'),
                '--eta': ('nan', '1e9'),
                '--seed': ('-2', '9223372036854775808', 'x'),
                '--batch-count': ('0', '-1', '1000000000'),
                '--threads': ('-1', '1000000'),
                '--clip-skip': ('99', '-1'),
                '--memory-limit': ('0', '-1', '1T', 'G', '99999999999G')}.items():
            for value in values:
                with self.subTest(f'{option} {value}'):
                    self.refused(USAGE, 'a cat', f'{option}={value}')

    def test_names_that_do_not_exist(self):
        for option in ('--sampling-method', '--scheduler', '--spacing', '--rng', '--compute',
                       '--kernels', '--prediction'):
            with self.subTest(option):
                self.refused(USAGE, 'a cat', option, 'nonsense')

    def test_flags_that_do_not_exist(self):
        self.refused(USAGE, 'a cat', '--nonsense')
        self.refused(USAGE, 'a cat', '-Z')
        self.refused(USAGE, 'a cat', '--steps')  # without its number
        self.refused(USAGE)  # nothing to draw
        self.refused(USAGE, 'two', 'sentences')
        self.refused(USAGE, '-p', 'one', 'two')

    def test_memory_limit_names_the_bytes(self):
        done = self.refused(MEMORY, 'a cat', '-W', '2048', '-H', '2048', '--memory-limit', '100M')
        self.assertRegex(done.stderr, r'\d{9,} bytes')
        self.refused(MEMORY, 'a cat', '--memory-limit', '1M')
        self.refused(MEMORY, 'a cat', '--memory-limit', '1K')


class Files(DemoTest):
    def test_models_that_are_none(self):
        os.mkdir(self.path('empty'))
        with open(self.path('text.safetensors'), 'w', encoding='utf-8') as file:
            file.write('this is not a model\n' * 100)
        self.refused(IO, 'a cat', '-m', '/nonexistent/model')
        self.refused((FORMAT, UNSUPPORTED), 'a cat', '-m', 'empty')
        self.refused((FORMAT, UNSUPPORTED), 'a cat', '-m', 'text.safetensors')
        self.refused((FORMAT, UNSUPPORTED, IO), 'a cat', '-m', '/dev/null')
        self.refused(IO, 'a cat', '--vae', '/nonexistent/vae')
        self.refused(IO, 'a cat', '--vocab', '/nonexistent/vocab')

    def test_vocabulary_of_another_model(self):
        if not os.path.isdir(SHARED):
            self.skipTest('no other vocabulary')
        done = self.refused(MISMATCH, 'a cat', '-q', '--vocab',
                            os.path.join(SHARED, 'fixtures', 'clip-vocab'))
        self.assertIn('the vocabulary has 49408 entries', done.stderr)

    def test_outputs_that_cannot_be_written(self):
        self.refused(IO, 'a cat', '-q', '-o', '/nonexistent/picture.png')
        self.refused(IO, 'a cat', '-q', '-o', '/')
        if os.path.exists('/proc/self'):  # not in a bare chroot
            self.refused(IO, 'a cat', '-q', '-o', '/proc/picture.png')
        self.refused(IO, 'a cat', '-q', '-o', '/dev/full', '--steps', '1')
        self.refused(IO, 'a cat', '-q', '--filmstrip', '/nonexistent/strip.png')
        self.refused(IO, 'a cat', '-q', '--preview', '/nonexistent/folder')
        self.refused(USAGE, 'a cat', '-q', '-o', '')

    @unittest.skipIf(os.geteuid() == 0, 'root writes everywhere')
    def test_folders_without_permission_are_told_as_such(self):
        os.mkdir(self.path('closed'), 0o555)
        done = self.refused(IO, 'a cat', '-q', '-o', 'closed/picture.png')
        self.assertIn('Permission denied', done.stderr)

    def test_preview_that_cannot_be_written_ends_the_run(self):
        with open(self.path('file'), 'w', encoding='utf-8'):
            pass
        self.refused(IO, 'a cat', '-q', '--preview', 'file', '--steps', '1')

    def test_results_that_cannot_be_printed(self):
        with open('/dev/full', 'w', encoding='utf-8') as full:
            import subprocess
            from demo import PROGRAM
            done = subprocess.run([PROGRAM, '--help'], stdout=full, stderr=subprocess.PIPE,
                                  text=True, check=False)
        self.assertEqual(done.returncode, IO)

    def test_settings_that_cannot_be(self):
        self.draw('x', '-s', '1', '-o', 'good.png', '--steps', '1', '-W', '16', '-H', '16', '-q')
        with open(self.path('good.png'), 'rb') as file:
            good = file.read()
        base = 'x\nSteps: 1, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 16x16'
        for change, code in (
                (('Steps: 1', 'Steps: 0'), USAGE), (('Steps: 1', 'Steps: many'), FORMAT),
                (('Euler', 'Nonsense 3000'), UNSUPPORTED), (('Seed: 1', 'Seed: 1e3'), FORMAT),
                (('16x16', '0x16'), FORMAT), (('16x16', '16'), FORMAT),
                (('16x16', '1000000000x16'), USAGE), (('CFG scale: 7', 'CFG scale: nan'), FORMAT),
                (('Seed: 1', 'Seed: "'), FORMAT), (('16x16', '16x16, Sampler id: none'), USAGE),
                (('Seed: 1', 'Seed: "\\'), FORMAT)):
            with self.subTest(change):
                with open(self.path('bad.png'), 'wb') as file:
                    file.write(good)
                put_text(self.path('bad.png'), base.replace(*change))
                self.refused(code, '--from-png', 'bad.png', '-q')
        for text in ('', '\n', ':', ',,,', 'Negative prompt:', 'a: b: c: d: ', '": ": ": ",',
                     'Steps: , Seed: , Size: , x: ', 'x\n' * 1000, '"\\' * 50 + ': ' * 5):
            with self.subTest(text=text):
                with open(self.path('bad.png'), 'wb') as file:
                    file.write(good)
                put_text(self.path('bad.png'), text)
                done = self.run_demo('--from-png', 'bad.png', '-q', '-o', 'out.png', '--steps',
                                     '1', '-W', '16', '-H', '16')
                self.assertIn(done.returncode, (OK, FORMAT, USAGE), done.stderr)


@unittest.skipUnless(os.path.isdir(BAD), 'the fixtures (SDIFF_SHARED_DIR) are absent')
class Malformed(DemoTest):
    def test_png_files(self):
        cases = bad_cases('png')
        self.assertGreater(len(cases), 30)
        for name, _ in cases:
            if name == 'png-valid-rgb8-text.png':  # the only one that says how it was made
                continue
            with self.subTest(name):
                large = name in ('png-huge-dims.png', 'png-large-dims.png')
                self.refused(MEMORY if large else FORMAT, '--from-png', os.path.join(BAD, name),
                             timeout=20)

    def test_png_of_another_program(self):
        self.draw('--from-png', os.path.join(BAD, 'png-valid-rgb8-text.png'), '-q')
        self.assertEqual(os.listdir(self.folder), ['output.png'])

    def test_model_files(self):
        cases = bad_cases('safetensors', 'pickle', 'zip', 'embedding')
        self.assertGreater(len(cases), 120)
        for name, _ in cases:  # the valid ones are no models either
            with self.subTest(name):
                done = self.refused((FORMAT, MISMATCH, UNSUPPORTED, IO, MEMORY), 'a cat', '-m',
                                    os.path.join(BAD, name), timeout=20)
                self.assertGreater(len(done.stderr), 20)

    def test_configurations(self):
        model = os.path.join(SHARED, 'fixtures-ldm', 'sd1-micro.fp32.safetensors')
        for name, _ in bad_cases('config'):
            path = os.path.join(BAD, name)
            if os.path.basename(name) == 'model_index.json':
                with self.subTest(name):
                    self.refused((FORMAT, MISMATCH, UNSUPPORTED, IO, USAGE), 'a cat', '-m',
                                 os.path.dirname(path), timeout=20)
            elif os.path.isfile(model):
                with self.subTest(name):
                    done = self.run_demo('a cat', '-q', '-m', model, '--config', path, timeout=20)
                    self.assertIn(done.returncode, range(0, 9), done.stderr)

    def test_vocabularies(self):
        for name, expectation in bad_cases('vocab'):
            if not name.startswith('vocab-') or '/' in name:
                continue
            with self.subTest(name):
                folder = self.path('vocab')
                os.makedirs(folder, exist_ok=True)
                for target, source in (('vocab.json', name),
                                       ('merges.txt', 'vocab-small-valid/merges.txt')):
                    link = os.path.join(folder, target)
                    if os.path.islink(link):
                        os.unlink(link)
                    os.symlink(os.path.join(BAD, source), link)
                self.assertEqual(expectation, 'error')
                self.refused((FORMAT, MISMATCH, UNSUPPORTED), 'a cat', '--vocab', folder,
                             timeout=20)


if __name__ == '__main__':
    main()
