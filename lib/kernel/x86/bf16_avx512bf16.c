/* SPDX-License-Identifier: MIT
 *
 * bf16 products with vdpbf16ps: 8 rows x 32 lanes in 16 accumulators, per pair of k two loads of
 * the panel and one broadcast a row.
 */
#include "kernel/x86/vec_avx512.h"

#include "kernel/x86/bf16_tmpl.h"

enum { ROWS = 8 };

static inline __m512bh pair_of(const uint16_t *a)
{
    int32_t pair;
    memcpy(&pair, a, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* acc += the products of one pair of k. */
static inline __attribute__((always_inline)) void add_pair(const uint16_t *a, const uint16_t *b,
                                                           __m512 acc[ROWS][2])
{
    const __m512bh b0 = (__m512bh)_mm512_load_si512(b);
    const __m512bh b1 = (__m512bh)_mm512_load_si512(b + 512);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++) {
        const __m512bh x = pair_of(a + r * BF16_STEP);
        acc[r][0] = _mm512_dpbf16_ps(acc[r][0], x, b0);
        acc[r][1] = _mm512_dpbf16_ps(acc[r][1], x, b1);
    }
}

static void tile_rows(const bf16_tile *t, const uint16_t *a, float *c)
{
    __m512 acc[ROWS][2];
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++)
            acc[r][h] = t->add ? _mm512_load_ps(c + r * BF16_LANES + h * 16)
                               : _mm512_setzero_ps();
    const uint16_t *b = t->b;
    const int64_t last = t->steps - 1;
    for (int64_t s = 0; s < last; s++, b += BF16_STEP_SIZE) {
        const uint16_t *from = a + t->offsets[s];
#pragma GCC unroll 4
        for (int p = 0; p < 16; p++)
            add_pair(from + p * 2, b + p * 32, acc);
    }
    for (int p = 0; p < t->last_pairs; p++)
        add_pair(a + t->offsets[last] + p * 2, b + p * 32, acc);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++)
            _mm512_store_ps(c + r * BF16_LANES + h * 16, acc[r][h]);
}

static void tile(const bf16_tile *t)
{
    for (int i = 0; i < 2; i++)
        for (int32_t r = 0; r < t->rows[i]; r += ROWS)
            tile_rows(t, t->a[i] + r * BF16_STEP, t->c + i * BF16_RUN_FLOATS + r * BF16_LANES);
}

const bf16_isa sdi_x86_bf16_avx512bf16 = BF16_VECTOR_ISA(1);
const bf16_isa sdi_x86_split_avx512bf16 = BF16_VECTOR_ISA(2);
