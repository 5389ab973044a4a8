#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints how far a compute type leads away from float32.

    bench/exactness.py BUILD [--compute bf16] [--seeds 2] [--real MODEL --vocab VOCAB]

Pictures of the small model that comes with the project, 20 steps: relative L2 of the final latents
and PSNR of the pictures. With --real, U-Net and decoder of a checkpoint of real size on random
inputs: relative L2 of their outputs. Needs python3-numpy.
"""
import argparse
import json
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parent.parent
PROMPTS = ('a gray cat with green eyes', 'a red apple', 'a woman with green eyes and red hair')
SAMPLERS = ('ddim', 'euler', 'dpmpp_2m')


def write(path, tensors):
    header, data = {}, b''
    for name, array in tensors.items():
        header[name] = {'dtype': 'F32', 'shape': array.shape,
                        'data_offsets': [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack('<Q', len(text)) + text + data)


def read(path):
    data = path.read_bytes()
    start = 8 + struct.unpack('<Q', data[:8])[0]
    found = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != '__metadata__':
            first, end = entry['data_offsets']
            array = numpy.frombuffer(data[start + first:start + end], numpy.float32)
            found[name] = array.reshape(entry['shape']).astype(numpy.float64)
    return found


class Probe:
    def __init__(self, build, compute, folder):
        self.program, self.compute, self.folder = build / 'tools' / 'sd-probe', compute, folder

    def run(self, compute, component, *arguments):
        out = self.folder / 'out.safetensors'
        subprocess.run([self.program, component, '--compute', compute, '--out', out, *arguments],
                       check=True)
        return read(out)

    def both(self, *arguments):
        return self.run(self.compute, *arguments), self.run('f32', *arguments)


def relative_l2(got, want):
    return numpy.linalg.norm(got - want) / numpy.linalg.norm(want)


def psnr(got, want):
    return -10 * numpy.log10(numpy.mean((got - want) ** 2) + 1e-20)


def compare_pictures(probe, seeds):
    for sampler in SAMPLERS:
        errors, ratios = [], []
        for prompt in PROMPTS:
            for seed in range(seeds):
                got, want = probe.both('txt2img', '-m', ROOT / 'models' / 'tinysd', 'steps=20',
                                       f'prompt={prompt}', f'seed={seed}', f'sampler={sampler}')
                errors.append(relative_l2(got['latents'], want['latents']))
                ratios.append(psnr(got['image'], want['image']))
        print(f'{sampler}: latents relative L2 mean {numpy.mean(errors):.1e} '
              f'median {numpy.median(errors):.1e}, PSNR {min(ratios):.1f} to {max(ratios):.1f}, '
              f'median {numpy.median(ratios):.1f} ({len(errors)} pictures)', flush=True)


def compare_networks(probe, model, vocab):
    random = numpy.random.default_rng(1)
    given = probe.folder / 'in.safetensors'
    info = json.loads(subprocess.run([probe.program, 'info', '--json', '-m', model], check=True,
                                     capture_output=True, text=True).stdout)
    width = info['unet']['cross_attention_dim']
    inputs = {'unet': {'sample': random.standard_normal((1, 4, 64, 64), numpy.float32),
                       'timestep': numpy.array([500], numpy.float32),
                       'context': random.standard_normal((1, 77, width), numpy.float32)},
              'vae-decode': {'z': random.standard_normal((1, 4, 64, 64), numpy.float32)}}
    for component, tensors in inputs.items():
        write(given, tensors)
        got, want = probe.both(component, '-m', model, '--vocab', vocab, '--in', given)
        for name in got:
            print(f'{component}: relative L2 {relative_l2(got[name], want[name]):.1e}',
                  flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('build', type=Path)
    parser.add_argument('--compute', default='bf16')
    parser.add_argument('--seeds', type=int, default=2)
    parser.add_argument('--real')
    parser.add_argument('--vocab')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        probe = Probe(arguments.build, arguments.compute, Path(folder))
        compare_pictures(probe, arguments.seeds)
        if arguments.real:
            compare_networks(probe, arguments.real, arguments.vocab)


if __name__ == '__main__':
    main()
