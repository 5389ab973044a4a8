/* SPDX-License-Identifier: MIT
 *
 * The loop that linear layers and convolutions share:
 *
 *     piece = (block of rows, a few panels)
 *         fill the block's strip, unless this worker has it already
 *         for each panel: for each range of k: for each tile of the block: multiply
 *
 * With many rows the pieces of one block follow each other, so that a worker fills its strip once
 * and streams the weight. With few rows the weight is what must be read once: all strips are filled
 * first, by everybody, and the pieces of one panel follow each other.
 */
#include "kernel/x86/products.h"

#include "base/attributes.h"

#include <string.h>

enum {
    PIECES = 128,            // wanted at least, so that threads end at the same time
    FILL_COLUMNS = 128,      // of a strip, filled as one piece of work
    ALONE = 1 << 17,         // multiply-adds below which waking threads costs more than it brings
    C_FLOATS = TILES_MAX * TILE_ROWS_MAX * PANEL,
    HEADER_FLOATS = 16
};

typedef struct run {
    const x86_product *p;
    float *zeros;
    int32_t *taps;
    float *shared, *workers;
    int64_t worker_floats;
} run;

/* What a worker keeps between its pieces, at the head of its scratch. */
typedef struct worker_state {
    int64_t block; // in the strip, -1: none
} worker_state;

static int64_t groups_of(const x86_product *p)
{
    return ceil_div(panel_count(p->w), p->panels_a_piece);
}

void sdi_x86_product_divide(x86_product *p)
{
    const int64_t panels = panel_count(p->w);
    const int64_t groups = SDI_MIN(panels, ceil_div(PIECES, p->blocks));
    p->panels_a_piece = ceil_div(panels, groups);
}

static int64_t worker_floats(const x86_product *p)
{
    return HEADER_FLOATS + C_FLOATS + (p->shared ? 0 : round_up(p->strip_floats, 16));
}

static int64_t shared_floats(const x86_product *p)
{
    return p->shared ? p->blocks * round_up(p->strip_floats, 16) : 0;
}

static int64_t tap_floats(const x86_product *p) // of 4 bytes, as the offsets
{
    return round_up((int64_t)p->w->kh * p->w->kw, 16);
}

size_t sdi_x86_product_scratch(const x86_product *p, int32_t workers)
{
    return (size_t)(round_up(p->w->k, 16) + tap_floats(p) + shared_floats(p) +
                    workers * worker_floats(p)) * sizeof(float);
}

static float *shared_strip(const run *r, int64_t block)
{
    return r->shared + block * round_up(r->p->strip_floats, 16);
}

static void fill_piece(void *argument, int64_t index, int32_t worker)
{
    const run *r = argument;
    const x86_product *p = r->p;
    const int64_t ranges = ceil_div(p->w->k, FILL_COLUMNS), block = index / ranges;
    const int64_t k0 = index % ranges * FILL_COLUMNS;
    p->fill(p, block, k0, SDI_MIN(k0 + FILL_COLUMNS, p->w->k), shared_strip(r, block), r->zeros);
}

/* The strip of a block: everybody's, or this worker's, filled now if it holds another one. */
static const float *strip_of(const run *r, int64_t block, float *scratch)
{
    if (r->p->shared)
        return shared_strip(r, block);
    worker_state *state = (worker_state *)scratch;
    float *strip = scratch + HEADER_FLOATS + C_FLOATS;
    if (state->block != block)
        r->p->fill(r->p, block, 0, r->p->w->k, strip, r->zeros);
    state->block = block;
    return strip;
}

static void order_bias(const x86_product *p, int64_t panel, float *bias)
{
    for (int32_t lane = 0; lane < PANEL; lane++) {
        const int64_t row = p->bias ? panel_row(p->w, panel, lane) : -1;
        bias[lane] = row < 0 ? 0 : p->bias[row];
    }
}

static const float *row_of(sdi_mat m, int64_t row, int64_t column)
{
    return m.data ? (const float *)m.data + row * m.ld + column : NULL;
}

