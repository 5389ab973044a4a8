/* SPDX-License-Identifier: MIT
 *
 * The float32 products of AVX2 and AVX-512: linear and convolution are one loop over tiles
 * (products.c), which asks an instruction set for three things.
 *
 * Activations are copied block by block into strips [k][row]: the tile kernel then reads the rows
 * of one k from consecutive addresses, whatever the pitch, halo, stride or resizing of the image.
 * The copy costs a third of a cycle an element and is used by every panel and tap.
 */
#ifndef SDI_KERNEL_X86_PRODUCTS_H
#define SDI_KERNEL_X86_PRODUCTS_H

#include "kernel/parallel.h"
#include "kernel/x86/panel.h"
#include "kernel/x86/x86.h"

enum {
    TILE_ROWS_MAX = 14, // of any instruction set
    TILES_MAX = 64,     // of a block
    FEW_ROWS_MAX = 8,   // of any instruction set
    NARROW_OUTPUTS = 4, // at a time
    NARROW_LANES = 16,  // of any instruction set
    PRODUCT_ALONE = 1 << 17 // multiply-adds below which waking threads costs more than it brings
};

/* rows x lanes: c[row][lane] (+)= sum over taps and k of a[tap][k][row] * b[tap][k][lane]. */
typedef struct x86_tile {
    const float *a;      // strip at the tile's first row
    int64_t a_pitch;     // floats from one k to the next
    const int32_t *taps; // where each tap begins, floats from a
    int32_t tap_count;
    const float *b;  // panel at this block's first k
    int64_t b_tap;   // floats from one tap to the next
    int64_t k;       // of each tap
    const char *fetch;  // this tile's share of the panel that is next: to be asked for meanwhile;
    int32_t fetch_step; // bytes of it for each k (it may lie outside of the weight)
    float *c;      // [rows][32], 64-byte aligned
    int32_t rows;  // 1 .. tile_rows
    int32_t lanes; // that are wanted, at most tile_lanes; what becomes of others is free
    int32_t add;   // to what c holds
} x86_tile;

/* Convolution to few channels: c[pixel][output] = sum over taps and k of rows[pixel][tap][k] *
 * w[tap][output][k], NARROW_OUTPUTS outputs. */
typedef struct x86_narrow {
    const float *const *rows; // [pixel][tap]
    int64_t k;
    int64_t ahead;  // floats from a row to what will be read in its place next
    const float *w;
    int64_t w_pitch; // floats from an output to the next: k in whole vectors
    float *c;        // [pixel][32]
    int32_t tap_count, pixels;
} x86_narrow;

/* What becomes of a finished tile: out = act(c + bias) + channel_add + residual. */
typedef struct x86_finish {
    const float *c;       // [rows][32]
    const float *bias;    // [32] in the order of the lanes
    const float *add;     // [columns] or NULL
    const float *residual; // or NULL
    float *out;
    int64_t residual_ld, out_ld; // floats from one row of the tile to the next
    int32_t rows, columns; // columns of out, at most 32 (GEGLU: 16)
    sdi_act act;
} x86_finish;

typedef struct x86_isa {
    int32_t tile_rows, tile_lanes;
    int32_t strip_rows; // of a tile in the strip of a linear layer, a multiple of eight
    int32_t few;        // rows of a linear layer up to which it does without strips
    /* How much of k (of all taps together) is multiplied in one go: what caches hold of a panel
     * and, for narrow tiles, of the strip's lines, of which a stride needs more. */
    int32_t linear_k, conv_k, stride_k;
    void (*tile)(const x86_tile *tile);
    void (*finish)(const x86_finish *finish);
    /* c[row][lane] = sum over k of a[row * pitch + k] * b[k][lane], up to `few` rows. */
    void (*few_rows)(const float *a, int64_t pitch, int32_t rows, const float *b, int64_t k,
                     float *c);
    void (*narrow)(const x86_narrow *narrow);
    /* strip[c * pitch + i] = rows[i][c] for i < 8; rows are readable for `columns` floats. What
     * lies `ahead` floats behind each (0: nothing) is read next. */
    void (*transpose)(const float *const rows[8], int64_t columns, float *strip, int64_t pitch,
                      int64_t ahead);
    /* Nine taps b[tap * b_tap + k][lane] as the four taps of each of four phases,
     * [phase][tap][k][lane]: what a 3x3 convolution is on an image doubled by repetition. */
    void (*double_taps)(const float *b, int64_t b_tap, int64_t k, float *out);
} x86_isa;

