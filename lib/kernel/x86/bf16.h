/* SPDX-License-Identifier: MIT
 *
 * The bf16 products: linear layers and convolutions as one loop (bf16_product.c) over blocks of
 * rows and panels of weights, for every instruction set that can multiply (bf16_isa).
 *
 * Weights, the layout of vdpbf16ps and of AMX tiles at once:
 *
 *     [panel][step][half][pair][output][2]     32 outputs, 2 halves, 16 pairs of k, 16 outputs
 *
 * A step is 32 channels of one tap, 2 KiB; steps run over taps within a block of 32 channels.
 * Lane l of a panel is half l / 16, output l % 16. Plain: lane l of panel p is row 32 p + l.
 * GEGLU: half 0 holds 16 values, half 1 their gates. Lanes and channels of padding are zero.
 *
 * Activations of a block of rows are rounded once into a strip [block of 32 channels][place][32]:
 * 16 consecutive places are one tile of 1 KiB, at any tap of a convolution.
 *
 * Split numbers (compute type bf16x3): x = high + low to 2^-17 |x|, both bf16, and a product
 * is xh wl + xh wh + xl wh. A panel is then two, [part][step]…, and so is a strip.
 */
#ifndef SDI_KERNEL_X86_BF16_H
#define SDI_KERNEL_X86_BF16_H

#include "kernel/parallel.h"
#include "kernel/x86/x86.h"

enum {
    BF16_LANES = 32,
    BF16_STEP = 32,                       // channels
    BF16_STEP_SIZE = BF16_LANES * BF16_STEP, // elements of a step of a panel
    BF16_RUN = 16,                        // places of a tile
    BF16_RUN_FLOATS = BF16_RUN * BF16_LANES,
    BF16_STRETCHES_MAX = 16 // of a run: its rows that are consecutive rows of out
};

/* Sums of consecutive rows of out. */
typedef struct bf16_part {
    const float *c;   // [rows][32]
    const float *add; // [columns] or NULL
    int64_t row;      // of out
    int32_t rows;
} bf16_part;

typedef struct bf16_cursor {
    int32_t part, row;
} bf16_cursor;

/* The rows of two runs on their way to memory: out = act(c + bias) + channel_add + residual. */
typedef struct bf16_rows {
    const float *bias; // [32] in the order of the lanes
    const sdi_mat *residual, *out;
    int64_t column;  // of out
    int32_t columns; // at most 32, GEGLU 16
    sdi_act act;
    int32_t count; // of parts
    int32_t left;  // rows not finished yet
    bf16_cursor finished, fetched;
    bf16_part parts[2 * BF16_STRETCHES_MAX];
} bf16_rows;

/* Two runs times one panel: c[run][place][lane] (+)= sum over steps. */
typedef struct bf16_tile {
    const uint16_t *a[2];   // strip at the first place of each run; both the same: one run
    const int32_t *offsets; // elements from a to the run at each step
    int64_t steps;
    int32_t last_pairs; // of the last step, 1 .. 16: the others are zero and may be left out
    const uint16_t *b; // panel at the first step
    float *c;          // 64-byte aligned
    int32_t rows[2];   // places of each run that are wanted
    int32_t add;       // to what c holds

    /* What may be done beside the products, or not at all. */
    bf16_rows *own;     // rows of these runs, whose residuals will be read soon; NULL: not yet
    bf16_rows *before;  // with own: rows of the runs before, to be finished
    const char *next;   // part of the weight that comes after this one, lines of it a step
    int32_t next_lines;
    int32_t ahead; // elements from a run to that of the next 32 channels, if taps overlap; or 0
    int32_t taps_wide; // then: taps of a line, 2 or 3
} bf16_tile;

/* How far apart parts of the weights of a doubled image lie, elements; low parts 0: none. */
typedef struct bf16_doubling {
    int64_t low_in, low_out;
    int64_t phase; // from one 2x2 kernel to the next
} bf16_doubling;

