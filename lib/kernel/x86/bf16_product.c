/* SPDX-License-Identifier: MIT
 *
 * The loop of all bf16 products:
 *
 *     piece = (block of rows, a few panels)
 *         round the block's input into a strip, unless this worker has it already
 *         for each range of steps: for each panel: for each two runs: multiply; at the end finish
 *
 * A range of steps keeps its parts of strip and panel in the second-level cache; sums wait in fp32
 * between ranges. With many rows the pieces of one block follow each other, so that a worker
 * fills its strip once and streams the weight. With few rows the weight is what must be read once:
 * all strips are filled first, by everybody, and the pieces of one panel follow each other.
 */
#include "base/attributes.h"
#include "kernel/parallel.h"
#include "kernel/x86/bf16_geometry.h"
#include "kernel/x86/fpu.h"

#include <string.h>

enum {
    FEW_ROWS = 1024,
    PIECES = 128,           // wanted at least, so that threads end at the same time
    PANELS_MAX = 4,         // of a piece whose sums wait
    FILL_CHANNELS = 128,    // of a strip, filled as one piece of work
    RANGE_BYTES = 96 << 10, // of a panel
    HEADER = 64             // bytes
};

typedef struct product {
    const bf16_geometry *g;
    const bf16_isa *isa;
    int64_t groups, panels_a_piece; // of panels
    int64_t range_blocks, ranges;   // of channels: blocks of a range
    size_t offset_bytes, strip_bytes, sum_bytes, worker_bytes;
    int32_t shared;
    char *offsets, *strips, *workers; // parts of the scratch memory
} product;

/* What a worker keeps between its pieces, at the head of its scratch. */
typedef struct worker_state {
    int64_t block; // in the strip, -1: none
} worker_state;

static product product_of(const bf16_geometry *g)
{
    const sdi_packed *w = g->a.wt;
    product p = {.g = g};
    const int64_t panels = bf16_panels(w), steps = (int64_t)w->kh * w->kw;
    const int64_t blocks = bf16_channel_blocks(w);
    const int64_t wanted = SDI_MAX(RANGE_BYTES / (steps * BF16_STEP_SIZE * 2), 1);
    p.ranges = bf16_pieces(blocks, wanted);
    p.range_blocks = bf16_pieces(blocks, p.ranges);
    p.ranges = bf16_pieces(blocks, p.range_blocks);
    p.panels_a_piece = bf16_pieces(panels, SDI_MIN(panels, bf16_pieces(PIECES, g->blocks)));
    if (p.ranges > 1)
        p.panels_a_piece = SDI_MIN(p.panels_a_piece, PANELS_MAX);
    p.groups = bf16_pieces(panels, p.panels_a_piece);
    p.shared = g->a.n * g->a.oh * g->a.ow <= FEW_ROWS;
    p.offset_bytes = sdi_scratch_round((size_t)(blocks * steps) * sizeof(int32_t));
    p.strip_bytes = sdi_scratch_round((size_t)(g->places * blocks * BF16_STEP) * 2);
    const int64_t sums = p.ranges > 1 ? p.panels_a_piece * (BF16_RUNS_MAX + 1) : 2;
    p.sum_bytes = (size_t)(sums * BF16_RUN_FLOATS) * sizeof(float);
    p.worker_bytes = HEADER + p.sum_bytes + (p.shared ? 0 : p.strip_bytes);
    return p;
}

