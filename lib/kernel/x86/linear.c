/* SPDX-License-Identifier: MIT
 *
 * Linear layers as an x86_product: blocks of consecutive rows, tiles of nearly equal height.
 */
#include "kernel/x86/products.h"

#include "base/attributes.h"

enum {
    FEW_ROWS = 256,         // up to here the weight is split over threads, not the rows;
    MANY_ROWS = 1024,       // up to here if it is wide
    BLOCK_FLOATS = 1 << 16, // of a strip: a quarter of a second-level cache of 1 MiB
    BLOCK_ROWS_MIN = 56,    // a panel read from the third level serves so many rows
    BLOCK_ROWS_MAX = 168,
    TILES_TOGETHER = 8
};

typedef struct linear_rows {
    const sdi_linear *a;
    int64_t tiles; // all
} linear_rows;

static int64_t tile_start(const linear_rows *l, int64_t tile)
{
    return tile * l->a->m / l->tiles;
}

static int64_t block_start(const x86_product *p, int64_t block)
{
    const linear_rows *l = p->operation;
    return block * l->tiles / p->blocks; // a tile
}

static void describe(const x86_product *p, int64_t block, x86_block *out)
{
    const linear_rows *l = p->operation;
    const int64_t first = block_start(p, block), end = block_start(p, block + 1);
    out->a_pitch = p->isa->strip_rows;
    out->tile_count = (int32_t)(end - first);
    for (int64_t tile = first; tile < end; tile++) {
        const int64_t row = tile_start(l, tile);
        out->tiles[tile - first] = (x86_tile_place){
            .at = (int32_t)((tile - first) * p->w->k * out->a_pitch),
            .rows = (int32_t)(tile_start(l, tile + 1) - row),
            .out = row,
        };
    }
}

/* Strips of tiles one after the other, [tile][k][row]: no cache line is shared or split. What is
 * beyond a tile's rows is never looked at. */
static void fill(const x86_product *p, int64_t block, int64_t k0, int64_t k1, float *strip,
                 const float *zeros)
{
    const linear_rows *l = p->operation;
    const sdi_mat *x = &l->a->x;
    const int64_t pitch = p->isa->strip_rows, end = block_start(p, block + 1);
    strip += k0 * pitch;
    for (int64_t tile = block_start(p, block); tile < end; tile++, strip += p->w->k * pitch) {
        const int64_t row0 = tile_start(l, tile), row1 = tile_start(l, tile + 1);
        for (int64_t row = row0; row < row1; row += 8) {
            const float *rows[8];
            for (int64_t i = 0; i < 8; i++)
                rows[i] = (const float *)x->data + SDI_MIN(row + i, row1 - 1) * x->ld + k0;
            p->isa->transpose(rows, k1 - k0, strip + (row - row0), pitch,
                              p->isa->tile_rows * x->ld);
        }
    }
}

static x86_product product_of(const x86_isa *isa, const sdi_linear *a, linear_rows *l)
{
    const int64_t k = a->w->k;
    *l = (linear_rows){a, sdi_pieces(a->m, isa->tile_rows)};
    const int64_t rows = SDI_MIN(SDI_MAX(BLOCK_FLOATS / k, BLOCK_ROWS_MIN), BLOCK_ROWS_MAX);
    const int64_t block_tiles = rows / isa->tile_rows;
    x86_product p = {.isa = isa, .w = a->w, .bias = a->bias, .act = a->act,
                     .residual = a->residual, .out = a->out, .phases = 1, .phase_step = 1,
                     .tap_count = 1, .tiles_together = TILES_TOGETHER, .describe = describe,
                     .fill = fill, .operation = l};
    p.work = a->m * panel_count(a->w) * panel_floats(a->w);
    p.blocks = sdi_pieces(l->tiles, block_tiles);
    p.strip_floats = block_tiles * isa->strip_rows * k;
    p.shared = a->m <= FEW_ROWS || (a->m <= MANY_ROWS && a->w->n >= 4 * a->m);
    p.k_block = sdi_pieces(k, sdi_pieces(k, isa->linear_k));
    sdi_x86_product_divide(&p);
    return p;
}

void sdi_x86_linear(const x86_isa *isa, const sdi_exec *exec, const sdi_linear *a)
{
    if (a->m <= isa->few) {
        sdi_x86_few_rows(isa, exec, a);
        return;
    }
    linear_rows l;
    const x86_product p = product_of(isa, a, &l);
    sdi_x86_product_run(&p, exec);
}

size_t sdi_x86_linear_scratch(const x86_isa *isa, const sdi_linear *a, int32_t workers)
{
    if (a->m <= isa->few)
        return 0;
    linear_rows l;
    const x86_product p = product_of(isa, a, &l);
    return sdi_x86_product_scratch(&p, workers);
}
