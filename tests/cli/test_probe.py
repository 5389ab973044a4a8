# SPDX-License-Identifier: MIT
"""sd-probe: tensors in, tensors out."""
import array
import json
import math
import os
import struct

from demo import FORMAT, IO, MISMATCH, SHARED, TINY, USAGE, DemoTest, main

PROBE = os.environ.get('SD_PROBE', '')


def save(path, tensors):
    """tensors: name -> (shape, floats)."""
    header, data = {}, b''
    for name, (shape, values) in tensors.items():
        body = array.array('f', values).tobytes()
        header[name] = {'dtype': 'F32', 'shape': shape,
                        'data_offsets': [len(data), len(data) + len(body)]}
        data += body
    text = json.dumps(header).encode()
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text + data)


def load(path):
    """name -> (shape, floats) of a file of float32 tensors."""
    with open(path, 'rb') as file:
        content = file.read()
    size = struct.unpack('<Q', content[:8])[0]
    tensors = {}
    for name, info in json.loads(content[8:8 + size]).items():
        if name == '__metadata__':
            continue
        begin, end = info['data_offsets']
        tensors[name] = (info['shape'], array.array('f', content[8 + size + begin:8 + size + end]))
    return tensors


def write_vae(folder, width, latent):
    """An autoencoder of one level whose weights are zero."""
    tensors = {}

    def add(name, *shape):
        tensors[name + '.weight'] = (shape, [0] * math.prod(shape))
        tensors[name + '.bias'] = (shape[:1], [0] * shape[0])

    def add_resnets(name, count):
        for i in range(count):
            for norm in ('norm1', 'norm2'):
                add(f'{name}.resnets.{i}.{norm}', width)
            for conv in ('conv1', 'conv2'):
                add(f'{name}.resnets.{i}.{conv}', width, width, 3, 3)

    for half, first, last in (('encoder', 3, 2 * latent), ('decoder', latent, 3)):
        add(f'{half}.conv_in', width, first, 3, 3)
        add_resnets(f'{half}.{"down" if half == "encoder" else "up"}_blocks.0',
                    1 + (half == 'decoder'))
        add_resnets(f'{half}.mid_block', 2)
        add(f'{half}.mid_block.attentions.0.group_norm', width)
        for layer in ('to_q', 'to_k', 'to_v', 'to_out.0'):
            add(f'{half}.mid_block.attentions.0.{layer}', width, width)
        add(f'{half}.conv_norm_out', width)
        add(f'{half}.conv_out', last, width, 3, 3)
    add('quant_conv', 2 * latent, 2 * latent, 1, 1)
    add('post_quant_conv', latent, latent, 1, 1)
    save(os.path.join(folder, 'diffusion_pytorch_model.safetensors'), tensors)
    with open(os.path.join(folder, 'config.json'), 'w', encoding='utf-8') as file:
        json.dump({'_class_name': 'AutoencoderKL', 'block_out_channels': [width],
                   'latent_channels': latent, 'layers_per_block': 1, 'norm_num_groups': width,
                   'down_block_types': ['DownEncoderBlock2D'],
                   'up_block_types': ['UpDecoderBlock2D']}, file)