static size_t scratch_of(const bf16_geometry *g, int32_t workers)
{
    const product p = product_of(g);
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
    const int64_t k = p->g->a.wt->k, parts = bf16_pieces(k, FILL_CHANNELS);
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

static void finish_run(const product *p, const bf16_run *run, int64_t panel, const float *c)
{
    const sdi_conv *a = &p->g->a;
    const int64_t lanes = a->wt->geglu ? BF16_LANES / 2 : BF16_LANES;
    const int64_t columns = a->wt->geglu ? a->wt->n / 2 : a->wt->n;
    float bias[BF16_LANES];
    order_bias(a, panel, bias);
    bf16_finish f = {.bias = bias, .residual = &a->residual, .out = &a->out,
                     .column = panel * lanes, .act = p->g->act};
    f.columns = (int32_t)SDI_MIN(lanes, columns - f.column);
    for (int32_t i = 0; i < run->stretch_count; i++) {
        const bf16_stretch *s = &run->stretches[i];
        f.c = c + s->first * BF16_LANES;
        f.row = s->out;
        f.rows = s->rows;
        f.add = a->channel_add.data ? (const float *)a->channel_add.data +
                                          s->image * a->channel_add.ld + f.column
                                    : NULL;
        p->isa->finish(&f);
    }
}

/* One panel, one range of steps, all runs of a block; c: [runs][16][32], or [2] if one range. */
static void multiply_panel(const product *p, const bf16_run *runs, int32_t count, int64_t panel,
                           int64_t range, const uint16_t *strip, float *c)
{
    const sdi_packed *w = p->g->a.wt;
    const int64_t taps = (int64_t)w->kh * w->kw, block0 = range * p->range_blocks;
    const int64_t blocks = SDI_MIN(p->range_blocks, bf16_channel_blocks(w) - block0);
    bf16_tile t = {.steps = blocks * taps, .last_pairs = 16, .add = range > 0};
    t.offsets = (const int32_t *)(const void *)p->offsets + block0 * taps;
    t.b = (const uint16_t *)w->data + panel * bf16_panel_size(w) + block0 * taps * BF16_STEP_SIZE;
    for (int32_t i = 0; i < count; i += 2) {
        const int32_t second = SDI_MIN(i + 1, count - 1);
        t.a[0] = strip + runs[i].at * BF16_STEP;
        t.a[1] = strip + runs[second].at * BF16_STEP;
        t.rows[0] = runs[i].rows;
        t.rows[1] = second > i ? runs[second].rows : 0;
        t.c = c + (p->ranges > 1 ? i * BF16_RUN_FLOATS : 0);
        p->isa->tile(&t);
        if (range + 1 < p->ranges)
            continue;
        finish_run(p, &runs[i], panel, t.c);
        if (second > i)
            finish_run(p, &runs[second], panel, t.c + BF16_RUN_FLOATS);
    }
}

static void multiply_piece(void *argument, int64_t index, int32_t worker)
{
    const product *p = argument;
    const int64_t blocks = p->g->blocks;
    const int64_t block = p->shared ? index % blocks : index / p->groups;
    const int64_t group = p->shared ? index / blocks : index % p->groups;
    const int64_t first = group * p->panels_a_piece;
    const int64_t end = SDI_MIN(first + p->panels_a_piece, bf16_panels(p->g->a.wt));
    char *scratch = p->workers + (size_t)worker * p->worker_bytes;
    float *c = (float *)(void *)(scratch + HEADER);
    const unsigned callers = fpu_enter();
    const uint16_t *strip = strip_of(p, block, scratch);
    bf16_run runs[BF16_RUNS_MAX];
    const int32_t count = sdi_x86_bf16_runs(p->g, block, runs);
    const int64_t panel_floats = p->ranges > 1 ? (BF16_RUNS_MAX + 1) * BF16_RUN_FLOATS : 0;
    p->isa->enter();
    for (int64_t range = 0; range < p->ranges; range++)
        for (int64_t panel = first; panel < end; panel++)
            multiply_panel(p, runs, count, panel, range, strip,
                           c + (panel - first) * panel_floats);
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

static void run(const bf16_geometry *g, const bf16_isa *isa, const sdi_exec *exec)
{
    product p = product_of(g);
    p.isa = isa;
    p.offsets = exec->scratch;
    p.strips = p.offsets + p.offset_bytes;
    p.workers = p.strips + (p.shared ? (size_t)g->blocks * p.strip_bytes : 0);
    set_offsets(&p);
    for (int32_t i = 0; i < sdi_pool_size(exec->pool); i++)
        ((worker_state *)(void *)(p.workers + (size_t)i * p.worker_bytes))->block = -1;
    const double rows = (double)(g->a.n * g->a.oh * g->a.ow), k = (double)g->a.wt->k;
    const double work = rows * (double)(bf16_panel_size(g->a.wt) * bf16_panels(g->a.wt)) / 8;
    if (p.shared)
        sdi_parallel_work(exec, g->blocks * bf16_pieces(g->a.wt->k, FILL_CHANNELS), rows * k,
                          fill_piece, &p);
    sdi_parallel_work(exec, g->blocks * p.groups, work, multiply_piece, &p);
}

void sdi_x86_bf16_linear(const bf16_isa *isa, const sdi_exec *exec, const sdi_linear *a)
{
    const bf16_geometry g = sdi_x86_bf16_geometry_linear(a);
    run(&g, isa, exec);
}

size_t sdi_x86_bf16_linear_scratch(const sdi_linear *a, int32_t workers)
{
    const bf16_geometry g = sdi_x86_bf16_geometry_linear(a);
    return scratch_of(&g, workers);
}

void sdi_x86_bf16_conv(const bf16_isa *isa, const sdi_exec *exec, const sdi_conv *a)
{
    const bf16_geometry g = sdi_x86_bf16_geometry_conv(a);
    run(&g, isa, exec);
}

size_t sdi_x86_bf16_conv_scratch(const sdi_conv *a, int32_t workers)
{
    const bf16_geometry g = sdi_x86_bf16_geometry_conv(a);
    return scratch_of(&g, workers);
}
