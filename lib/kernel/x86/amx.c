/* SPDX-License-Identifier: MIT
 *
 * bf16 products with AMX tiles. The configuration is a thread's own: it is loaded around each piece
 * of work and released after it, so that a caller's thread comes back as it was (but for tiles the
 * caller itself had in use) and idle threads carry no tiles through context switches.
 */
#include "kernel/x86/vec_avx512.h"

#include "kernel/x86/bf16_tmpl.h"

#include "kernel/x86/amx_tmpl.h"

static void enter(void)
{
    const amx_config config = amx_whole_tiles();
    AMX_CONFIGURE(config);
}

static void leave(void)
{
    AMX_RELEASE();
}

/* In a linear layer a range of a panel stays in the first level under all runs of a block; in a
 * convolution rows do, over nine taps, and the panel comes from the second. Ten panels share what a
 * range reads of a strip that may lie in the third. Sums of taps take the time of the products that
 * they save at about 200 pixels, by count. */
#define ISA(parts_)                                                                                \
    {                                                                                              \
        BF16_COMMON, .enter = enter, .leave = leave, .linear_range = 40 << 10,                     \
        .conv_range = 192 << 10, .waiting_panels = 10, .waiting_pieces = 20,                       \
        .doubled_pixels = 256, .rows = BF16_RUN, .parts = parts_                                   \
    }

const bf16_isa sdi_x86_bf16_amx = ISA(1), sdi_x86_split_amx = ISA(2);

/* Small whole numbers, exact in bf16; their sums are exact in fp32. */
static float check_number(int i)
{
    return (float)(i * 7 % 13 - 6);
}

static float expected(const uint16_t *a, const uint16_t *b, int row, int lane)
{
    float sum = 0;
    for (int k = 0; k < BF16_STEP; k++)
        sum += sdi_bf16_to_f32(a[row * BF16_STEP + k]) *
               sdi_bf16_to_f32(b[lane / 16 * 512 + k / 2 * 32 + lane % 16 * 2 + k % 2]);
    return sum;
}

int sdi_x86_amx_works(void)
{
    uint16_t a[2 * BF16_RUN * BF16_STEP], b[BF16_STEP_SIZE];
    float c[2 * BF16_RUN_FLOATS] SDI_ALIGNED(64);
    const int32_t offset[2] = {0, 0};
    int right = 1;
    for (int i = 0; i < (int)SDI_COUNT(a); i++)
        a[i] = sdi_f32_to_bf16(check_number(i));
    for (int i = 0; i < (int)SDI_COUNT(b); i++)
        b[i] = sdi_f32_to_bf16(check_number(i + 5));
    bf16_tile t = {.a = {a, a + BF16_RUN * BF16_STEP}, .offsets = offset, .steps = 1,
                   .last_pairs = 16, .b = b, .c = c, .rows = {BF16_RUN, BF16_RUN}};
    enter();
    tile(&t);
    t.add = 1;
    tile(&t);
    leave();
    for (int row = 0; row < 2 * BF16_RUN; row++)
        for (int lane = 0; lane < BF16_LANES; lane++)
            right &= c[row * BF16_LANES + lane] == 2 * expected(a, b, row, lane);
    return right;
}
