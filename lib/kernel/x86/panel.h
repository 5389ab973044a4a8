/* SPDX-License-Identifier: MIT
 *
 * The packed float32 weight that the AVX2 and AVX-512 products share:
 *
 *     [panel][tap][k][lane]        32 lanes, tap = ky * kw + kx
 *
 * A panel holds 32 output channels, so that one step of k reads 128 consecutive bytes: two zmm or
 * four ymm registers. Lanes beyond the last channel are zero. Any range of k of a tap is
 * contiguous, so blocking over k is left to the products.
 *
 * Plain: lane l of panel p is row 32 p + l. GEGLU: a panel holds 16 values and their 16 gates in
 * groups of eight (8 values, 8 gates, 8 values, 8 gates), so that the epilogue of one tile has both
 * and each half panel is complete for AVX2.
 */
#ifndef SDI_KERNEL_X86_PANEL_H
#define SDI_KERNEL_X86_PANEL_H

#include "kernel/kernel.h"

enum {
    PANEL = 32,
    PANEL_GROUP = 8 // lanes of consecutive rows, in both orders
};

static inline int64_t panel_count(const sdi_packed *w)
{
    const int64_t lanes = w->geglu ? PANEL / 2 : PANEL, rows = w->geglu ? w->n / 2 : w->n;
    return (rows + lanes - 1) / lanes;
}

static inline int64_t panel_floats(const sdi_packed *w)
{
    return w->k * w->kh * w->kw * PANEL;
}

/* Logical row of a lane (its group's first row + position), or -1 for a lane of padding. */
static inline int64_t panel_row(const sdi_packed *w, int64_t panel, int32_t lane)
{
    if (!w->geglu) {
        const int64_t row = panel * PANEL + lane;
        return row < w->n ? row : -1;
    }
    const int32_t group = lane / PANEL_GROUP;
    const int64_t column = panel * (PANEL / 2) + group / 2 * PANEL_GROUP + lane % PANEL_GROUP;
    if (column >= w->n / 2)
        return -1;
    return group % 2 ? w->n / 2 + column : column;
}

#endif
