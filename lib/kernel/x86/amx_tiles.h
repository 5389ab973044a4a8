/* SPDX-License-Identifier: MIT
 *
 * AMX tiles of 16 rows x 64 bytes, as statements on tile numbers (literals 0 .. 7).
 *
 * Real ones are inline assembly with memory clobbers: gcc 12's intrinsics tell the optimizer of
 * 8 bytes of a configuration and of nothing of a tile load, so stores before them can vanish. With
 * SDI_AMX_EMULATED a test puts its own in their place, to run on any machine.
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
/* A line to the first or second level of the cache. Not __builtin_prefetch: gcc 12 drops the call
 * of a function that does nothing else. */
#define AMX_FETCH_1(at) __asm__ volatile("prefetcht0 (%0)" : : "r"(at))
#define AMX_FETCH_2(at) __asm__ volatile("prefetcht1 (%0)" : : "r"(at))
/* c += a b: fp32 c, bf16 pairs in a's rows and in b's columns. */
#define AMX_DOT(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : :)

#endif
#endif
