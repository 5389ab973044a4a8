/* SPDX-License-Identifier: MIT
 *
 * The loop of all bf16 products:
 *
 *     piece = (block of rows, a few panels)
 *         round the block's input into a strip, unless this worker has it already
 *         for each pass: for each panel: for each two runs: multiply; at the end finish
 *
 * A pass is a range of steps; of split numbers, one of the three products of parts on that range,
 * small ones first. A range keeps its parts of strip and panel in the caches; sums wait in fp32
 * between passes. Rows are finished one pair of runs late, so that a tile that computes beside
 * vectors has both to do. With many rows the pieces of one block follow each other, so that a
 * worker fills its strip once and streams the weight. With few rows the weight is what must be read
 * once: all strips are filled first, by everybody, and the pieces of one panel follow each other.
 */
#include "base/attributes.h"
#include "kernel/parallel.h"
#include "kernel/x86/bf16_geometry.h"
#include "kernel/x86/fpu.h"

#include <string.h>

enum {
    FEW_ROWS = 1024,
    PIECES = 128,           // wanted at least, so that threads end at the same time
    FILL_CHANNELS = 128,    // of a strip, filled as one piece of work
    LINES_A_STEP = BF16_STEP_SIZE * 2 / 64, // of the weight
    LINES_MAX = 8,          // of the next part of the weight, fetched a step
    HEADER = 64             // bytes
};

typedef struct product {
    const bf16_geometry *g;
    const bf16_isa *isa;
    int64_t groups, panels_a_piece; // of panels
    int64_t range_blocks;           // of channels, in a range
    int64_t terms, passes;          // terms of a range
    int64_t strip_part;             // elements
    size_t offset_bytes, strip_bytes, sum_bytes, worker_bytes;
    int32_t shared;
    char *offsets, *strips, *workers; // parts of the scratch memory
} product;

/* What a worker keeps between its pieces, at the head of its scratch. */
typedef struct worker_state {
    int64_t block; // in the strip, -1: none
} worker_state;

/* Panels of a piece whose sums wait: as many as may share a part of the strip, if enough pieces for
 * all threads are left; all pieces nearly alike. */
static int64_t waiting_panels(const bf16_isa *isa, int64_t panels, int64_t blocks)
{
    const int64_t groups = SDI_MAX(sdi_pieces(panels, isa->waiting_panels),
                                   sdi_pieces(isa->waiting_pieces, blocks));
    return sdi_pieces(panels, SDI_MIN(groups, panels));
}

static product product_of(const bf16_geometry *g, const bf16_isa *isa)
{
    const sdi_packed *w = g->a.wt;
    product p = {.g = g, .isa = isa};
    const int64_t panels = bf16_panels(w), steps = (int64_t)w->kh * w->kw;
    const int64_t blocks = bf16_channel_blocks(w);
    const int64_t bytes = steps > 1 ? isa->conv_range : isa->linear_range;
    const int64_t wanted = SDI_MAX(bytes / (steps * BF16_STEP_SIZE * 2), 1);
    p.range_blocks = sdi_pieces(blocks, sdi_pieces(blocks, wanted));
    p.terms = isa->parts > 1 ? 3 : 1;
    p.passes = sdi_pieces(blocks, p.range_blocks) * p.terms;
    p.panels_a_piece =
        p.passes > 1 ? waiting_panels(isa, panels, g->blocks)
                     : sdi_pieces(panels, SDI_MIN(panels, sdi_pieces(PIECES, g->blocks)));
    p.groups = sdi_pieces(panels, p.panels_a_piece);
    p.shared = g->a.n * g->a.oh * g->a.ow <= FEW_ROWS;
    p.offset_bytes = sdi_scratch_round((size_t)(blocks * steps) * sizeof(int32_t));
    p.strip_part = sdi_x86_bf16_strip_size(g);
    p.strip_bytes = sdi_scratch_round((size_t)(p.strip_part * isa->parts) * 2);
    const int64_t sums = p.passes > 1 ? p.panels_a_piece * (BF16_RUNS_MAX + 1) : 4;
    p.sum_bytes = (size_t)(sums * BF16_RUN_FLOATS) * sizeof(float);
    p.worker_bytes = HEADER + p.sum_bytes + (p.shared ? 0 : p.strip_bytes);
    return p;
}

size_t sdi_x86_bf16_product_scratch(const bf16_isa *isa, const bf16_geometry *g, int32_t workers)
{
    const product p = product_of(g, isa);
    return p.offset_bytes + (p.shared ? (size_t)g->blocks * p.strip_bytes : 0) +
           (size_t)workers * p.worker_bytes;
}

static uint16_t *shared_strip(const product *p, int64_t block)
{
    return (uint16_t *)(void *)(p->strips + (size_t)block * p->strip_bytes);
}

