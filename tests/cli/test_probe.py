# SPDX-License-Identifier: MIT
"""sd-probe: tensors in, tensors out."""
import array
import json
import math
import os
import struct

from demo import TINY, USAGE, DemoTest, main

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

    def test_description_as_json(self):
        info = json.loads(self.draw('info', '--json', '-m', TINY, program=PROBE).stdout)
        self.assertEqual((info['family'], info['prediction']), ('sd1', 'epsilon'))
        self.assertEqual(info['unet']['parameters'], 3745220)
        self.assertEqual(info['unet']['dtypes'], {'F16': 324})
        self.assertEqual(info['unmatched'], [])


if __name__ == '__main__':
    main()
