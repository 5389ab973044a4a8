/* SPDX-License-Identifier: MIT
 *
 * The layers of Stable Diffusion 1.5's U-Net at 512x512 pixels for a guided step (a batch of 2),
 * and how often each shape occurs. Queries, keys and values of self-attention are one product; keys
 * and values of the prompt are computed once an image and not listed.
 */
#ifndef BENCH_LAYERS_SD15_H
#define BENCH_LAYERS_SD15_H

#include <stdint.h>

typedef enum layer_kind { LINEAR, CONV, ATTENTION, GROUP_NORM, LAYER_NORM } layer_kind;

typedef struct layer {
    layer_kind kind;
    int32_t count;
    int32_t size[6];
} layer;

static const layer layers[] = {
    /* rows, outputs, inputs, GEGLU */
    {LINEAR, 25, {8192, 320, 320, 0}},
    {LINEAR, 5, {8192, 320, 1280, 0}},
    {LINEAR, 5, {8192, 960, 320, 0}},
    {LINEAR, 5, {8192, 2560, 320, 1}},
    {LINEAR, 25, {2048, 640, 640, 0}},
    {LINEAR, 5, {2048, 640, 2560, 0}},
    {LINEAR, 5, {2048, 1920, 640, 0}},
    {LINEAR, 5, {2048, 5120, 640, 1}},
    {LINEAR, 25, {512, 1280, 1280, 0}},
    {LINEAR, 5, {512, 1280, 5120, 0}},
    {LINEAR, 5, {512, 3840, 1280, 0}},
    {LINEAR, 5, {512, 10240, 1280, 1}},
    {LINEAR, 5, {128, 1280, 1280, 0}},
    {LINEAR, 1, {128, 1280, 5120, 0}},
    {LINEAR, 1, {128, 3840, 1280, 0}},
    {LINEAR, 1, {128, 10240, 1280, 1}},
    {LINEAR, 5, {2, 320, 1280, 0}},
    {LINEAR, 5, {2, 640, 1280, 0}},
    {LINEAR, 1, {2, 1280, 320, 0}},
    {LINEAR, 13, {2, 1280, 1280, 0}},
    /* side of the input, channels in, channels out, kernel, stride, upsampled */
    {CONV, 1, {64, 4, 320, 3, 1, 0}},
    {CONV, 1, {64, 320, 4, 3, 1, 0}},
    {CONV, 7, {64, 320, 320, 3, 1, 0}},
    {CONV, 1, {64, 320, 320, 3, 2, 0}},
    {CONV, 2, {64, 640, 320, 1, 1, 0}},
    {CONV, 2, {64, 640, 320, 3, 1, 0}},
    {CONV, 1, {64, 960, 320, 1, 1, 0}},
    {CONV, 1, {64, 960, 320, 3, 1, 0}},
    {CONV, 1, {32, 320, 640, 1, 1, 0}},
    {CONV, 1, {32, 320, 640, 3, 1, 0}},
    {CONV, 6, {32, 640, 640, 3, 1, 0}},
    {CONV, 1, {32, 640, 640, 3, 1, 1}},
    {CONV, 1, {32, 640, 640, 3, 2, 0}},
    {CONV, 1, {32, 960, 640, 1, 1, 0}},
    {CONV, 1, {32, 960, 640, 3, 1, 0}},
    {CONV, 1, {32, 1280, 640, 1, 1, 0}},
    {CONV, 1, {32, 1280, 640, 3, 1, 0}},
    {CONV, 1, {32, 1920, 640, 1, 1, 0}},
    {CONV, 1, {32, 1920, 640, 3, 1, 0}},
    {CONV, 1, {16, 640, 1280, 1, 1, 0}},
    {CONV, 1, {16, 640, 1280, 3, 1, 0}},
    {CONV, 6, {16, 1280, 1280, 3, 1, 0}},
    {CONV, 1, {16, 1280, 1280, 3, 1, 1}},
    {CONV, 1, {16, 1280, 1280, 3, 2, 0}},
    {CONV, 1, {16, 1920, 1280, 1, 1, 0}},
    {CONV, 1, {16, 1920, 1280, 3, 1, 0}},
    {CONV, 2, {16, 2560, 1280, 1, 1, 0}},
    {CONV, 2, {16, 2560, 1280, 3, 1, 0}},
    {CONV, 11, {8, 1280, 1280, 3, 1, 0}},
    {CONV, 1, {8, 1280, 1280, 3, 1, 1}},
    {CONV, 3, {8, 2560, 1280, 1, 1, 0}},
    {CONV, 3, {8, 2560, 1280, 3, 1, 0}},
    /* queries, keys, heads, numbers a head */
    {ATTENTION, 5, {4096, 77, 8, 40}},
    {ATTENTION, 5, {4096, 4096, 8, 40}},
    {ATTENTION, 5, {1024, 77, 8, 80}},
    {ATTENTION, 5, {1024, 1024, 8, 80}},
    {ATTENTION, 5, {256, 77, 8, 160}},
    {ATTENTION, 5, {256, 256, 8, 160}},
    {ATTENTION, 1, {64, 64, 8, 160}},
    {ATTENTION, 1, {64, 77, 8, 160}},
    /* pixels, channels, SiLU */
    {GROUP_NORM, 5, {4096, 320, 0}},
    {GROUP_NORM, 8, {4096, 320, 1}},
    {GROUP_NORM, 2, {4096, 640, 1}},
    {GROUP_NORM, 1, {4096, 960, 1}},
    {GROUP_NORM, 1, {1024, 320, 1}},
    {GROUP_NORM, 5, {1024, 640, 0}},
    {GROUP_NORM, 6, {1024, 640, 1}},
    {GROUP_NORM, 1, {1024, 960, 1}},
    {GROUP_NORM, 1, {1024, 1280, 1}},
    {GROUP_NORM, 1, {1024, 1920, 1}},
    {GROUP_NORM, 1, {256, 640, 1}},
    {GROUP_NORM, 5, {256, 1280, 0}},
    {GROUP_NORM, 6, {256, 1280, 1}},
    {GROUP_NORM, 1, {256, 1920, 1}},
    {GROUP_NORM, 2, {256, 2560, 1}},
    {GROUP_NORM, 1, {64, 1280, 0}},
    {GROUP_NORM, 11, {64, 1280, 1}},
    {GROUP_NORM, 3, {64, 2560, 1}},
    /* rows, channels */
    {LAYER_NORM, 15, {8192, 320}},
    {LAYER_NORM, 15, {2048, 640}},
    {LAYER_NORM, 15, {512, 1280}},
    {LAYER_NORM, 3, {128, 1280}},
};

#endif
