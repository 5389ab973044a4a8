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
#include <xmmintrin.h>

enum {
    PIECES = 128,            // wanted at least, so that threads end at the same time
    FILL_COLUMNS = 128,      // of a strip, filled as one piece of work
    TILE_FLOATS = TILE_ROWS_MAX * PANEL,
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
    return sdi_pieces(panel_count(p->w), p->panels_a_piece);
}

void sdi_x86_product_divide(x86_product *p)
{
    const int64_t panels = panel_count(p->w);
    const int64_t groups = SDI_MIN(panels, sdi_pieces(PIECES, p->blocks));
    p->panels_a_piece = sdi_pieces(panels, groups);
}

/* Scratch of a worker: its state, unfinished tiles, summed taps, the strip. */
static int64_t c_floats(const x86_product *p)
{
    return (int64_t)TILES_MAX * TILE_FLOATS * p->phases;
}

static int64_t taps_floats(const x86_product *p)
{
    return p->phases > 1 ? p->phases * p->tap_count * p->k_block * PANEL : 0;
}

static int64_t worker_floats(const x86_product *p)
{
    return HEADER_FLOATS + c_floats(p) + taps_floats(p) +
           (p->shared ? 0 : sdi_round_up(p->strip_floats, 16));
}

static int64_t shared_floats(const x86_product *p)
{
    return p->shared ? p->blocks * sdi_round_up(p->strip_floats, 16) : 0;
}

static int64_t offset_floats(const x86_product *p) // of 4 bytes, as the offsets of taps
{
    return sdi_round_up((int64_t)p->phases * p->tap_count, 16);
}

size_t sdi_x86_product_scratch(const x86_product *p, int32_t workers)
{
    return (size_t)(sdi_round_up(p->w->k, 16) + offset_floats(p) + shared_floats(p) +
                    workers * worker_floats(p)) * sizeof(float);
}

static float *shared_strip(const run *r, int64_t block)
{
    return r->shared + block * sdi_round_up(r->p->strip_floats, 16);
}

static void fill_piece(void *argument, int64_t index, int32_t worker)
{
    const run *r = argument;
    const x86_product *p = r->p;
    const int64_t ranges = sdi_pieces(p->w->k, FILL_COLUMNS), block = index / ranges;
    const int64_t k0 = index % ranges * FILL_COLUMNS;
    p->fill(p, block, k0, SDI_MIN(k0 + FILL_COLUMNS, p->w->k), shared_strip(r, block), r->zeros);
}

/* The strip of a block: everybody's, or this worker's, filled now if it holds another one. */
static const float *strip_of(const run *r, int64_t block, float *scratch)
{
    if (r->p->shared)
        return shared_strip(r, block);
    worker_state *state = (worker_state *)scratch;
    float *strip = scratch + HEADER_FLOATS + c_floats(r->p) + taps_floats(r->p);
    if (state->block != block)
        r->p->fill(r->p, block, 0, r->p->w->k, strip, r->zeros);
    state->block = block;
    return strip;
}

void sdi_x86_order_bias(const sdi_packed *w, int64_t panel, const float *bias, float out[PANEL])
{
    memset(out, 0, PANEL * sizeof *out);
    for (int32_t lane = 0; bias && lane < PANEL; lane += PANEL_GROUP) {
        const int64_t row = panel_row(w, panel, lane), rows = w->geglu ? w->n / 2 : w->n;
        if (row >= 0) // a group's rows follow each other, and end where values or gates do
            memcpy(out + lane, bias + row,
                   (size_t)SDI_MIN(PANEL_GROUP, rows - row % rows) * sizeof *out);
    }
}

/* One range of k of one panel, all tiles of the block. */
typedef struct panel_work {
    const run *r;
    const x86_block *block;
    const float *strip; // at k
    float *c;
    int64_t column;    // of out
    const float *next; // range of k of the panel, or the next panel
    int32_t phase;
    int last;          // range of k
} panel_work;

/* Rows that a tile's end reads or writes, asked for at its beginning. */
static void fetch_rows(const float *from, int64_t ld, int32_t rows, int32_t columns)
{
    for (int32_t i = 0; i < rows; i++)
        for (int32_t column = 0; column < columns; column += 16)
            _mm_prefetch((const char *)(from + i * ld + column), _MM_HINT_T0);
}

static void multiply_tile(const panel_work *w, int32_t tile, x86_tile *t, x86_finish *f)
{
    const x86_product *p = w->r->p;
    const x86_tile_place *place = &w->block->tiles[tile];
    t->a = w->strip + place->at;
    t->c = w->c;
    if (p->k_block < p->w->k)
        t->c += ((int64_t)w->phase * w->block->tile_count + tile) * TILE_FLOATS;
    t->rows = f->rows = place->rows;
    if (!w->last) {
        p->isa->tile(t);
        return;
    }
    const int64_t row = place->out + p->phase_out[w->phase];
    f->c = t->c;
    f->add = sdi_x86_row_of(p->channel_add, place->image, w->column);
    f->residual = sdi_x86_row_of(p->residual, row, w->column);
    f->out = (float *)p->out.data + row * p->out.ld + w->column;
    if (f->residual)
        fetch_rows(f->residual, f->residual_ld, f->rows, f->columns);
    fetch_rows(f->out, f->out_ld, f->rows, f->columns);
    p->isa->tile(t);
    p->isa->finish(f);
}

