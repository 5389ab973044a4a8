/* SPDX-License-Identifier: MIT
 *
 * What is done before and after the tile kernel, written once for all vector widths; included by
 * tile_<isa>.c after vec_<isa>.h.
 */
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

/* Row or column i of three becomes {0}, {1 + 2} for the even outputs, {0 + 1}, {2} for the odd. */
static inline void double_line(const vec in[3], vec out[4])
{
    out[0] = in[0];
    out[1] = vec_add(in[1], in[2]);
    out[2] = vec_add(in[0], in[1]);
    out[3] = in[2];
}

static void double_taps(const float *b, int64_t b_tap, int64_t k, float *out)
{
    for (int64_t i = 0; i < k * PANEL; i += VEC) {
        vec columns[3][4], taps[4][4]; // [kx][y], [y][x]: phase * 2 + tap each
        for (int kx = 0; kx < 3; kx++) {
            vec lines[3];
            for (int ky = 0; ky < 3; ky++)
                lines[ky] = vec_load(b + (ky * 3 + kx) * b_tap + i, VEC);
            double_line(lines, columns[kx]);
        }
        for (int y = 0; y < 4; y++) {
            const vec lines[3] = {columns[0][y], columns[1][y], columns[2][y]};
            double_line(lines, taps[y]);
            for (int x = 0; x < 4; x++) {
                const int phase = y / 2 * 2 + x / 2, tap = y % 2 * 2 + x % 2;
                vec_store(out + (phase * 4 + tap) * k * PANEL + i, taps[y][x], VEC);
            }
        }
    }
}
