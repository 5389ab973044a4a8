/* SPDX-License-Identifier: MIT
 *
 * Where a convolution reads.
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

#endif
