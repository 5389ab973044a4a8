/* SPDX-License-Identifier: MIT
 *
 * The AVX-512 tile: up to 14 rows x 32 columns in 28 accumulators, per k two loads of the panel and
 * one broadcast a row. 28 multiply-adds against 16 loads: bound by the multipliers.
 */
#include "kernel/x86/products.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

INLINE void tile(const x86_tile *t, const int rows, const int halves)
{
    __m512 c[TILE_ROWS_MAX][2];
    float *const out = t->c;
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int h = 0; h < halves; h++)
            c[r][h] = t->add ? _mm512_load_ps(out + r * PANEL + h * 16) : _mm512_setzero_ps();
    for (int32_t tap = 0; tap < t->tap_count; tap++) {
        const float *a = t->a + t->taps[tap];
        const float *b = t->b + tap * t->b_tap;
        const float *const end = b + t->k * PANEL;
        for (; b < end; b += PANEL, a += t->a_pitch) {
            __m512 lanes[2];
#pragma GCC unroll 2
            for (int h = 0; h < halves; h++)
                lanes[h] = _mm512_load_ps(b + h * 16);
#pragma GCC unroll 14
            for (int r = 0; r < rows; r++) {
                const __m512 row = _mm512_set1_ps(a[r]);
#pragma GCC unroll 2
                for (int h = 0; h < halves; h++)
                    c[r][h] = _mm512_fmadd_ps(row, lanes[h], c[r][h]);
            }
        }
    }
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int h = 0; h < halves; h++)
            _mm512_store_ps(out + r * PANEL + h * 16, c[r][h]);
}

#define TILE(rows)                                                                                 \
    static void tile_##rows(const x86_tile *t)                                                     \
    {                                                                                              \
        tile(t, rows, 2);                                                                          \
    }                                                                                              \
    static void half_##rows(const x86_tile *t)                                                     \
    {                                                                                              \
        tile(t, rows, 1);                                                                          \
    }

TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7)
TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)

static void run_tile(const x86_tile *t)
{
    static void (*const tiles[2][TILE_ROWS_MAX])(const x86_tile *) = {
        {half_1, half_2, half_3, half_4, half_5, half_6, half_7, half_8, half_9, half_10, half_11,
         half_12, half_13, half_14},
        {tile_1, tile_2, tile_3, tile_4, tile_5, tile_6, tile_7, tile_8, tile_9, tile_10, tile_11,
         tile_12, tile_13, tile_14}};
    tiles[t->lanes > 16][t->rows - 1](t);
}

#include "kernel/x86/vec_avx512.h"

#include "kernel/x86/few_rows_tmpl.h"
#include "kernel/x86/finish.h"
#include "kernel/x86/narrow_tmpl.h"

static void transpose(const float *const rows[8], int64_t columns, float *strip, int64_t pitch,
                      int64_t ahead)
{
    sdi_x86_isa_avx2.transpose(rows, columns, strip, pitch, ahead);
}

const x86_isa sdi_x86_isa_avx512 = {
    .tile_rows = TILE_ROWS_MAX,
    .tile_lanes = PANEL,
    .strip_rows = 16,
    .few = 6,
    .linear_k = 1280,
    .conv_k = 2880,
    .stride_k = 2880,
    .tile = run_tile,
    .finish = finish,
    .few_rows = few_rows,
    .narrow = narrow,
    .transpose = transpose,
    .double_taps = double_taps,
};
