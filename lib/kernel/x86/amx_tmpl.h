/* SPDX-License-Identifier: MIT
 *
 * The AMX tile of bf16 products: 2 x 2 tiles of sums (0 .. 3), rows in tiles 4 and 5, the two
 * halves of a panel in 6 and 7. Per step 4 KiB of loads for 4 products of 16 x 16 x 32, and beside
 * them some rows of the runs before are finished. Included by amx.c after bf16_tmpl.h, and by a
 * test that emulates the tiles.
 */
#include "kernel/x86/amx_tiles.h"
#include "kernel/x86/bf16.h"

enum {
    STREAM_STEPS = 20,                       // 40 KiB of a panel stay in the first-level cache
    C_STRIDE = BF16_LANES * (int)sizeof(float), // unless rows pass through it with them
    ROW_STRIDE = BF16_STEP * (int)sizeof(uint16_t)
};

/* Of the next 32 channels, the part that the tap of this step fetches. */
static inline void fetch_places(const bf16_tile *t, const uint16_t *a0, const uint16_t *a1,
                                int64_t tap, const int64_t places)
{
    const int64_t at = t->ahead + tap * (places - 1) * BF16_STEP;
    for (int64_t i = 0; i < places * BF16_STEP; i += BF16_STEP) {
        AMX_FETCH_1(a0 + at + i);
        AMX_FETCH_1(a1 + at + i);
    }
}

/* Lines of memory that will be wanted: of the next part of the weight in the second level, of the
 * next 32 channels of a convolution in the first. Its taps of a line of pixels fetch an equal part
 * each of the places that they read: 6 of 18 for 3x3, 9 of 17 for 2x2. */
static inline void fetch_lines(const bf16_tile *t, int64_t s, const uint16_t *a0,
                               const uint16_t *a1)
{
    for (int64_t i = s * t->next_lines; i < (s + 1) * t->next_lines; i++)
        AMX_FETCH_2(t->next + i * 64);
    if (!t->ahead)
        return;
    if (t->taps_wide == 3)
        fetch_places(t, a0, a1, s % 3, 6);
    else
        fetch_places(t, a0, a1, s % 2, 9);
}

/* The vectors' share of a step: tile products take 64 cycles in which nothing else is busy. */
static inline void beside(const bf16_tile *t, int32_t rows)
{
    if (!t->own)
        return;
    if (t->own->residual->data)
        fetch(t->own, rows);
    finish(t->before, rows);
}

/* Of each step, if there are any. */
static inline int32_t rows_beside(const bf16_tile *t)
{
    return t->own ? (int32_t)((2 * BF16_RUN + t->steps - 1) / t->steps) : 0;
}

/* Both runs. */
static void tile_two(const bf16_tile *t)
{
    float *c = t->c, *d = t->c + BF16_RUN_FLOATS;
    const int stream = t->steps <= STREAM_STEPS;
    const int32_t rows = rows_beside(t);
    const uint16_t *b = t->b;
    if (t->add) {
        AMX_LOAD(0, c, C_STRIDE);
        AMX_LOAD(1, c + 16, C_STRIDE);
        AMX_LOAD(2, d, C_STRIDE);
        AMX_LOAD(3, d + 16, C_STRIDE);
    } else {
        AMX_ZERO(0);
        AMX_ZERO(1);
        AMX_ZERO(2);
        AMX_ZERO(3);
    }
    for (int64_t s = 0; s < t->steps; s++, b += BF16_STEP_SIZE) {
        const uint16_t *a0 = t->a[0] + t->offsets[s], *a1 = t->a[1] + t->offsets[s];
        AMX_LOAD(6, b, 64);
        if (stream)
            AMX_STREAM(4, a0, ROW_STRIDE);
        else
            AMX_LOAD(4, a0, ROW_STRIDE);
        AMX_DOT(0, 4, 6);
        AMX_LOAD(7, b + 512, 64);
        AMX_DOT(1, 4, 7);
        if (stream)
            AMX_STREAM(5, a1, ROW_STRIDE);
        else
            AMX_LOAD(5, a1, ROW_STRIDE);
        AMX_DOT(2, 5, 6);
        AMX_DOT(3, 5, 7);
        fetch_lines(t, s, a0, a1);
        beside(t, rows);
    }
    AMX_STORE(0, c, C_STRIDE);
    AMX_STORE(1, c + 16, C_STRIDE);
    AMX_STORE(2, d, C_STRIDE);
    AMX_STORE(3, d + 16, C_STRIDE);
}

/* The first run alone. */
static void tile_one(const bf16_tile *t)
{
    const uint16_t *b = t->b;
    if (t->add) {
        AMX_LOAD(0, t->c, C_STRIDE);
        AMX_LOAD(1, t->c + 16, C_STRIDE);
    } else {
        AMX_ZERO(0);
        AMX_ZERO(1);
    }
    const int32_t rows = rows_beside(t);
    for (int64_t s = 0; s < t->steps; s++, b += BF16_STEP_SIZE) {
        const uint16_t *a0 = t->a[0] + t->offsets[s];
        AMX_LOAD(4, a0, ROW_STRIDE);
        AMX_LOAD(6, b, 64);
        AMX_DOT(0, 4, 6);
        AMX_LOAD(7, b + 512, 64);
        AMX_DOT(1, 4, 7);
        fetch_lines(t, s, a0, a0);
        beside(t, rows);
    }
    AMX_STORE(0, t->c, C_STRIDE);
    AMX_STORE(1, t->c + 16, C_STRIDE);
}

static void tile(const bf16_tile *t)
{
    if (t->rows[1] > 0)
        tile_two(t);
    else
        tile_one(t);
}