class Probe(DemoTest):
    def run_probe(self, *arguments):
        return self.run_demo(*arguments, program=PROBE)

    def probe(self, *arguments):
        done = self.draw(*arguments, '--out', 'out.safetensors', program=PROBE)
        self.assertEqual(done.stderr, '')
        return load(self.path('out.safetensors'))

    def noise(self, *arguments):
        return list(self.probe('randn', 'n=64', *arguments)['noise'][1])

    def test_seeds_are_the_bits_that_pytorch_takes(self):
        for rng in ('rng=torch', 'rng=philox'):
            with self.subTest(rng):
                self.assertEqual(self.noise('seed=18446744073709551615', rng),
                                 self.noise('seed=-1', rng))
                self.assertEqual(self.noise('seed=9223372036854775808', rng),
                                 self.noise('seed=-9223372036854775808', rng))
        self.assertEqual(self.noise('seed=4294967303'), self.noise('seed=7'))  # mt19937: 32 bits
        for seed in ('18446744073709551616', '-9223372036854775809', '1e3', '', 'x', '1x'):
            with self.subTest(seed):
                done = self.run_probe('randn', 'n=1', f'seed={seed}', '--out', 'x')
                self.assertEqual(done.returncode, USAGE)

    def test_adaptive_samplers_give_the_latents_of_all_their_steps(self):
        shape = [2, 4, 8, 8]
        save(self.path('in.safetensors'),
             {'noise': (shape, [math.sin(i * i) for i in range(512)])})
        out = self.probe('txt2img', '-m', TINY, '--in', 'in.safetensors', 'prompt=a cat',
                         'sampler=k_dpm_adaptive', 'cfg=3')
        steps = sorted(int(name[8:]) for name in out if name.startswith('latents.'))
        self.assertEqual(steps, list(range(len(steps))))
        self.assertGreater(len(steps), 2)
        self.assertEqual(out[f'latents.{steps[-1]}'], out['latents'])
        self.assertEqual(out['latents'][0], shape)

    def test_misspelt_keys_are_told(self):
        done = self.draw('randn', 'n=1', 'sed=1', '--out', 'x', program=PROBE)
        self.assertEqual(done.stderr, "sd-probe: warning: randn has no key 'sed'\n")

    def test_a_vocabulary_that_is_damaged_is_no_missing_one(self):
        os.mkdir(self.path('damaged'))
        for name in ('vocab.json', 'merges.txt'):
            with open(os.path.join(self.path('damaged'), name), 'w', encoding='utf-8') as file:
                file.write('no')
        for folder, code in (('damaged', FORMAT), ('missing', IO)):
            done = self.run_probe('tokenize', '--vocab', folder, 'prompt=a cat')
            self.assertEqual((done.returncode, done.stdout), (code, ''))

    def link(self, folder, **parts):
        """A diffusers folder whose parts lie elsewhere."""
        os.mkdir(self.path(folder))
        for part in ('model_index.json', 'scheduler', 'text_encoder', 'tokenizer', 'unet', 'vae'):
            os.symlink(parts.get(part, os.path.join(TINY, part)),
                       os.path.join(self.path(folder), part))

    def test_parts_that_do_not_fit_are_refused(self):
        os.mkdir(self.path('vae'))
        write_vae(self.path('vae'), 8, 2)
        self.link('narrow', vae=self.path('vae'))
        done = self.run_probe('txt2img', '-m', 'narrow', 'prompt=a cat', '--out', 'x')
        self.assertEqual(done.returncode, MISMATCH)
        self.assertIn('latents have 2 channels, the U-Net\'s 4', done.stderr)
        done = self.run_probe('txt2img', '-m', TINY, '--vae', 'vae', 'prompt=a cat', '--out', 'x')
        self.assertEqual(done.returncode, MISMATCH)
        if not os.path.isdir(SHARED):
            self.skipTest('no other text encoder')
        tiny = os.path.join(SHARED, 'fixtures', 'tiny-sd1')
        self.link('other', text_encoder=os.path.join(tiny, 'text_encoder'),
                  tokenizer=os.path.join(SHARED, 'fixtures', 'clip-vocab'))
        done = self.run_probe('txt2img', '-m', 'other', 'prompt=a cat', '--out', 'x')
        self.assertEqual(done.returncode, MISMATCH)
        self.assertIn('gives 32 numbers a token, the U-Net needs 96', done.stderr)

    def test_description_as_json(self):
        info = json.loads(self.draw('info', '--json', '-m', TINY, program=PROBE).stdout)
        self.assertEqual((info['family'], info['prediction']), ('sd1', 'epsilon'))
        self.assertEqual(info['unet']['parameters'], 3745220)
        self.assertEqual(info['unet']['dtypes'], {'F16': 324})
        self.assertEqual(info['unmatched'], [])


if __name__ == '__main__':
    main()
