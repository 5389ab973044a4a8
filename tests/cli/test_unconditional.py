# SPDX-License-Identifier: MIT
"""sd-demo with models that know no sentences: of pixels, and of classes."""
import json
import os
import shutil

from demo import SOURCE, TINY, USAGE, DemoTest, Png, main

COMMON = {'_class_name': 'UNet2DModel', 'sample_size': 8, 'norm_num_groups': 4}
PIXELS = {**COMMON, 'in_channels': 3, 'out_channels': 3, 'block_out_channels': [8, 16, 16],
          'layers_per_block': 1, 'norm_eps': 1e-6, 'attention_head_dim': 4,
          'down_block_types': ['DownBlock2D', 'AttnDownBlock2D', 'DownBlock2D'],
          'up_block_types': ['UpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'],
          'downsample_padding': 0, 'flip_sin_to_cos': False, 'freq_shift': 1}
CLASSES = {**COMMON, 'in_channels': 4, 'out_channels': 4, 'block_out_channels': [8, 8],
           'layers_per_block': 2, 'attention_head_dim': None, 'num_class_embeds': 5,
           'down_block_types': ['DownBlock2D', 'AttnDownBlock2D'],
           'up_block_types': ['AttnUpBlock2D', 'UpBlock2D']}
QUICK = ('-q', '-s', 1, '--steps', 3, '--sampling-method', 'ddim')


class Unconditional(DemoTest):
    def write(self, name, value):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), 'w', encoding='utf-8') as file:
            json.dump(value, file)

    def make_model(self, network, config, **parts):
        """A folder of a network of tests/data and the parts of other models."""
        self.write('m/unet/config.json', config)
        self.write('m/scheduler/scheduler_config.json', {'_class_name': 'DDIMScheduler'})
        self.write('m/model_index.json',
                   {'_class_name': 'LDMPipeline', 'unet': ['diffusers', 'UNet2DModel'],
                    'scheduler': ['diffusers', 'DDIMScheduler'], **parts})
        shutil.copy(os.path.join(SOURCE, 'tests', 'data', 'networks', network + '.safetensors'),
                    self.path('m/unet/diffusion_pytorch_model.safetensors'))

    def test_pixels_need_no_sentence(self):
        self.make_model('ddpm', PIXELS)
        self.draw(*QUICK, '-m', 'm', '-o', 'a.png', '-W', 16, '-H', 8)
        self.draw(*QUICK, '-m', 'm', '-o', 'b.png', '-W', 16, '-H', 8, '')
        made = Png(self.path('a.png'))
        self.assertEqual((made.width, made.height), (16, 8))
        self.assertEqual(made.pixels, Png(self.path('b.png')).pixels)

    def test_classes_are_chosen_and_recalled(self):
        self.make_model('class_conditional', CLASSES, vae=['diffusers', 'AutoencoderKL'])
        shutil.copytree(os.path.join(TINY, 'vae'), self.path('m/vae'))
        seen = []
        for label in range(5):
            self.draw(*QUICK, '-m', 'm', '-o', 'a.png', '--class', label)
            seen.append(Png(self.path('a.png')).pixels)
        self.assertEqual(len(set(seen)), 5)
        self.draw('-q', '-m', 'm', '--from-png', 'a.png', '-o', 'b.png')
        self.assertEqual(Png(self.path('b.png')).pixels, seen[4])
        self.refused(USAGE, *QUICK, '-m', 'm', '--class', 5)
        self.refused(USAGE, *QUICK, '-m', 'm', '--class', -1)

    def test_models_of_sentences_need_one(self):
        self.refused(USAGE, *QUICK)
        self.refused(USAGE, *QUICK, '-m', TINY)


if __name__ == '__main__':
    main()