static void fill_piece(void *argument, int64_t index, int32_t worker)
{
    (void)worker;
    const product *p = argument;
    const int64_t k = p->g->a.wt->k, parts = sdi_pieces(k, FILL_CHANNELS);
    const int64_t block = index / parts, k0 = index % parts * FILL_CHANNELS;
    sdi_x86_bf16_fill(p->g, p->isa, block, k0, SDI_MIN(k0 + FILL_CHANNELS, k),
                      shared_strip(p, block));
}

/* The strip of a block: everybody's, or this worker's, filled now if it holds another one. */
static const uint16_t *strip_of(const product *p, int64_t block, char *scratch)
{
    if (p->shared)
        return shared_strip(p, block);
    worker_state *state = (worker_state *)(void *)scratch;
    uint16_t *strip = (uint16_t *)(void *)(scratch + HEADER + p->sum_bytes);
    if (state->block != block)
        sdi_x86_bf16_fill(p->g, p->isa, block, 0, p->g->a.wt->k, strip);
    state->block = block;
    return strip;
}

static void order_bias(const sdi_conv *a, int64_t panel, float *bias)
{
    for (int32_t lane = 0; lane < BF16_LANES; lane++) {
        const int64_t row = a->bias ? bf16_lane_row(a->wt, panel, lane) : -1;
        bias[lane] = row < 0 ? 0 : a->bias[row];
    }
}

/* A piece at work. */
typedef struct piece {
    const product *p;
    const uint16_t *strip;
    float *sums;
    int64_t first, end; // panels
    int64_t after;      // the panel that this worker will probably want then
    int32_t run_count;
    bf16_run runs[BF16_RUNS_MAX];
    /* Of the last two pairs of runs, and of the last two panels. */
    bf16_rows rows[2];
    float bias[2][BF16_LANES];
    int32_t turn; // the pair of runs that comes
} piece;

/* The rows of `count` runs whose sums will be at c. */
static void set_rows(const piece *w, const bf16_run *runs, int32_t count, int64_t panel,
                     const float *c, bf16_rows *rows)
{
    const product *p = w->p;
    const sdi_conv *a = &p->g->a;
    const int64_t lanes = a->wt->geglu ? BF16_LANES / 2 : BF16_LANES;
    const int64_t columns = a->wt->geglu ? a->wt->n / 2 : a->wt->n;
    rows->bias = w->bias[panel % 2];
    rows->residual = &a->residual;
    rows->out = &a->out;
    rows->column = panel * lanes;
    rows->columns = (int32_t)SDI_MIN(lanes, columns - rows->column);
    rows->act = p->g->act;
    rows->count = rows->left = 0;
    rows->finished = rows->fetched = (bf16_cursor){0, 0};
    for (int32_t r = 0; r < count; r++, c += BF16_RUN_FLOATS)
        for (int32_t i = 0; i < runs[r].stretch_count; i++) {
            const bf16_stretch *s = &runs[r].stretches[i];
            bf16_part *part = &rows->parts[rows->count++];
            *part = (bf16_part){.c = c + s->first * BF16_LANES, .row = s->out, .rows = s->rows};
            if (a->channel_add.data)
                part->add = (const float *)a->channel_add.data + s->image * a->channel_add.ld +
                            rows->column;
            rows->left += s->rows;
        }
}

/* Of three passes the first takes the low part of the weight, the last that of the strip. */
static const uint16_t *weight_of(const product *p, int64_t panel, int64_t pass)
{
    const sdi_packed *w = p->g->a.wt;
    const int64_t low = p->terms > 1 && pass % p->terms == 0;
    return (const uint16_t *)w->data + (panel * p->isa->parts + low) * bf16_panel_size(w) +
           pass / p->terms * p->range_blocks * w->kh * w->kw * BF16_STEP_SIZE;
}

static const uint16_t *strip_of_pass(const piece *w, int64_t pass)
{
    return w->strip + (pass % w->p->terms == 2 ? w->p->strip_part : 0);
}

static const uint16_t *next_weight(const piece *w, int64_t panel, int64_t pass)
{
    if (panel + 1 < w->end)
        return weight_of(w->p, panel + 1, pass);
    return pass + 1 < w->p->passes ? weight_of(w->p, w->first, pass + 1)
                                   : weight_of(w->p, w->after, 0);
}

/* Multiplies runs i and i + 1 (if there is one); in the last pass their rows are finished while
 * the next ones are multiplied. */
static void multiply_pair(piece *w, bf16_tile *t, int32_t i, int64_t panel, int64_t pass)
{
    const int32_t count = SDI_MIN(w->run_count - i, 2);
    const bf16_run *runs = &w->runs[i];
    bf16_rows *own = &w->rows[w->turn], *before = &w->rows[!w->turn];
    const uint16_t *strip = strip_of_pass(w, pass);
    t->a[0] = strip + runs[0].at * BF16_STEP;
    t->a[1] = strip + runs[count - 1].at * BF16_STEP;
    t->rows[0] = runs[0].rows;
    t->rows[1] = count > 1 ? runs[1].rows : 0;
    if (pass + 1 < w->p->passes) {
        w->p->isa->tile(t);
        return;
    }
    set_rows(w, runs, count, panel, t->c, own);
    t->own = own;
    t->before = before;
    w->p->isa->tile(t);
    w->p->isa->finish(before, before->left);
    w->turn = !w->turn;
}