typedef void (*bf16_fill)(uint16_t *out, int64_t stride, const void *in, sdi_dtype type, int64_t k);

typedef struct bf16_isa {
    /* Around the calls of tile and finish of one piece, on its thread. */
    void (*enter)(void);
    void (*leave)(void);
    void (*tile)(const bf16_tile *tile);
    /* The next `count` rows, or what is left. */
    void (*finish)(bf16_rows *rows, int32_t count);
    /* k numbers to blocks of 32 that lie `stride` apart, zeros behind the last; in NULL: zeros. */
    bf16_fill fill_row;
    /* The same for what rounding took from them: low parts. */
    bf16_fill fill_rest;
    /* The nine taps of 32 channels to four of each phase (doubled.h), rounded again. */
    void (*double_step)(const bf16_doubling *d, const uint16_t *in, uint16_t *out);
    int64_t linear_range, conv_range; // bytes of a panel that are multiplied in one go
    int64_t waiting_panels, waiting_pieces; // at most and at least, with several ranges
    int64_t doubled_pixels; // of an image, from which on sums of taps pay where it is doubled
    int32_t rows;  // of a run that are multiplied together: 8 or all 16
    int32_t parts; // of a number: 1, split 2
} bf16_isa;

extern const bf16_isa sdi_x86_bf16_avx2, sdi_x86_bf16_avx512, sdi_x86_bf16_avx512bf16,
    sdi_x86_bf16_amx;
extern const bf16_isa sdi_x86_split_avx512bf16, sdi_x86_split_amx;

void sdi_x86_bf16_linear(const bf16_isa *isa, const sdi_exec *exec, const sdi_linear *a);
size_t sdi_x86_bf16_linear_scratch(const bf16_isa *isa, const sdi_linear *a, int32_t workers);
void sdi_x86_bf16_conv(const bf16_isa *isa, const sdi_exec *exec, const sdi_conv *a);
size_t sdi_x86_bf16_conv_scratch(const bf16_isa *isa, const sdi_conv *a, int32_t workers);

/* Needs AVX512-BF16 beside what the tile of `isa` needs. */
void sdi_x86_bf16_attention(const bf16_isa *isa, const sdi_exec *exec, const sdi_attention *a);
size_t sdi_x86_bf16_attention_scratch(const sdi_attention *a, int32_t workers);

size_t sdi_x86_bf16_pack_bytes(const sdi_packed *w);
void sdi_x86_bf16_pack(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                       const void *source, sdi_dtype type);
void sdi_x86_bf16_unpack(const sdi_packed *w, int64_t row0, int64_t rows, float *out);
size_t sdi_x86_split_pack_bytes(const sdi_packed *w);
void sdi_x86_split_pack(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                        const void *source, sdi_dtype type);
void sdi_x86_split_unpack(const sdi_packed *w, int64_t row0, int64_t rows, float *out);

/* A known product on real tiles: whether they work here. Only where the CPU has them. */
int sdi_x86_amx_works(void);

static inline int64_t bf16_panels(const sdi_packed *w)
{
    return w->geglu ? sdi_pieces(w->n / 2, BF16_LANES / 2) : sdi_pieces(w->n, BF16_LANES);
}

static inline int64_t bf16_channel_blocks(const sdi_packed *w)
{
    return sdi_pieces(w->k, BF16_STEP);
}

static inline int64_t bf16_panel_size(const sdi_packed *w) // elements, of one part
{
    return bf16_channel_blocks(w) * w->kh * w->kw * BF16_STEP_SIZE;
}

/* Logical row of a lane, or -1 for a lane of padding. */
static inline int64_t bf16_lane_row(const sdi_packed *w, int64_t panel, int64_t lane)
{
    if (!w->geglu) {
        const int64_t row = panel * BF16_LANES + lane;
        return row < w->n ? row : -1;
    }
    const int64_t half = BF16_LANES / 2, column = panel * half + lane % half;
    if (column >= w->n / 2)
        return -1;
    return lane < half ? column : w->n / 2 + column;
}

#endif
