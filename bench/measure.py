#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs bench_images for each way of working, several rounds, and prints medians as a table.

    bench/measure.py BUILD MODEL VOCAB [--rounds 3] [--sd2 MODEL] [--only WORD]

The ways are interleaved, so that a slow minute of the machine falls on all of them. Each figure
stands beside the sgemm of its own run; --sd2 names a model of 768x768.
"""
import argparse
import re
import statistics
import subprocess
from pathlib import Path

NUMBER = r'\s+([\d.]+)'
FIGURES = {
    'sgemm': r'sgemm 4096 cubed' + NUMBER, 'amx': r'AMX tiles' + NUMBER,
    'load': r'loading' + NUMBER, 'text': r'text, before the first step' + NUMBER,
    'step': r'guided step \(median\)' + NUMBER,
    'rate': r'guided step \(median\).*GFLOP' + NUMBER + ' GFLOP/s',
    'decode': r'decoding' + NUMBER, 'decode rate': r'decoding.*GFLOP' + NUMBER + ' GFLOP/s',
    'picture': r'prompt to picture' + NUMBER, 'memory': r'memory' + NUMBER,
}
WAYS = {
    'OpenBLAS alone, f32': '--kernels ref,openblas --compute f32',
    'AVX2, f32': '--kernels ref,openblas,avx2 --compute f32',
    'AVX-512, f32': '--kernels ref,openblas,avx2,avx512 --compute f32',
    'auto': '',
    'auto, 2 threads': '--threads 2',
    'auto, limit 1 GiB': '--memory-limit 1024',
    'auto, 512x768': '--width 512 --height 768',
    'auto, 768x768': '--width 768 --height 768',
    'auto, 20 steps': '--steps 20',
}
SD2 = {'SD 2.1, auto, 768x768': '--width 768 --height 768'}


def measure(program, model, vocab, arguments):
    text = subprocess.run([program, model, '--vocab', vocab, *arguments.split()], check=True,
                          capture_output=True, text=True).stdout
    found = {name: re.search(pattern, text) for name, pattern in FIGURES.items()}
    return {name: float(match[1]) for name, match in found.items() if match}


def show(name, rounds):
    m = {figure: statistics.median(r[figure] for r in rounds) for figure in rounds[0]}
    spread = sorted(r['step'] for r in rounds)
    of = statistics.median(100 * r['rate'] / r['sgemm'] for r in rounds)
    amx = [100 * r['rate'] / r['amx'] for r in rounds if 'amx' in r]
    tiles = f' {statistics.median(amx):.0f} % of AMX' if amx else ''
    print(f"| {name} | {m['step']:.2f} ({spread[0]:.2f} to {spread[-1]:.2f}) | {m['rate']:.0f} | "
          f"{of:.0f} %{tiles} | {m['decode']:.2f} | {m['text']:.0f} | {m['picture']:.1f} | "
          f"{m['load']:.2f} | {m['memory']:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('build', type=Path)
    parser.add_argument('model')
    parser.add_argument('vocab')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--sd2')
    parser.add_argument('--only', default='')
    args = parser.parse_args()
    ways = [(name, args.model, words) for name, words in WAYS.items()]
    ways += [(name, args.sd2, words) for name, words in SD2.items() if args.sd2]
    ways = [way for way in ways if args.only in way[0]]
    results = {name: [] for name, _, _ in ways}
    for _ in range(args.rounds):
        for name, model, words in ways:
            results[name].append(measure(args.build / 'bench' / 'bench_images', model, args.vocab,
                                         words))
    sgemm = [r['sgemm'] for rounds in results.values() for r in rounds]
    print(f'sgemm {min(sgemm):.0f} to {max(sgemm):.0f} GFLOP/s, {args.rounds} rounds\n')
    print('| | s a step | GFLOP/s | of sgemm | decode s | text ms | picture s | load s | GB |')
    print('|---|---|---|---|---|---|---|---|---|')
    for name, rounds in results.items():
        show(name, rounds)


if __name__ == '__main__':
    main()
