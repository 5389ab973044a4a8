/* SPDX-License-Identifier: MIT
 *
 * AMX tiles of 16 rows x 64 bytes, as statements on tile numbers (literals 0 .. 7).
 *
 * Real ones are inline assembly with memory clobbers: gcc 12's intrinsics tell the optimizer of
 * 8 bytes of a configuration and of nothing of a tile load, so stores before them can vanish. With
 * SDI_AMX_EMULATED the same words are plain C on a variable, for tests on any machine.
 */
#ifndef SDI_KERNEL_X86_AMX_TILES_H
#define SDI_KERNEL_X86_AMX_TILES_H

#include "base/attributes.h"

#include <stdint.h>
#include <string.h>

typedef struct amx_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} SDI_ALIGNED(64) amx_config;

/* All eight tiles whole. */
static inline amx_config amx_whole_tiles(void)
{
    amx_config c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.row_bytes[i] = 64;
        c.rows[i] = 16;
    }
    return c;
}

#ifndef SDI_AMX_EMULATED

#define AMX_TILES
#define AMX_CONFIGURE(config) __asm__ volatile("ldtilecfg %0" : : "m"(config) : "memory")
#define AMX_RELEASE() __asm__ volatile("tilerelease" : : : "memory")
#define AMX_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile : : :)
#define AMX_LOAD(tile, from, stride)                                                               \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile                                           \
                     :                                                                             \
                     : "r"(from), "r"((int64_t)(stride))                                           \
                     : "memory")
/* The same for memory that is not read again soon. */
#define AMX_STREAM(tile, from, stride)                                                             \
    __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm" #tile                                         \
                     :                                                                             \
                     : "r"(from), "r"((int64_t)(stride))                                           \
                     : "memory")
#define AMX_STORE(tile, to, stride)                                                                \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)"                                       \
                     :                                                                             \
                     : "r"(to), "r"((int64_t)(stride))                                             \
                     : "memory")
/* c += a b: fp32 c, bf16 pairs in a's rows and in b's columns. */
#define AMX_DOT(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : :)

#else

typedef struct amx_tile {
    uint8_t row[16][64];
} amx_tile;

static inline void amx_load(amx_tile *tile, const void *from, int64_t stride)
{
    for (int r = 0; r < 16; r++)
        memcpy(tile->row[r], (const char *)from + r * stride, 64);
}

static inline void amx_store(const amx_tile *tile, void *to, int64_t stride)
{
    for (int r = 0; r < 16; r++)
        memcpy((char *)to + r * stride, tile->row[r], 64);
}

static inline float amx_bf16(const uint8_t *at)
{
    uint16_t narrow;
    memcpy(&narrow, at, sizeof narrow);
    const uint32_t bits = (uint32_t)narrow << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void amx_dot(amx_tile *c, const amx_tile *a, const amx_tile *b)
{
    for (int r = 0; r < 16; r++) {
        float sum[16];
        memcpy(sum, c->row[r], 64);
        for (int k = 0; k < 32; k++)
            for (int n = 0; n < 16; n++)
                sum[n] += amx_bf16(&a->row[r][2 * k]) *
                          amx_bf16(&b->row[k / 2][4 * n + 2 * (k % 2)]);
        memcpy(c->row[r], sum, 64);
    }
}

#define AMX_TILES amx_tile tmm[8]
#define AMX_ZERO(tile) memset(&tmm[tile], 0, sizeof tmm[tile])
#define AMX_LOAD(tile, from, stride) amx_load(&tmm[tile], from, stride)
#define AMX_STREAM(tile, from, stride) amx_load(&tmm[tile], from, stride)
#define AMX_STORE(tile, to, stride) amx_store(&tmm[tile], to, stride)
#define AMX_DOT(c, a, b) amx_dot(&tmm[c], &tmm[a], &tmm[b])

#endif
#endif
