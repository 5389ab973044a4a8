/* SPDX-License-Identifier: MIT
 *
 * AMX tiles in plain C, by the pseudocode of Intel's manual: a thread's configuration and tiles,
 * what faults (fails the test here), rows and bytes outside of a configured shape zeroed, products
 * summed in the order of the hardware with denormals as zeros. Put in the place of the macros of
 * amx_tiles.h.
 */
#ifndef TEST_KERNELS_AMX_EMULATED_H
#define TEST_KERNELS_AMX_EMULATED_H

#define SDI_AMX_EMULATED
#include "kernel/x86/amx_tiles.h"

typedef struct amx_tile {
    uint8_t row[16][64];
} amx_tile;

static _Thread_local struct {
    amx_config config;
    amx_tile tile[8];
} amx;

static void amx_configure(const amx_config *c)
{
    static const uint8_t zeros[16];
    assert_int_equal((uintptr_t)c % 64, 0); // not needed, but one line and not two
    assert_int_equal(c->palette, 1);
    assert_int_equal(c->start_row, 0);
    assert_memory_equal(c->reserved, zeros, sizeof c->reserved);
    assert_memory_equal(c->row_bytes + 8, zeros, 16);
    assert_memory_equal(c->rows + 8, zeros, 8);
    for (int i = 0; i < 8; i++) {
        assert_true(c->row_bytes[i] <= 64 && c->rows[i] <= 16);
        assert_int_equal(c->row_bytes[i] == 0, c->rows[i] == 0);
    }
    memset(&amx, 0, sizeof amx);
    amx.config = *c;
}

static void amx_release(void)
{
    memset(&amx, 0, sizeof amx);
}

/* Zeroes what lies outside of the shape. */
static void amx_trim(int i)
{
    for (int r = 0; r < 16; r++) {
        const int bytes = r < amx.config.rows[i] ? amx.config.row_bytes[i] : 0;
        memset(amx.tile[i].row[r] + bytes, 0, (size_t)(64 - bytes));
    }
}

static void amx_must_be_configured(int i)
{
    if (amx.config.palette != 1 || amx.config.rows[i] == 0)
        fail_msg("tile %d is used without a configuration", i);
}

static void amx_zero(int i)
{
    amx_must_be_configured(i);
    memset(&amx.tile[i], 0, sizeof amx.tile[i]);
}

static void amx_load(int i, const void *from, int64_t stride)
{
    amx_must_be_configured(i);
    for (int r = 0; r < amx.config.rows[i]; r++)
        memcpy(amx.tile[i].row[r], (const char *)from + r * stride, amx.config.row_bytes[i]);
    amx_trim(i);
}

static void amx_store(int i, void *to, int64_t stride)
{
    amx_must_be_configured(i);
    for (int r = 0; r < amx.config.rows[i]; r++)
        memcpy((char *)to + r * stride, amx.tile[i].row[r], amx.config.row_bytes[i]);
}

static inline float amx_flush(float x)
{
    return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}

static inline float amx_bf16(const uint8_t *at)
{
    uint16_t narrow;
    memcpy(&narrow, at, sizeof narrow);
    return amx_flush(sdi_bf16_to_f32(narrow));
}

/* One row of c: even and odd products are summed apart, each from zero, then added to c. */
#ifdef __x86_64__
__attribute__((target("fma")))
#endif
static void amx_dot_row(float *c, const uint8_t *a, const amx_tile *b, int pairs, int columns)
{
    float sum[16][2] = {{0}};
    for (int k = 0; k < pairs; k++)
        for (int n = 0; n < columns; n++)
            for (int odd = 0; odd < 2; odd++)
                sum[n][odd] = amx_flush(__builtin_fmaf(amx_bf16(a + 4 * k + 2 * odd),
                                                       amx_bf16(&b->row[k][4 * n + 2 * odd]),
                                                       sum[n][odd]));
    for (int n = 0; n < columns; n++)
        c[n] = amx_flush(amx_flush(c[n]) + amx_flush(sum[n][0] + sum[n][1]));
}

static void amx_dot(int c, int a, int b)
{
    const amx_config *g = &amx.config;
    amx_must_be_configured(a);
    amx_must_be_configured(b);
    amx_must_be_configured(c);
    assert_true(a != b && a != c && b != c);
    assert_true(g->row_bytes[a] % 4 == 0 && g->row_bytes[b] % 4 == 0 && g->row_bytes[c] % 4 == 0);
    assert_int_equal(g->row_bytes[a] / 4, g->rows[b]);
    assert_int_equal(g->rows[c], g->rows[a]);
    assert_int_equal(g->row_bytes[c], g->row_bytes[b]);
    for (int r = 0; r < g->rows[c]; r++) {
        float sums[16];
        memcpy(sums, amx.tile[c].row[r], sizeof sums);
        amx_dot_row(sums, amx.tile[a].row[r], &amx.tile[b], g->rows[b], g->row_bytes[c] / 4);
        memcpy(amx.tile[c].row[r], sums, sizeof sums);
    }
    amx_trim(c);
}

#define AMX_CONFIGURE(config) amx_configure(&(config))
#define AMX_RELEASE() amx_release()
#define AMX_ZERO(tile) amx_zero(tile)
#define AMX_LOAD(tile, from, stride) amx_load(tile, from, stride)
#define AMX_STREAM(tile, from, stride) amx_load(tile, from, stride)
#define AMX_STORE(tile, to, stride) amx_store(tile, to, stride)
#define AMX_FETCH_1(at) ((void)(at))
#define AMX_FETCH_2(at) ((void)(at))
#define AMX_DOT(c, a, b) amx_dot(c, a, b)

#endif
