/* SPDX-License-Identifier: MIT
 *
 * How the rows of a bf16 product fall into blocks, places of a strip, and runs of 16 places. A
 * linear layer is a convolution of one tap over one line of pixels.
 */
#ifndef SDI_KERNEL_X86_BF16_GEOMETRY_H
#define SDI_KERNEL_X86_BF16_GEOMETRY_H

#include "kernel/x86/bf16.h"

enum { BF16_RUNS_MAX = 48 }; // of a block

/* A block is a rectangle of output pixels of one or several images. Its strip holds the lines of
 * input that it reads, halo and resizing included: place = (image * lines + y) * line +
 * x % stride * phase + x / stride. */
typedef struct bf16_geometry {
    sdi_conv a;
    sdi_act act;
    int64_t images, height, width; // of a block, output pixels
    int64_t down, across, blocks;  // blocks in a column and in a row of an image, in all
    int64_t phase, line, lines;    // places of a phase, of a line; lines of an image
    int64_t places;                // of a strip: its blocks of channels are so many apart
    int64_t out_line;              // rows of out from one line to the next: ow, or more
    int32_t flat;                  // runs cross the ends of lines and compute the halo in vain
} bf16_geometry;

/* Rows of a run that are consecutive rows of out. */
typedef struct bf16_stretch {
    int32_t first, rows;
    int64_t out, image;
} bf16_stretch;

typedef struct bf16_run {
    int32_t at; // first place
    int32_t rows, stretch_count;
    bf16_stretch stretches[BF16_STRETCHES_MAX];
} bf16_run;

bf16_geometry sdi_x86_bf16_geometry_linear(const bf16_isa *isa, const sdi_linear *a);
bf16_geometry sdi_x86_bf16_geometry_conv(const bf16_isa *isa, const sdi_conv *a);

/* bf16_product.c: the product. */
void sdi_x86_bf16_product(const bf16_isa *isa, const sdi_exec *exec, const bf16_geometry *g);
size_t sdi_x86_bf16_product_scratch(const bf16_isa *isa, const bf16_geometry *g, int32_t workers);

/* The runs of a block; returns how many. */
int32_t sdi_x86_bf16_runs(const bf16_geometry *g, int64_t block, bf16_run *runs);
/* Place of a tap, from that of the tap (0, 0). */
int64_t sdi_x86_bf16_tap(const bf16_geometry *g, int64_t tap);
/* Elements of a strip, of one part. */
int64_t sdi_x86_bf16_strip_size(const bf16_geometry *g);
/* Rounds channels [k0, k1) of a block's input into its strip, all parts; k0 a multiple of
 * BF16_STEP. */
void sdi_x86_bf16_fill(const bf16_geometry *g, const bf16_isa *isa, int64_t block, int64_t k0,
                       int64_t k1, uint16_t *strip);

#endif
