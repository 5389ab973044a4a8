/* SPDX-License-Identifier: MIT
 *
 * Blocks, runs and strips of bf16_geometry.h.
 */
#include "kernel/x86/bf16_geometry.h"

#include "base/attributes.h"
#include "kernel/geometry.h"

#include <string.h>

enum {
    BLOCK_PIXELS = 256, // a panel that comes from the third level serves so many
    BLOCK_WIDTH = 64    // of convolutions
};

/* Output pixels of a block; the last ones of an image may be smaller. */
typedef struct rectangle {
    int64_t image0, image1, y0, y1, x0, x1;
} rectangle;

static rectangle rectangle_of(const bf16_geometry *g, int64_t block)
{
    rectangle r;
    r.image0 = block / (g->down * g->across) * g->images;
    r.y0 = block / g->across % g->down * g->height;
    r.x0 = block % g->across * g->width;
    r.image1 = SDI_MIN(r.image0 + g->images, g->a.n);
    r.y1 = SDI_MIN(r.y0 + g->height, g->a.oh);
    r.x1 = SDI_MIN(r.x0 + g->width, g->a.ow);
    return r;
}

/* A size of at most `wanted` that divides `whole` evenly, or nearly. */
static int64_t even_part(int64_t whole, int64_t wanted)
{
    return sdi_pieces(whole, sdi_pieces(whole, SDI_MIN(SDI_MAX(wanted, 1), whole)));
}

/* Whether fewer rows are multiplied where runs cross the halo than where lines end in padding. */
static int is_better_flat(const bf16_geometry *g, int64_t rows)
{
    return g->a.stride == 1 && sdi_round_up((g->height - 1) * g->line + g->width, rows) <
                                   g->height * sdi_round_up(g->width, rows);
}

static void choose_block(bf16_geometry *g, int64_t width)
{
    const sdi_conv *a = &g->a;
    g->width = even_part(a->ow, width);
    if (g->width < a->ow && g->width % BF16_RUN)
        g->width = SDI_MIN((g->width / BF16_RUN + 1) * BF16_RUN, a->ow);
    const int64_t line_runs = sdi_pieces(g->width, BF16_RUN);
    g->height = even_part(a->oh, SDI_MIN(BLOCK_PIXELS / g->width, BF16_RUNS_MAX / line_runs));
    g->images = 1;
    if (g->width == a->ow && g->height == a->oh)
        g->images = even_part(a->n, SDI_MIN(BLOCK_PIXELS / (g->width * g->height),
                                            BF16_RUNS_MAX / (line_runs * g->height)));
}

static bf16_geometry geometry_of(const bf16_isa *isa, const sdi_conv *a, sdi_act act,
                                 int64_t width)
{
    bf16_geometry g = {.a = *a, .act = act, .out_line = a->ow};
    choose_block(&g, width);
    g.down = sdi_pieces(a->oh, g.height);
    g.across = sdi_pieces(a->ow, g.width);
    g.blocks = sdi_pieces(a->n, g.images) * g.down * g.across;
    g.phase = sdi_pieces((g.width - 1) * a->stride + a->wt->kw, a->stride);
    g.line = g.phase * a->stride;
    g.lines = (g.height - 1) * a->stride + a->wt->kh;
    /* The last run may read up to 15 places too many. Odd: blocks of channels in other sets. */
    g.places = (g.images * g.lines * g.line + BF16_RUN) | 1;
    g.flat = is_better_flat(&g, isa->rows);
    return g;
}

bf16_geometry sdi_x86_bf16_geometry_linear(const bf16_isa *isa, const sdi_linear *a)
{
    const sdi_conv c = {.n = 1, .h = 1, .w = a->m, .up_h = 1, .up_w = a->m, .oh = 1, .ow = a->m,
                        .stride = 1, .x = a->x, .wt = a->w, .bias = a->bias,
                        .residual = a->residual, .out = a->out};
    return geometry_of(isa, &c, a->act, BLOCK_PIXELS);
}

bf16_geometry sdi_x86_bf16_geometry_conv(const bf16_isa *isa, const sdi_conv *a)
{
    if (sdi_conv_is_linear(a)) {
        const sdi_linear linear = sdi_conv_as_linear(a);
        return sdi_x86_bf16_geometry_linear(isa, &linear);
    }
    return geometry_of(isa, a, SDI_ACT_NONE, BLOCK_WIDTH);
}

int64_t sdi_x86_bf16_tap(const bf16_geometry *g, int64_t tap)
{
    const int64_t ky = tap / g->a.wt->kw, kx = tap % g->a.wt->kw, stride = g->a.stride;
    return ky * g->line + kx % stride * g->phase + kx / stride;
}

