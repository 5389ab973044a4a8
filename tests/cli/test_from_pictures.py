# SPDX-License-Identifier: MIT
"""sd-demo from pictures: strength, masks, the marked part alone, refusals."""
import os
import unittest

from demo import BAD, FORMAT, IO, MEMORY, USAGE, DemoTest, Png, bad_cases, main, \
    write_png

FACE = 'a woman with blue eyes and red hair'
QUICK = ('--steps', 6, '--seed', 3, '-q')


def is_marked(x, y):
    return 16 <= x < 48 and 24 <= y < 40


def difference(a, b, chosen):
    """Bytes that differ among the pixels for which chosen(x, y) holds."""
    return sum(a.pixels[i] != b.pixels[i] for i in range(len(a.pixels))
               if chosen(i // 3 % a.width, i // 3 // a.width))


class FromPictures(DemoTest):
    def setUp(self):
        super().setUp()
        write_png(self.path('sketch.png'), 64, 64, 3,
                  lambda x, y: (180, 60, 50) if (x - 31) ** 2 + (y - 38) ** 2 < 250
                  else (235, 3 * y, 240))
        write_png(self.path('mask.png'), 64, 64, 1, lambda x, y: (255 * is_marked(x, y),))
        self.sketch = Png(self.path('sketch.png'))

    def make(self, name, *arguments):
        self.draw(*QUICK, '-i', 'sketch.png', '-o', name, *arguments, FACE)
        return Png(self.path(name))

    def test_strength_1_is_text_to_image(self):
        self.draw(*QUICK, '-o', 'plain.png', FACE)
        self.assertEqual(self.make('one.png', '--strength', 1).pixels,
                         Png(self.path('plain.png')).pixels)

    def test_more_strength_goes_farther(self):
        before = 0
        for strength in (0, 0.4, 0.9):
            made = self.make('a.png', '--strength', strength)
            error = sum((p - q) ** 2 for p, q in zip(made.pixels, self.sketch.pixels))
            self.assertGreater(error, before)
            before = error

    def test_pixels_outside_of_the_mask_stay(self):
        made = self.make('a.png', '--mask', 'mask.png')
        self.assertEqual(difference(made, self.sketch, lambda x, y: not is_marked(x, y)), 0)
        self.assertGreater(difference(made, self.sketch, is_marked), 500)
        raw = self.make('b.png', '--mask', 'mask.png', '--raw-decode')
        self.assertGreater(difference(raw, self.sketch, lambda x, y: not is_marked(x, y)), 500)
        self.assertEqual(difference(raw, made, is_marked), 0)

    def test_marked_part_is_pasted_back(self):
        made = self.make('a.png', '--mask', 'mask.png', '--inpaint-area', 'masked',
                         '--mask-padding', 4, '-W', 64, '-H', 32)
        self.assertEqual((made.width, made.height), (64, 64))
        self.assertEqual(difference(made, self.sketch, lambda x, y: not is_marked(x, y)), 0)
        self.assertGreater(difference(made, self.sketch, is_marked), 500)

    def test_settings_are_told_and_recalled(self):
        made = self.make('a.png', '--mask', 'mask.png', '--strength', 0.6, '--mask-blur', 2)
        self.assertIn('Denoising strength: 0.6, Mask blur: 2', made.texts['parameters'])
        self.draw('-q', '--from-png', 'a.png', '-i', 'sketch.png', '--mask', 'mask.png',
                  '-o', 'b.png')
        self.assertEqual(Png(self.path('b.png')).pixels, made.pixels)

    def test_size_of_the_marked_part_is_recalled(self):
        self.make('a.png', '--mask', 'mask.png', '--inpaint-area', 'masked', '--mask-padding', 8,
                  '-W', 32, '-H', 48)
        self.draw('--from-png', 'a.png', '-i', 'sketch.png', '--mask', 'mask.png', '-o', 'b.png',
                  '-q')
        a, b = Png(self.path('a.png')), Png(self.path('b.png'))
        self.assertEqual((a.width, a.height, a.texts), (64, 64, b.texts))
        self.assertEqual(a.pixels, b.pixels)

    def test_any_picture_can_be_the_start(self):
        write_png(self.path('alpha.png'), 37, 90, 4, lambda x, y: (x, y, 0, 2 * y))
        for name in ('alpha.png', 'mask.png'):
            self.draw(*QUICK, '-i', name, '-W', 32, '-H', 64, '-o', 'a.png', FACE)
            made = Png(self.path('a.png'))
            self.assertEqual((made.width, made.height), (32, 64))
        self.draw(*QUICK, '-i', 'alpha.png', '-o', 'a.png', FACE)
        made = Png(self.path('a.png'))
        self.assertEqual((made.width, made.height), (36, 88))  # multiples of the scale, 4

    def test_what_does_not_fit_is_refused(self):
        write_png(self.path('small.png'), 32, 64, 1, lambda x, y: (255,))
        write_png(self.path('black.png'), 64, 64, 1, lambda x, y: (0,))
        for arguments in (('--mask', 'mask.png'),
                          ('-i', 'sketch.png', '--mask', 'small.png'),
                          ('-i', 'sketch.png', '--mask', 'black.png'),
                          ('-i', 'sketch.png', '--mask', 'mask.png', '--mask-blur', -1),
                          ('-i', 'sketch.png', '--inpaint-area', 'masked'),
                          ('-i', 'sketch.png', '--inpaint-area', 'some'),
                          ('-i', 'sketch.png', '--strength', 1.5),
                          ('-i', 'sketch.png', '--strength', 'nan'),
                          ('-i', 'sketch.png', '-W', 30),
                          ('--depth-map', 'mask.png')):
            self.refused(USAGE, '-q', *arguments, FACE)
        self.refused(IO, '-q', '-i', 'absent.png', FACE)

    @unittest.skipUnless(os.path.isdir(BAD), 'the fixtures (SDIFF_SHARED_DIR) are absent')
    def test_pngs_of_every_form(self):
        for name, expectation in bad_cases('png'):
            if expectation.startswith('error'):
                self.refused((FORMAT, MEMORY), '-q', '-i', os.path.join(BAD, name), FACE)
            elif expectation == 'ok':
                self.draw(*QUICK, '-i', os.path.join(BAD, name), '-W', 32, '-H', 32, FACE)


if __name__ == '__main__':
    main()