static void multiply_panel(const run *r, const x86_block *block, int64_t panel,
                           const float *strip, float *c)
{
    const x86_product *p = r->p;
    const sdi_packed *w = p->w;
    const int64_t lanes = w->geglu ? PANEL / 2 : PANEL, column = panel * lanes;
    const int64_t columns = SDI_MIN(lanes, (w->geglu ? w->n / 2 : w->n) - column);
    const int64_t tile_floats = p->isa->tile_rows * PANEL;
    const int several = p->k_block < w->k;
    float bias[PANEL];
    order_bias(p, panel, bias);
    x86_tile t = {.a_pitch = block->a_pitch, .taps = r->taps, .tap_count = w->kh * w->kw,
                  .b_tap = w->k * PANEL, .halves = !w->geglu && columns <= 16 ? 1 : 2};
    x86_finish f = {.bias = bias, .residual_ld = p->residual.ld, .out_ld = p->out.ld,
                    .columns = (int32_t)columns, .act = p->act};
    for (int64_t k = 0; k < w->k; k += p->k_block) {
        t.k = SDI_MIN(p->k_block, w->k - k);
        t.b = (const float *)w->data + panel * panel_floats(w) + k * PANEL;
        t.add = k > 0;
        for (int32_t i = 0; i < block->tile_count; i++) {
            t.a = strip + k * block->a_pitch + block->tiles[i].at;
            t.c = c + (several ? i * tile_floats : 0);
            t.rows = block->tiles[i].rows;
            p->isa->tile(&t);
            if (k + p->k_block < w->k)
                continue;
            f.c = t.c;
            f.rows = t.rows;
            f.add = row_of(p->channel_add, block->tiles[i].image, column);
            f.residual = row_of(p->residual, block->tiles[i].out, column);
            f.out = (float *)p->out.data + block->tiles[i].out * p->out.ld + column;
            p->isa->finish(&f);
        }
    }
}

static void multiply_piece(void *argument, int64_t index, int32_t worker)
{
    const run *r = argument;
    const x86_product *p = r->p;
    const int64_t groups = groups_of(p);
    const int64_t number = p->shared ? index % p->blocks : index / groups;
    const int64_t group = p->shared ? index / p->blocks : index % groups;
    const int64_t first = group * p->panels_a_piece;
    const int64_t end = SDI_MIN(first + p->panels_a_piece, panel_count(p->w));
    float *scratch = r->workers + worker * r->worker_floats;
    const float *strip = strip_of(r, number, scratch);
    x86_block block;
    p->describe(p, number, &block);
    for (int64_t panel = first; panel < end; panel++)
        multiply_panel(r, &block, panel, strip, scratch + HEADER_FLOATS);
}

void sdi_x86_product_run(const x86_product *p, const sdi_exec *exec)
{
    const int64_t zeros = round_up(p->w->k, 16);
    run r = {.p = p, .zeros = exec->scratch, .worker_floats = worker_floats(p)};
    r.taps = (int32_t *)(r.zeros + zeros);
    r.shared = r.zeros + zeros + tap_floats(p);
    r.workers = r.shared + shared_floats(p);
    sdi_pool *pool = p->work < ALONE ? NULL : exec->pool;
    memset(r.zeros, 0, (size_t)zeros * sizeof(float));
    for (int32_t i = 0; i < p->w->kh * p->w->kw; i++)
        r.taps[i] = p->tap ? p->tap(p, i) : 0;
    for (int32_t i = 0; i < sdi_pool_size(pool); i++)
        *(worker_state *)(r.workers + i * r.worker_floats) = (worker_state){.block = -1};
    if (p->shared)
        sdi_parallel_for(pool, p->blocks * ceil_div(p->w->k, FILL_COLUMNS), fill_piece, &r);
    sdi_parallel_for(pool, p->blocks * groups_of(p), multiply_piece, &r);
}
