/* SPDX-License-Identifier: MIT
 *
 * The AVX2 tile: up to 6 rows x 16 columns in 12 accumulators. Per k two loads, six broadcasts, one
 * prefetch and 12 multiply-adds. Also the copy into strips, for both sets.
 */
#include "kernel/x86/products.h"
#include "kernel/x86/transpose_avx2.h"

#include "base/attributes.h"

#define INLINE static inline __attribute__((always_inline))

enum { ROWS = 6, LINE = 16 };

INLINE void tile(const x86_tile *t, const int rows)
{
    __m256 c[ROWS][2];
    float *const out = t->c;
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++)
            c[r][h] = t->add ? _mm256_load_ps(out + r * PANEL + h * 8) : _mm256_setzero_ps();
    for (int32_t tap = 0; tap < t->tap_count; tap++) {
        const float *a = t->a + t->taps[tap];
        const float *b = t->b + tap * t->b_tap;
        const float *const end = b + t->k * PANEL;
        const char *fetch = t->fetch + tap * t->b_tap * (int64_t)sizeof(float);
        for (; b < end; b += PANEL, a += t->a_pitch, fetch += t->fetch_step) {
            _mm_prefetch(fetch, _MM_HINT_T0);
            const __m256 lanes[2] = {_mm256_load_ps(b), _mm256_load_ps(b + 8)};
#pragma GCC unroll 6
            for (int r = 0; r < rows; r++) {
                const __m256 row = _mm256_broadcast_ss(a + r);
                c[r][0] = _mm256_fmadd_ps(row, lanes[0], c[r][0]);
                c[r][1] = _mm256_fmadd_ps(row, lanes[1], c[r][1]);
            }
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++)
            _mm256_store_ps(out + r * PANEL + h * 8, c[r][h]);
}

#define TILE(rows)                                                                                 \
    static void tile_##rows(const x86_tile *t)                                                     \
    {                                                                                              \
        tile(t, rows);                                                                             \
    }

TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)

static void run_tile(const x86_tile *t)
{
    static void (*const tiles[ROWS])(const x86_tile *) = {tile_1, tile_2, tile_3,
                                                          tile_4, tile_5, tile_6};
    tiles[t->rows - 1](t);
}

#include "kernel/x86/vec_avx2.h"

#include "kernel/x86/few_rows_tmpl.h"
#include "kernel/x86/finish.h"
#include "kernel/x86/narrow_tmpl.h"

static void transpose(const float *const rows[8], int64_t columns, float *strip, int64_t pitch,
                      int64_t ahead)
{
    for (int64_t c = 0; c < columns; c += 8, strip += 8 * pitch) {
        __m256 r[8];
        for (int i = 0; i < 8; i++)
            r[i] = vec_load(rows[i] + c, columns - c);
        for (int i = 0; ahead && c % LINE == 0 && i < 8; i++)
            _mm_prefetch((const char *)(rows[i] + c + ahead), _MM_HINT_T0);
        transpose_8x8(r);
        for (int64_t i = 0; i < SDI_MIN(columns - c, 8); i++)
            _mm256_storeu_ps(strip + i * pitch, r[i]);
    }
}

const x86_isa sdi_x86_isa_avx2 = {
    .tile_rows = ROWS,
    .tile_lanes = 16,
    .strip_rows = 8,
    .few = 8,
    .linear_k = 640,
    .conv_k = 576,
    .stride_k = 192,
    .tile = run_tile,
    .finish = finish,
    .few_rows = few_rows,
    .narrow = narrow,
    .transpose = transpose,
    .double_taps = double_taps,
};