extern const x86_isa sdi_x86_isa_avx2, sdi_x86_isa_avx512;

typedef struct x86_tile_place {
    int32_t at, rows; // first row's floats from the strip's first, and how many rows
    int64_t out;      // first row of out
    int64_t image;
} x86_tile_place;

/* The tiles that the rows of one block fall into. */
typedef struct x86_block {
    int64_t a_pitch;
    int32_t tile_count;
    x86_tile_place tiles[TILES_MAX];
} x86_block;

/* A product as the tile loop sees it. The two operations differ in `describe` and `fill`. */
typedef struct x86_product x86_product;
struct x86_product {
    const x86_isa *isa;
    const sdi_packed *w;
    const float *bias;
    sdi_act act;
    sdi_mat channel_add, residual, out;

    int64_t work;         // multiply-adds
    int64_t blocks;       // of rows
    int64_t strip_floats; // of a block's strip, an upper bound
    int64_t panels_a_piece;
    int32_t shared; // strips of all blocks are filled first, pieces run along the rows
    int64_t k_block;
    int32_t tiles_together; // before the lanes change: the larger, the longer lanes stay in caches
    /* Four phases: each tile of rows gives four tiles of output rows, which lie `phase_step` apart
     * from `phase_out` on, each from its own taps, summed from the panel's (double_taps). */
    int32_t phases; // 1 or 4
    int64_t phase_step, phase_out[4];
    int32_t tap_count; // of a phase
    /* Where a tap begins, floats from the strip's first; NULL: at 0. */
    int32_t (*tap)(const x86_product *p, int32_t phase, int32_t tap);

    void (*describe)(const x86_product *p, int64_t block, x86_block *out);
    /* Columns [k0, k1) of the block's strip. zeros: at least k1 - k0 of them. */
    void (*fill)(const x86_product *p, int64_t block, int64_t k0, int64_t k1, float *strip,
                 const float *zeros);
    const void *operation; // sdi_linear or the convolution's geometry
};

static inline const float *sdi_x86_row_of(sdi_mat m, int64_t row, int64_t column)
{
    return m.data ? (const float *)m.data + row * m.ld + column : NULL;
}

/* An odd number of cache lines, so that consecutive k lie in different sets. */
static inline int64_t strip_pitch(int64_t rows)
{
    return sdi_round_up(rows, 16) | 16;
}

/* The bias in the order of a panel's lanes; zero where there is none. */
void sdi_x86_order_bias(const sdi_packed *w, int64_t panel, const float *bias, float out[PANEL]);
void sdi_x86_few_rows(const x86_isa *isa, const sdi_exec *exec, const sdi_linear *a);

int sdi_x86_is_narrow(const sdi_conv *a);
void sdi_x86_narrow(const x86_isa *isa, const sdi_exec *exec, const sdi_conv *a);
size_t sdi_x86_narrow_scratch(const x86_isa *isa, const sdi_conv *a, int32_t workers);

/* Divides the panels into pieces once blocks, strip_floats and w are known. */
void sdi_x86_product_divide(x86_product *p);
size_t sdi_x86_product_scratch(const x86_product *p, int32_t workers);
void sdi_x86_product_run(const x86_product *p, const sdi_exec *exec);

void sdi_x86_linear(const x86_isa *isa, const sdi_exec *exec, const sdi_linear *a);
size_t sdi_x86_linear_scratch(const x86_isa *isa, const sdi_linear *a, int32_t workers);
void sdi_x86_conv(const x86_isa *isa, const sdi_exec *exec, const sdi_conv *a);
size_t sdi_x86_conv_scratch(const x86_isa *isa, const sdi_conv *a, int32_t workers);

size_t sdi_x86_pack_bytes(const sdi_packed *w);
void sdi_x86_pack_avx2(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                       const void *source, sdi_dtype type);
void sdi_x86_unpack(const sdi_packed *w, int64_t row0, int64_t rows, float *out);

#endif
