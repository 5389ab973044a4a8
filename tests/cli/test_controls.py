# SPDX-License-Identifier: MIT
"""sd-demo with ControlNets, hints, adapters and depth: what they change, refusals, recalling."""
import json
import os
import shutil
import unittest

from demo import FORMAT, IO, MISMATCH, SHARED, UNSUPPORTED, USAGE, DemoTest, Png, main, write_png

FIXTURES = os.path.join(SHARED, 'fixtures')
MODEL = os.path.join(FIXTURES, 'tiny-sd1')
CONTROL = os.path.join(FIXTURES, 'tiny-controlnet')
DEPTH = os.path.join(FIXTURES, 'tiny-depth')
ADAPTERS = os.path.join(MODEL, 'lora')
QUICK = ('-m', MODEL, '--steps', 4, '--seed', 3, '--sampling-method', 'ddim', '-W', 64, '-H', 64)
BIRD = 'a bird on a branch'


def read(path):
    with open(path, 'rb') as file:
        return file.read()


@unittest.skipUnless(os.path.isdir(FIXTURES), 'the fixtures (SDIFF_SHARED_DIR) are absent')
class Controls(DemoTest):
    def setUp(self):
        super().setUp()
        write_png(self.path('disc.png'), 64, 64, 3,
                  lambda x, y: (240, 200, 30) if (x - 30) ** 2 + (y - 34) ** 2 < 300
                  else (20, 20, 90))
        write_png(self.path('stripes.png'), 48, 40, 1, lambda x, y: (255 * (x // 8 % 2),))

    def make(self, name, *arguments, sentence=BIRD):
        self.draw(*QUICK, '-q', '-o', name, *arguments, sentence)
        return Png(self.path(name))

    def test_weight_and_range_are_heard(self):
        plain = self.make('a.png').pixels
        seen = [plain]
        for word in ('', ':0.5', ':1:0:0.5', ':1:0.5', ':-1'):
            made = self.make('a.png', '--controlnet', CONTROL + word, '--control-image',
                             'disc.png').pixels
            self.assertNotIn(made, seen, word)
            seen.append(made)
        for word in (':0', ':1:0.5:0.5', ':1:0:0.2'):  # no step lies in it as a whole
            made = self.make('a.png', '--controlnet', CONTROL + word, '--control-image',
                             'disc.png').pixels
            self.assertEqual(made, plain, word)

    def test_pictures_belong_to_controlnets_in_order(self):
        two = ('--controlnet', CONTROL + ':0.3', '--controlnet', CONTROL + ':0.7')
        self.assertNotEqual(
            self.make('a.png', *two, '--control-image', 'disc.png', '--control-image',
                      'stripes.png').pixels,
            self.make('b.png', *two, '--control-image', 'stripes.png', '--control-image',
                      'disc.png').pixels)

    def test_picture_is_the_one_to_start_from_unless_named(self):
        start = ('-i', 'disc.png', '--strength', 0.5, '--controlnet', CONTROL)
        self.assertEqual(self.make('a.png', *start).pixels,
                         self.make('b.png', *start, '--control-image', 'disc.png').pixels)

    def test_hints_differ_and_canny_is_short_for_one(self):
        def hint(*words):
            return self.make('a.png', '--controlnet', CONTROL, '--control-image', 'disc.png',
                             *words).pixels
        as_it_is, edges, strokes = (hint('--control-hint', word)
                                    for word in ('image', 'canny', 'scribble'))
        self.assertEqual(len({as_it_is, edges, strokes, hint('--guess')}), 4)
        self.assertEqual(hint('--canny'), edges)
        self.assertEqual(hint(), as_it_is)

    def test_poses_are_drawn(self):
        points = [32, 10, 1] + [32, 20, 1] + [20, 20, 1] + [12, 30, 1] + [0, 0, 0] * 14
        with open(self.path('pose.json'), 'w', encoding='utf-8') as file:
            json.dump({'canvas_width': 64, 'canvas_height': 64,
                       'people': [{'pose_keypoints_2d': points}]}, file)
        self.assertNotEqual(
            self.make('a.png', '--controlnet', CONTROL, '--control-image', 'pose.json').pixels,
            self.make('b.png').pixels)

    def test_settings_are_told_and_recalled(self):
        files = ('--controlnet', CONTROL + ':0.8:0:0.75', '--controlnet', CONTROL,
                 '--control-image', 'disc.png', '--control-image', 'stripes.png',
                 '--lora', os.path.join(ADAPTERS, 'kohya_locon.safetensors:0.5'))
        made = self.make('a.png', *files, '--canny', '--guess', '--emphasis', 'no_norm', '--tile',
                         sentence='a (bird:1.4)')
        text = made.texts['parameters']
        for word in ('LoRA: "kohya_locon.safetensors:0.5"', 'Canny: 1', 'Guess mode: 1',
                     'ControlNet: "tiny-controlnet:0.8:0:0.75", ControlNet: tiny-controlnet',
                     'Emphasis: no_norm', 'Tiled VAE: 1'):
            self.assertIn(word, text)
        self.assertNotIn(os.sep, text)  # pictures are given away: they tell no folders
        self.draw('-q', '--from-png', 'a.png', '-m', MODEL, '-o', 'b.png', *files)
        self.assertEqual(read(self.path('a.png')), read(self.path('b.png')))

    def test_marked_part_is_recalled(self):
        write_png(self.path('mask.png'), 64, 64, 1, lambda x, y: (255 * (20 < x < 40 < y),))
        start = ('-i', 'disc.png', '--mask', 'mask.png')
        self.draw('-m', MODEL, '--steps', 4, '-s', 3, '-q', '-o', 'a.png', *start, '--inpaint-area',
                  'masked', '--mask-padding', 5, '--mask-blur', 1, '-W', 32, '-H', 32, BIRD)
        self.draw('-q', '--from-png', 'a.png', '-m', MODEL, '-o', 'b.png', *start)
        self.assertEqual(read(self.path('a.png')), read(self.path('b.png')))

    def test_embeddings_are_asked_for(self):
        for name in ('my-style.pt', 'learned_embeds.bin'):
            with self.subTest(name):
                path = os.path.join(MODEL, 'textual_inversion', name)
                self.draw(*QUICK, '-q', '-o', 'a.png', '--embedding', path, 'my-style, <cat-toy>')
                self.draw('-q', '--from-png', 'a.png', '-m', MODEL, '-o', 'b.png', '--embedding',
                          path)
                self.assertEqual(read(self.path('a.png')), read(self.path('b.png')))
                without = self.draw('--from-png', 'a.png', '-m', MODEL, '-o', 'b.png')
                self.assertIn(name, without.stderr)

    def test_depth_is_written_without_a_sentence(self):
        self.draw('-m', DEPTH, '-i', 'disc.png', '--depth-out', 'depth.png', '-q')
        self.assertEqual(sorted(os.listdir(self.folder)), ['depth.png', 'disc.png', 'stripes.png'])

    def test_what_does_not_fit_is_refused(self):
        image = ('--control-image', 'disc.png')
        other = os.path.join(SHARED, 'fixtures-ldm', 'controlnet.fp16.pth')
        shutil.copy(self.path('disc.png'), self.path('not.json'))
        for codes, arguments in ((USAGE, ('--controlnet', CONTROL)),
                                 (USAGE, ('--controlnet', CONTROL + ':1:0.8:0.2', *image)),
                                 (USAGE, ('--controlnet', CONTROL + ':1000', *image)),
                                 (USAGE, ('--control-hint', 'some', *image)),
                                 (IO, ('--controlnet', 'absent', *image)),
                                 (IO, ('--controlnet', CONTROL, '--control-image', 'no.png')),
                                 (IO, ('--controlnet', CONTROL, '--control-image', 'no.json')),
                                 (FORMAT, ('--controlnet', CONTROL, '--control-image', 'not.json')),
                                 (MISMATCH, ('--controlnet', other, *image)),
                                 (UNSUPPORTED, ('--controlnet', MODEL, *image)),
                                 (UNSUPPORTED, ('--depth-out', 'a.png', '-i', 'disc.png')),
                                 (USAGE, ('--depth-out', 'a.png'))):
            with self.subTest(arguments):
                self.refused(codes, *QUICK, '-q', *arguments, BIRD)


if __name__ == '__main__':
    main()
