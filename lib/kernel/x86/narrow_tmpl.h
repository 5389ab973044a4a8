/* SPDX-License-Identifier: MIT
 *
 * A few outputs of a few pixels, lanes along the channels of the input: an accumulator for each
 * output of each pixel, whose lanes are added up at the end. Included by tile_<isa>.c after
 * vec_<isa>.h.
 */

/* Pixels of a tile: accumulators, a vector of each and one of weights are registers. */
enum { NARROW_TILE = VEC == 16 ? 6 : 3 };

#define INLINE_NARROW static inline __attribute__((always_inline))

/* One vector of channels of one tap, `count` of them. */
INLINE_NARROW void narrow_step(const float *const rows[NARROW_TILE], const float *w, int64_t pitch,
                               int64_t at, int64_t count, const float *next, const int pixels,
                               vec sums[NARROW_TILE][NARROW_OUTPUTS])
{
    vec x[NARROW_TILE];
#pragma GCC unroll 6
    for (int p = 0; p < pixels; p++)
        x[p] = vec_load(rows[p] + at, count);
    _mm_prefetch((const char *)(next + at), _MM_HINT_T0);
#pragma GCC unroll 4
    for (int o = 0; o < NARROW_OUTPUTS; o++) {
        const vec weight = vec_loadu(w + o * pitch);
#pragma GCC unroll 6
        for (int p = 0; p < pixels; p++)
            sums[p][o] = vec_fma(x[p], weight, sums[p][o]);
    }
}

INLINE_NARROW void narrow_tile(const x86_narrow *n, int32_t pixel, const int pixels)
{
    vec sums[NARROW_TILE][NARROW_OUTPUTS];
#pragma GCC unroll 6
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 4
        for (int o = 0; o < NARROW_OUTPUTS; o++)
            sums[p][o] = vec_set(0);
    for (int32_t tap = 0; tap < n->tap_count; tap++) {
        const float *w = n->w + tap * NARROW_OUTPUTS * n->w_pitch;
        const int32_t next_pixel = pixel + (tap < pixels ? tap : 0); // one for each tap
        const float *next = n->rows[(next_pixel + 1) * n->tap_count - 1] + n->ahead;
        const float *rows[NARROW_TILE];
        int64_t i = 0;
#pragma GCC unroll 6
        for (int p = 0; p < pixels; p++)
            rows[p] = n->rows[(pixel + p) * n->tap_count + tap];
        for (; i + VEC <= n->k; i += VEC)
            narrow_step(rows, w + i, n->w_pitch, i, VEC, next, pixels, sums);
        if (i < n->k)
            narrow_step(rows, w + i, n->w_pitch, i, n->k - i, next, pixels, sums);
    }
#pragma GCC unroll 6
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 4
        for (int o = 0; o < NARROW_OUTPUTS; o++)
            n->c[(pixel + p) * PANEL + o] = vec_sum(sums[p][o]);
}

static void narrow(const x86_narrow *n)
{
    int32_t pixel = 0;
    for (; pixel + NARROW_TILE <= n->pixels; pixel += NARROW_TILE)
        narrow_tile(n, pixel, NARROW_TILE);
    for (; pixel < n->pixels; pixel++)
        narrow_tile(n, pixel, 1);
}