/* The next few tiles times lanes [lane, lane + tile_lanes) of a panel of `columns` of out. */
static void multiply_lanes(panel_work w, int32_t first, int32_t lane, int32_t columns, x86_tile t,
                           x86_finish f)
{
    const x86_product *p = w.r->p;
    const int32_t lanes = p->isa->tile_lanes, column = p->w->geglu ? lane / 2 : lane;
    const int32_t tiles = w.block->tile_count, end = SDI_MIN(first + p->tiles_together, tiles);
    if (column >= columns)
        return;
    f.columns = SDI_MIN(p->w->geglu ? lanes / 2 : lanes, columns - column);
    f.bias += lane;
    t.lanes = p->w->geglu ? lanes : f.columns;
    t.b += lane;
    w.c += lane;
    w.column += column;
    for (int32_t i = first; i < end; i++) {
        const int64_t share = lane / lanes * tiles + i;
        t.fetch = (const char *)w.next + share * t.fetch_step * t.k;
        multiply_tile(&w, i, &t, &f);
    }
}

/* All tiles together ask for all of the panel; not for taps that will be summed. */
static int32_t fetch_step(const x86_product *p, const x86_block *block)
{
    const int64_t tiles = (int64_t)block->tile_count * (PANEL / p->isa->tile_lanes);
    return p->phases > 1 ? 0 : (int32_t)sdi_pieces(PANEL * sizeof(float), tiles);
}

static void multiply_panel(const run *r, const x86_block *block, int64_t panel,
                           const float *strip, float *scratch)
{
    const x86_product *p = r->p;
    const sdi_packed *w = p->w;
    const int64_t lanes = w->geglu ? PANEL / 2 : PANEL, column = panel * lanes;
    const int64_t columns = SDI_MIN(lanes, (w->geglu ? w->n / 2 : w->n) - column);
    float bias[PANEL], *summed = scratch + c_floats(p);
    sdi_x86_order_bias(w, panel, p->bias, bias);
    x86_tile t = {.a_pitch = block->a_pitch, .tap_count = p->tap_count,
                  .fetch_step = fetch_step(p, block)};
    const x86_finish f = {.bias = bias, .residual_ld = p->residual.ld * p->phase_step,
                          .out_ld = p->out.ld * p->phase_step, .act = p->act};
    const float *data = (const float *)w->data + panel * panel_floats(w);
    for (int64_t k = 0; k < w->k; k += p->k_block) {
        const float *b = data + k * PANEL;
        const int last = k + p->k_block >= w->k;
        t.k = SDI_MIN(p->k_block, w->k - k);
        t.add = k > 0;
        t.b_tap = (p->phases > 1 ? t.k : w->k) * PANEL;
        if (p->phases > 1)
            p->isa->double_taps(b, w->k * PANEL, t.k, summed);
        panel_work work = {.r = r, .block = block, .strip = strip + k * block->a_pitch,
                           .c = scratch, .column = column, .last = last,
                           .next = last ? data + panel_floats(w) : b + t.k * PANEL};
        for (; work.phase < p->phases; work.phase++) {
            t.taps = r->taps + work.phase * p->tap_count;
            t.b = p->phases > 1 ? summed + work.phase * p->tap_count * t.b_tap : b;
            for (int32_t tile = 0; tile < block->tile_count; tile += p->tiles_together)
                for (int32_t lane = 0; lane < PANEL; lane += p->isa->tile_lanes)
                    multiply_lanes(work, tile, lane, (int32_t)columns, t, f);
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
    const int64_t zeros = sdi_round_up(p->w->k, 16);
    run r = {.p = p, .zeros = exec->scratch, .worker_floats = worker_floats(p)};
    r.taps = (int32_t *)(r.zeros + zeros);
    r.shared = r.zeros + zeros + offset_floats(p);
    r.workers = r.shared + shared_floats(p);
    sdi_pool *pool = p->work < PRODUCT_ALONE ? NULL : exec->pool;
    memset(r.zeros, 0, (size_t)zeros * sizeof(float));
    for (int32_t i = 0; i < p->phases * p->tap_count; i++)
        r.taps[i] = p->tap ? p->tap(p, i / p->tap_count, i % p->tap_count) : 0;
    for (int32_t i = 0; i < sdi_pool_size(pool); i++)
        *(worker_state *)(r.workers + i * r.worker_floats) = (worker_state){.block = -1};
    if (p->shared)
        sdi_parallel_for(pool, p->blocks * sdi_pieces(p->w->k, FILL_COLUMNS), fill_piece, &r);
    sdi_parallel_for(pool, p->blocks * groups_of(p), multiply_piece, &r);
}
