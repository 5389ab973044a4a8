# SPDX-License-Identifier: MIT
"""sd-demo draws what the library draws, and a picture's own settings draw it again."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

from demo import CANCELLED, PROGRAM, SOURCE, TINY, DemoTest, Png, main

FAST = ('--steps', '4', '-W', '32', '-H', '32', '-q')


def read(path):
    with open(path, 'rb') as file:
        return file.read()


class Pictures(DemoTest):
    def test_pixels_equal_those_of_the_api(self):
        sentence = 'a gray cat with green eyes on a white background'
        self.draw(TINY, sentence, self.path('api.png'), program=os.environ['EXAMPLE_TXT2IMG'])
        self.draw('-m', TINY, '-p', sentence, '-s', '42', '--cfg-scale', '7.5')
        api, own = Png(self.path('api.png')), Png(self.path('output.png'))
        self.assertEqual((own.width, own.height), (64, 64))
        self.assertEqual(own.pixels, api.pixels)

    def test_pixels_equal_those_of_a_binding(self):
        """The C program and the Python program of examples/ call the same library."""
        if 'SDIFF_LIBRARY' not in os.environ:
            self.skipTest('a sanitized library cannot be loaded into python')
        sentence = 'a red apple'
        self.draw(TINY, sentence, self.path('c.png'), program=os.environ['EXAMPLE_TXT2IMG'])
        python = os.path.join(SOURCE, 'examples', 'txt2img.py')
        self.draw(python, TINY, sentence, self.path('python.png'), program=sys.executable)
        self.assertEqual(read(self.path('python.png')), read(self.path('c.png')))
        failed = self.run_demo(python, 'no-such-model', sentence, self.path('no.png'),
                               program=sys.executable)
        self.assertEqual(failed.returncode, 1)
        self.assertIn('no-such-model', failed.stderr)

    def test_a_gray_cat_on_white_is_gray_on_white(self):
        self.draw('a gray cat with green eyes on a white background', '-s', '7', '-q')
        png = Png(self.path('output.png'))
        corner = png.pixels[:3]
        middle = [sum(png.pixels[3 * (y * 64 + x) + c] for y in range(20, 44)
                      for x in range(20, 44)) / 576 for c in range(3)]
        self.assertGreater(min(corner), 220)
        self.assertLess(max(middle), 190)
        self.assertLess(max(middle) - min(middle), 60)

    def test_sentence_is_the_argument_or_an_option(self):
        self.draw('a red apple', '-s', '1', '-o', 'a.png', *FAST)
        self.draw('-p', 'a red apple', '-s', '1', '-o', 'b.png', *FAST)
        self.draw('-p', 'a red apple', '-s', '2', '-o', 'c.png', *FAST)
        self.assertEqual(read(self.path('a.png')), read(self.path('b.png')))
        self.assertNotEqual(Png(self.path('a.png')).pixels, Png(self.path('c.png')).pixels)

    def test_random_seed_is_printed_and_kept(self):
        done = self.draw('a red apple', '--steps', '2', '-W', '16', '-H', '16')
        seed = re.search(r'seed (\d+)', done.stdout).group(1)
        text = Png(self.path('output.png')).texts['parameters']
        self.assertIn(f'Seed: {seed},', text)
        self.draw('a red apple', '-o', 'b.png', '-s', seed, '--steps', '2', '-W', '16', '-H', '16')
        self.assertEqual(read(self.path('output.png')), read(self.path('b.png')))

    def test_picture_i_of_a_batch_is_a_single_run_with_seed_plus_i(self):
        self.draw('a red apple', '-s', '5', '-b', '3', '-o', 'x.png', '--sampling-method',
                  'euler_a', *FAST)
        self.assertEqual(sorted(os.listdir(self.folder)), ['x-1.png', 'x-2.png', 'x-3.png'])
        for i in range(3):
            self.draw('a red apple', '-s', 5 + i, '-o', 'y.png', '--sampling-method', 'euler_a',
                      *FAST)
            self.assertEqual(read(self.path(f'x-{i + 1}.png')), read(self.path('y.png')))

    def test_filmstrip_and_previews_have_a_picture_a_step(self):
        self.draw('a red apple', '-s', '5', '--steps', '15', '--filmstrip', 'strip.png',
                  '--preview', 'steps', '-W', '64', '-H', '32', '-q')
        strip = Png(self.path('strip.png'))  # 15 steps and the picture: two rows of eight
        self.assertEqual((strip.width, strip.height), (8 * 66 + 2, 2 * 34 + 2))
        names = sorted(os.listdir(self.path('steps')))
        self.assertEqual(names, [f'step-{i:03d}.png' for i in range(1, 16)])
        for name in names:
            preview = Png(os.path.join(self.path('steps'), name))
            self.assertEqual((preview.width, preview.height), (64, 32))
        picture = Png(self.path('output.png'))
        for y in range(32):  # the last cell is the picture itself
            start = 3 * ((36 + y) * strip.width + 7 * 66 + 2)
            self.assertEqual(strip.pixels[start:start + 192], picture.pixels[192 * y:192 * y + 192])

    def test_filmstrip_of_as_many_steps_as_an_adaptive_sampler_takes(self):
        self.draw('x', '-s', '1', '--sampling-method', 'k_dpm_adaptive', '--filmstrip', 'strip.png',
                  '--preview', 'steps', '-W', '32', '-H', '32', '-q')
        cells = len(os.listdir(self.path('steps'))) + 1
        strip = Png(self.path('strip.png'))
        self.assertGreater(cells, 2)
        self.assertGreaterEqual((strip.width // 34) * (strip.height // 34), cells)

    def test_interrupt_ends_with_a_sentence(self):
        with subprocess.Popen([PROGRAM, 'a red apple', '--steps', '900', '-W', '256', '-H', '256'],
                              cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as child:
            child.stderr.readline()  # the first step
            time.sleep(0.1)
            child.send_signal(signal.SIGINT)
            _, errors = child.communicate(timeout=30)
        self.assertEqual(child.returncode, CANCELLED)
        self.assertTrue(errors.endswith('sd-demo: interrupted\n'), errors)
        self.assertEqual(os.listdir(self.folder), [])

    def test_information_needs_no_model(self):
        for option, word in (('--help', '--negative-prompt'), ('--version', 'sd-demo 1.'),
                             ('--list-samplers', 'DPM++ 2M')):
            done = self.draw(option, env={'SDIFF_DATA_DIR': '/nonexistent'})
            self.assertIn(word, done.stdout)
            self.assertEqual(done.stderr, '')

    def test_model_is_found_from_a_build_tree_anywhere(self):
        self.draw('a red apple', *FAST, env={'SDIFF_DATA_DIR': ''})

    def test_model_is_found_beside_the_program(self):
        """In the build tree and installed, from any working folder."""
        libraries = os.path.join(os.path.dirname(PROGRAM), '..', 'lib')
        for program, models in (('build/tools/sd-demo', 'models'),
                                ('usr/bin/sd-demo', 'usr/share/stablediff/models')):
            with self.subTest(program):
                os.makedirs(os.path.dirname(self.path(program)))
                os.makedirs(self.path(models))
                shutil.copy(PROGRAM, self.path(program))
                os.symlink(TINY, os.path.join(self.path(models), 'tinysd'))
                self.draw('a red apple', *FAST, program=self.path(program),
                          env={'SDIFF_DATA_DIR': '', 'LD_LIBRARY_PATH': libraries})

    def test_progress_is_plain_lines_without_a_terminal(self):
        done = self.draw('a red apple', '--steps', '3')
        self.assertEqual(len(re.findall(r'^step \d/3  \d+\.\d\d s$', done.stderr, re.M)), 3)
        self.assertNotIn('\r', done.stderr)
        self.assertEqual(self.draw('a red apple', '--steps', '3', '-q').stderr, '')


class Recall(DemoTest):
    """--from-png."""

    def again(self, *arguments, changed=()):
        self.draw(*arguments, '-o', 'first.png')
        self.draw('--from-png', 'first.png', '-o', 'second.png', '-q', *changed)
        return read(self.path('first.png')), read(self.path('second.png'))

    def test_the_same_settings_give_the_same_file(self):
        cases = (
            ('a red apple', '-s', '7'),
            ('a red apple', '-n', 'a stem', '-s', '7', '--sampling-method', 'k_dpmpp_2m',
             '--scheduler', 'karras'),
            ('a, "b": c\\ \u732b\nsecond line', '-n', 'one,\ntwo: three', '--rng', 'philox'),
            ('', '-n', '', '--cfg-scale', '0.1234567890123', '--cfg-rescale', '0.7'),
            ('a red apple', '--sampling-method', 'ddim', '--eta', '0.5', '--spacing', 'trailing',
             '--clip-skip', '2', '--compute', 'f32', '--prediction', 'epsilon'),
            ('x', '--compute', 'bf16x3', '-s', '1'),
            ('x', '--sampling-method', 'euler_a', '-s', str(2**63 - 1)),
            ('Steps: 3, Sampler: x, Seed: y, CFG scale: z', '-s', '3'),
        )
        for case in cases:
            with self.subTest(case):
                first, second = self.again(*case, *FAST)
                self.assertEqual(first, second)

    def test_ways_to_read_a_sentence_and_to_decode_come_back(self):
        for word in ('no_norm', 'interpolate', 'ignore', 'none'):
            with self.subTest(word):
                first, second = self.again('a (red:1.5) [apple]', '-s', '7', '--emphasis', word,
                                           *FAST)
                self.assertEqual(first, second)
        first, second = self.again('x', '--tile', '--steps', '2', '-W', '64', '-H', '64', '-q')
        self.assertEqual(first, second)
        self.draw('x', '--emphasis', 'no_norm', '-o', 'first.png', *FAST)
        text = Png(self.path('first.png')).texts['parameters']
        put_text(self.path('first.png'), text.replace('no_norm', 'No norm'))  # as A1111 writes it
        self.draw('--from-png', 'first.png', '-o', 'second.png', '-q')
        self.assertEqual(Png(self.path('second.png')).texts['parameters'], text)

    def test_files_that_made_a_picture_are_asked_for(self):
        vae = os.path.join(TINY, 'vae')
        self.draw('x', '--vae', vae, '-o', 'first.png', *FAST)
        done = self.draw('--from-png', 'first.png', '-o', 'second.png')
        self.assertIn('VAE (vae)', done.stderr)
        done = self.draw('--from-png', 'first.png', '-o', 'second.png', '--vae', vae)
        self.assertNotIn('VAE', done.stderr)
        self.assertEqual(read(self.path('first.png')), read(self.path('second.png')))

    def test_every_sampler_and_schedule_comes_back(self):
        listed = self.draw('--list-samplers').stdout.split('schedules:')
        samplers = [line.split()[0] for line in listed[0].splitlines()[1:]]
        schedules = [line.split()[0] for line in listed[1].splitlines() if line.strip()]
        self.assertGreater(len(samplers), 30)
        for name in samplers:
            with self.subTest(name):
                first, second = self.again('x', '--sampling-method', name, '--steps', '5', '-W',
                                           '16', '-H', '16', '-q')
                self.assertEqual(first, second)
        for name in schedules:
            with self.subTest(name):
                first, second = self.again('x', '--sampling-method', 'k_euler', '--scheduler', name,
                                           '--steps', '5', '-W', '16', '-H', '16', '-q')
                self.assertEqual(first, second)

    def test_options_beside_it_come_first(self):
        first, second = self.again('a red apple', '-s', '7', *FAST, changed=('-s', '8'))
        self.assertNotEqual(first, second)
        self.draw('a red apple', '-s', '8', '-o', 'third.png', *FAST)
        self.assertEqual(second, read(self.path('third.png')))

    def test_text_is_what_other_programs_read(self):
        self.draw('a red apple', '-n', 'a stem', '-s', '7', '--sampling-method', 'k_dpmpp_2m',
                  '--scheduler', 'karras', *FAST)
        text = Png(self.path('output.png')).texts['parameters']
        self.assertEqual(text.split('Version: ')[0],
                         'a red apple\nNegative prompt: a stem\n'
                         'Steps: 4, Sampler: DPM++ 2M Karras, '
                         'CFG scale: 7, Seed: 7, Size: 32x32, Model: tinysd, RNG: CPU, ')

    def test_texts_of_other_programs_are_read(self):
        """As A1111 writes them; the picture is the one of the same settings as options."""
        text = ('a red apple\nNegative prompt: a stem\nSteps: 4, Sampler: DPM++ 2M, Schedule type: '
                'Karras, CFG scale: 6.5, Seed: 9, Size: 32x32, Model hash: abc, Model: "a, b", '
                'Clip skip: 2, Hashes: "{""x"": 1}", Version: v1.9.0')
        self.draw('x', '-s', '1', '-o', 'carrier.png', *FAST)
        put_text(self.path('carrier.png'), text)
        done = self.draw('--from-png', 'carrier.png', '-o', 'a.png')
        self.assertIn('a, b', done.stderr)  # made with another model
        self.assertIn('Hashes', done.stderr)  # not used
        self.draw('a red apple', '-n', 'a stem', '--steps', '4', '--sampling-method', 'k_dpmpp_2m',
                  '--scheduler', 'karras', '--cfg-scale', '6.5', '-s', '9', '-W', '32', '-H', '32',
                  '--clip-skip', '2', '--rng', 'philox', '-o', 'b.png', '-q')
        self.assertEqual(read(self.path('a.png')), read(self.path('b.png')))


def put_text(path, text):
    """Replaces the parameters of a PNG."""
    import struct
    import zlib
    content = read(path)
    start = content.index(b'tEXt') - 4
    size = struct.unpack('>I', content[start:start + 4])[0]
    body = b'tEXtparameters\0' + text.encode('latin-1')
    chunk = struct.pack('>I', len(body) - 4) + body + struct.pack('>I', zlib.crc32(body))
    with open(path, 'wb') as file:
        file.write(content[:start] + chunk + content[start + 12 + size:])


if __name__ == '__main__':
    main()
