/* SPDX-License-Identifier: MIT
 *
 * Where a convolution reads, and which convolutions are simpler than they look.
 */
#ifndef SDI_KERNEL_GEOMETRY_H
#define SDI_KERNEL_GEOMETRY_H

#include "kernel/kernel.h"

/* Row of x that tap (ty, tx) of output pixel `pixel` reads, or -1 for a zero of the padding. */
static inline int64_t sdi_conv_source(const sdi_conv *a, int64_t pixel, int64_t ty, int64_t tx)
{
    const int64_t image = pixel / (a->oh * a->ow);
    const int64_t y = pixel / a->ow % a->oh * a->stride - a->pad_top + ty;
    const int64_t x = pixel % a->ow * a->stride - a->pad_left + tx;
    if (y < 0 || y >= a->up_h || x < 0 || x >= a->up_w)
        return -1;
    if (a->up_h == a->h && a->up_w == a->w) // spares divisions
        return (image * a->h + y) * a->w + x;
    return (image * a->h + y * a->h / a->up_h) * a->w + x * a->w / a->up_w;
}

/* Input row or column that index i of the resized image is read from, -1 outside of it. */
static inline int64_t sdi_resized_source(int64_t i, int64_t size, int64_t resized)
{
    if (i < 0 || i >= resized)
        return -1;
    return size == resized ? i : i * size / resized;
}

/* A 1x1 convolution that moves nothing is a linear layer over all pixels. */
static inline int sdi_conv_is_linear(const sdi_conv *a)
{
    return a->wt->kh == 1 && a->wt->kw == 1 && a->stride == 1 && !a->pad_top && !a->pad_left &&
           a->up_h == a->h && a->up_w == a->w && a->oh == a->h && a->ow == a->w &&
           !a->channel_add.data;
}

static inline sdi_linear sdi_conv_as_linear(const sdi_conv *a)
{
    return (sdi_linear){.m = a->n * a->oh * a->ow, .x = a->x, .w = a->wt, .bias = a->bias,
                        .residual = a->residual, .out = a->out};
}

/* 3x3 on an image doubled by repetition, of the same size. */
static inline int sdi_conv_is_doubled(const sdi_conv *a)
{
    return a->wt->kh == 3 && a->wt->kw == 3 && a->stride == 1 && a->pad_top == 1 &&
           a->pad_left == 1 && a->up_h == 2 * a->h && a->up_w == 2 * a->w && a->oh == a->up_h &&
           a->ow == a->up_w;
}

#endif