/* The runs of one image whose strip begins at place `at`. */
static int32_t flat_image(const bf16_geometry *g, const rectangle *r, int64_t image, int64_t at,
                          bf16_run *runs)
{
    const int64_t width = r->x1 - r->x0, end = (r->y1 - r->y0 - 1) * g->line + width;
    int32_t count = 0;
    for (int64_t p = 0; p < end; p += BF16_RUN, count++) {
        bf16_run *run = &runs[count];
        run->at = (int32_t)(at + p);
        run->rows = (int32_t)SDI_MIN(BF16_RUN, end - p);
        run->stretch_count = 0;
        for (int64_t i = 0; i < run->rows;) {
            const int64_t y = (p + i) / g->line, x = (p + i) % g->line;
            const int64_t rows = SDI_MIN(SDI_MAX(width - x, 0), run->rows - i);
            if (rows > 0)
                run->stretches[run->stretch_count++] =
                    (bf16_stretch){(int32_t)i, (int32_t)rows,
                                   (image * g->a.oh + r->y0 + y) * g->out_line + r->x0 + x, image};
            i += rows > 0 ? rows : g->line - x;
        }
    }
    return count;
}

static int32_t line_image(const bf16_geometry *g, const rectangle *r, int64_t image, int64_t at,
                          bf16_run *runs)
{
    int32_t count = 0;
    for (int64_t y = r->y0; y < r->y1; y++, at += g->line * g->a.stride) {
        for (int64_t x = r->x0; x < r->x1; x += BF16_RUN) {
            const int32_t rows = (int32_t)SDI_MIN(BF16_RUN, r->x1 - x);
            runs[count++] = (bf16_run){
                .at = (int32_t)(at + x - r->x0),
                .rows = rows,
                .stretch_count = 1,
                .stretches = {{0, rows, (image * g->a.oh + y) * g->out_line + x, image}},
            };
        }
    }
    return count;
}

int32_t sdi_x86_bf16_runs(const bf16_geometry *g, int64_t block, bf16_run *runs)
{
    const rectangle r = rectangle_of(g, block);
    int32_t count = 0;
    for (int64_t image = r.image0; image < r.image1; image++) {
        const int64_t at = (image - r.image0) * g->lines * g->line;
        count += g->flat ? flat_image(g, &r, image, at, runs + count)
                         : line_image(g, &r, image, at, runs + count);
    }
    return count;
}

int64_t sdi_x86_bf16_strip_size(const bf16_geometry *g)
{
    return g->places * bf16_channel_blocks(g->a.wt) * BF16_STEP;
}

/* One line of the strip: input row `row` of x (or -1), resized columns from x0 on. */
static void fill_line(const bf16_geometry *g, const bf16_isa *isa, int64_t row, int64_t x0,
                      int64_t k0, int64_t k1, uint16_t *strip)
{
    const sdi_conv *a = &g->a;
    const size_t size = sdi_dtype_size(a->x.type);
    for (int64_t i = 0; i < g->line; i++, strip += BF16_STEP) {
        const int64_t x = x0 + i % g->phase * a->stride + i / g->phase;
        const int64_t source = row < 0 ? -1 : sdi_resized_source(x, a->w, a->up_w);
        const char *from = (const char *)a->x.data +
                           (size_t)((row * a->w + source) * a->x.ld + k0) * size;
        from = source < 0 ? NULL : from;
        isa->fill_row(strip, g->places * BF16_STEP, from, a->x.type, k1 - k0);
        if (isa->parts > 1)
            isa->fill_rest(strip + sdi_x86_bf16_strip_size(g), g->places * BF16_STEP, from,
                           a->x.type, k1 - k0);
    }
}

void sdi_x86_bf16_fill(const bf16_geometry *g, const bf16_isa *isa, int64_t block, int64_t k0,
                       int64_t k1, uint16_t *strip)
{
    const sdi_conv *a = &g->a;
    const rectangle r = rectangle_of(g, block);
    strip += k0 * g->places;
    for (int64_t image = r.image0; image < r.image1; image++) {
        for (int64_t line = 0; line < g->lines; line++, strip += g->line * BF16_STEP) {
            const int64_t y =
                sdi_resized_source(r.y0 * a->stride - a->pad_top + line, a->h, a->up_h);
            fill_line(g, isa, y < 0 ? -1 : image * a->h + y, r.x0 * a->stride - a->pad_left, k0,
                      k1, strip);
        }
    }
}
