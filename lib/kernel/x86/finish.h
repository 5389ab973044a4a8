/* SPDX-License-Identifier: MIT
 *
 * What is done before and after the tile kernel, written once for all vector widths; included by
 * tile_<isa>.c after vec_<isa>.h.
 */
#include "kernel/x86/doubled.h"
#include "kernel/x86/vmath.h"

/* 2 * VEC lanes give VEC columns. */
static void finish_geglu(const x86_finish *f)
{
    for (int32_t r = 0; r < f->rows; r++) {
        for (int32_t column = 0; column < f->columns; column += VEC) {
            const float *c = f->c + r * PANEL + 2 * column, *bias = f->bias + 2 * column;
            vec values, gates;
            vec_split_geglu(vec_add(vec_load(c, VEC), vec_load(bias, VEC)),
                            vec_add(vec_load(c + VEC, VEC), vec_load(bias + VEC, VEC)), &values,
                            &gates);
            vec_store(f->out + r * f->out_ld + column, vec_mul(values, vec_gelu(gates)),
                      f->columns - column);
        }
    }
}

/* The tile is in the first-level cache. */
static void finish(const x86_finish *f)
{
    if (f->act == SDI_ACT_GEGLU) {
        finish_geglu(f);
        return;
    }
    for (int32_t column = 0; column < f->columns; column += VEC) {
        const int32_t count = f->columns - column;
        vec bias = vec_load(f->bias + column, VEC);
        vec add = f->add ? vec_load(f->add + column, count) : vec_set(0.0f);
        for (int32_t r = 0; r < f->rows; r++) {
            vec x = vec_add(vec_load(f->c + r * PANEL + column, VEC), bias);
            x = vec_add(vec_activate(f->act, x), add);
            if (f->residual)
                x = vec_add(x, vec_load(f->residual + r * f->residual_ld + column, count));
            vec_store(f->out + r * f->out_ld + column, x, count);
        }
    }
}

static void double_taps(const float *b, int64_t b_tap, int64_t k, float *out)
{
    for (int64_t i = 0; i < k * PANEL; i += VEC) {
        vec nine[3][3], taps[4][4];
        for (int tap = 0; tap < 9; tap++)
            nine[tap / 3][tap % 3] = vec_load(b + tap * b_tap + i, VEC);
        doubled_taps(nine, taps);
        for (int tap = 0; tap < 16; tap++)
            vec_store(out + tap * k * PANEL + i, taps[tap / 4][tap % 4], VEC);
    }
}