/* One panel, one pass, all runs of a block. */
static void multiply_panel(piece *w, int64_t panel, int64_t pass)
{
    const product *p = w->p;
    const sdi_packed *wt = p->g->a.wt;
    const int64_t taps = (int64_t)wt->kh * wt->kw, block0 = pass / p->terms * p->range_blocks;
    const int64_t blocks = SDI_MIN(p->range_blocks, bf16_channel_blocks(wt) - block0);
    const int32_t pairs = (w->run_count + 1) / 2;
    bf16_tile t = {.steps = blocks * taps, .last_pairs = 16, .add = pass > 0};
    t.offsets = (const int32_t *)(const void *)p->offsets + block0 * taps;
    t.b = weight_of(p, panel, pass);
    t.next = (const char *)next_weight(w, panel, pass);
    t.next_lines = SDI_MIN((LINES_A_STEP + pairs - 1) / pairs, LINES_MAX);
    t.taps_wide = wt->kw;
    if (wt->kw == wt->kh && (wt->kw == 2 || wt->kw == 3) && p->g->a.stride == 1)
        t.ahead = (int32_t)(p->g->places * BF16_STEP);
    if (pass + 1 == p->passes)
        order_bias(&p->g->a, panel, w->bias[panel % 2]);
    for (int32_t i = 0; i < w->run_count; i += 2) {
        t.c = p->passes > 1
                  ? w->sums + ((panel - w->first) * (BF16_RUNS_MAX + 1) + i) * BF16_RUN_FLOATS
                  : w->sums + 2 * w->turn * BF16_RUN_FLOATS;
        multiply_pair(w, &t, i, panel, pass);
        t.next += t.steps * t.next_lines * 64;
    }
}

/* The panels of a piece, and the first of the worker's next piece if nobody takes that. */
static void set_panels(piece *w, int64_t block, int64_t group)
{
    const product *p = w->p;
    const int64_t panels = bf16_panels(p->g->a.wt);
    w->first = group * p->panels_a_piece;
    w->end = SDI_MIN(w->first + p->panels_a_piece, panels);
    w->after = p->shared && block + 1 < p->g->blocks ? w->first : w->end % panels;
}

static void multiply_piece(void *argument, int64_t index, int32_t worker)
{
    const product *p = argument;
    const int64_t blocks = p->g->blocks;
    const int64_t block = p->shared ? index % blocks : index / p->groups;
    char *scratch = p->workers + (size_t)worker * p->worker_bytes;
    const unsigned callers = fpu_enter();
    piece w;
    w.p = p;
    w.strip = strip_of(p, block, scratch);
    w.sums = (float *)(void *)(scratch + HEADER);
    w.run_count = sdi_x86_bf16_runs(p->g, block, w.runs);
    w.turn = w.rows[0].left = w.rows[1].left = 0;
    set_panels(&w, block, p->shared ? index / blocks : index % p->groups);
    p->isa->enter();
    for (int64_t pass = 0; pass < p->passes; pass++)
        for (int64_t panel = w.first; panel < w.end; panel++)
            multiply_panel(&w, panel, pass);
    bf16_rows *late = &w.rows[!w.turn];
    p->isa->finish(late, late->left);
    p->isa->leave();
    fpu_leave(callers);
}

static void set_offsets(const product *p)
{
    const sdi_packed *w = p->g->a.wt;
    int32_t *offset = (int32_t *)(void *)p->offsets;
    for (int64_t block = 0; block < bf16_channel_blocks(w); block++)
        for (int64_t tap = 0; tap < w->kh * w->kw; tap++)
            *offset++ = (int32_t)((block * p->g->places + sdi_x86_bf16_tap(p->g, tap)) *
                                  BF16_STEP);
}

void sdi_x86_bf16_product(const bf16_isa *isa, const sdi_exec *exec, const bf16_geometry *g)
{
    product p = product_of(g, isa);
    p.offsets = exec->scratch;
    p.strips = p.offsets + p.offset_bytes;
    p.workers = p.strips + (p.shared ? (size_t)g->blocks * p.strip_bytes : 0);
    set_offsets(&p);
    for (int32_t i = 0; i < sdi_pool_size(exec->pool); i++)
        ((worker_state *)(void *)(p.workers + (size_t)i * p.worker_bytes))->block = -1;
    const double rows = (double)(g->a.n * g->a.oh * g->a.ow), k = (double)g->a.wt->k;
    const double work =
        rows * (double)(bf16_panel_size(g->a.wt) * bf16_panels(g->a.wt) * p.terms) / 8;
    if (p.shared)
        sdi_parallel_work(exec, g->blocks * sdi_pieces(g->a.wt->k, FILL_CHANNELS), rows * k,
                          fill_piece, &p);
    sdi_parallel_work(exec, g->blocks * p.groups, work, multiply_piece, &p);
}
