#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rebuilds docs/gallery.md and its pictures: gallery.py [SD_DEMO], from the project's folder.

The inputs (a sketch, a mask) are drawn here; everything else is what the command lines in the
gallery make with the model that comes with the project.
"""
import os
import shlex
import struct
import subprocess
import sys
import zlib

PICTURES = "docs/pictures"
DEMO = sys.argv[1] if len(sys.argv) > 1 else "build/tools/sd-demo"


def write_png(name, size, pixel):
    """An RGB picture whose pixels are pixel(x, y)."""
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(size)) for y in range(size))

    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    with open(f"{PICTURES}/{name}.png", "wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) +
                  chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def apple_sketch(x, y):
    """A red blob with a stem on white, as one draws it in five seconds."""
    if (x - 32) ** 2 + (y - 38) ** 2 < 17 ** 2:
        return 200, 40, 40
    if 31 <= x <= 33 and 12 <= y <= 22:
        return 90, 60, 30
    return 250, 250, 250


def eye_mask(x, y):
    """White over the two eyes of the cat."""
    inside = any((x - cx) ** 2 + (y - 29) ** 2 < 8 ** 2 for cx in (21, 38))
    return (255, 255, 255) if inside else (0, 0, 0)


def demo(name, *arguments):
    """Runs one command line; returns it as a user would type it."""
    line = [*arguments, "-o", f"{PICTURES}/{name}.png"]
    print("sd-demo " + shlex.join(line), flush=True)
    subprocess.run([DEMO, "-q", *line], check=True)
    return "sd-demo " + shlex.join(line)


def section(title, text, shots, extra=()):
    """Pictures side by side, then the command lines that made them."""
    commands = [demo(name, *arguments) for name, _, arguments in shots]
    cells = [*extra, *((name, caption) for name, caption, _ in shots)]
    return "\n".join([
        f"## {title}", "", text, "",
        "| " + " | ".join(caption for _, caption in cells) + " |",
        "|" + " --- |" * len(cells),
        "| " + " | ".join(f"![{caption}](pictures/{name}.png)" for name, caption in cells) + " |",
        "", "```", *commands, "```", ""])


def gallery():
    cat = "a gray cat with green eyes on a white background"
    apple = "a green apple with a stem"
    cfg = "a brown dog with blue eyes on a green background"
    write_png("sketch", 64, apple_sketch)
    write_png("eyes-mask", 64, eye_mask)
    return [
        section("Text to image", "A sentence becomes a picture.",
                [("cat", "seed 7", [cat, "-s", "7"]),
                 ("star", "another sentence",
                  ["a big purple star on a yellow background", "-s", "7"]),
                 ("woman", "a face", ["a woman with green eyes and red hair", "-s", "7"])]),
        section("The steps of the reverse diffusion",
                "What the model believes the picture to be after each of 20 steps; the last one is "
                "the decoded result.",
                [("cat-again", "the result",
                  [cat, "-s", "7", "--filmstrip", f"{PICTURES}/cat-steps.png"])],
                [("cat-steps", "the steps")]),
        section("Classifier-free guidance",
                "One seed under a growing weight of the sentence: at 0 it is not heard at all.",
                [(f"cfg-{g}", f"CFG {g}", [cfg, "-s", "7", "--cfg-scale", g])
                 for g in ("0", "1", "3", "7")]),
        section("Negative prompt",
                "The same seed; the negative prompt takes the white of the background away.",
                [("negative-without", "without", ["a cat", "-s", "4", "--cfg-scale", "5"]),
                 ("negative-with", "-n \"a white background\"",
                  ["a cat", "-n", "a white background", "-s", "4", "--cfg-scale", "5"])]),
        section("Image to image",
                "A sketch of an apple, diffused forward by a part of the way and drawn anew: the "
                "strength says how far.",
                [(f"apple-{s}", f"strength {s}",
                  ["a red apple with a stem", "-i", f"{PICTURES}/sketch.png", "--strength", s,
                   "-s", "3", "--steps", "30"])
                 for s in ("0.3", "0.6", "0.9")],
                [("sketch", "the sketch")]),
        section("Inpainting",
                "Only what is white in the mask is made anew; every other pixel stays as it was, "
                "bit by bit.",
                [("cat-blue", "blue eyes",
                  ["a gray cat with blue eyes on a white background", "-i", f"{PICTURES}/cat.png",
                   "--mask", f"{PICTURES}/eyes-mask.png", "-s", "5"])],
                [("cat", "before"), ("eyes-mask", "the mask")]),
        section("Samplers",
                "Some of the ways from noise to the picture (`sd-demo --list-samplers`), one seed.",
                [(f"sampler-{name}", name, [apple, "-s", "7", "--sampling-method", name])
                 for name in ("ddim", "euler_a", "k_dpmpp_2m", "unipc")]),
        section("Prompt language",
                "Weights, and prompts that change while the picture is made.",
                [("weight", "an orange (cat:1.3)", ["an orange (cat:1.3)", "-s", "7"]),
                 ("edit", "[a cat:a dog:0.3]",
                  ["[a cat:a dog:0.3] on a blue background", "-s", "7"])]),
    ]


def main():
    os.makedirs(PICTURES, exist_ok=True)
    with open("docs/gallery.md", "w", encoding="utf-8") as out:
        out.write("# Gallery\n\nEvery picture is made by `tools/gallery.py` with the small model "
                  "that comes with the project (64 x 64 pixels);\nthe command lines below are what "
                  "it runs.\n\n")
        out.write("\n".join(gallery()))


main()
