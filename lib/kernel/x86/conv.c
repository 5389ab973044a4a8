/* SPDX-License-Identifier: MIT
 *
 * Convolutions as an x86_product. A block is a rectangle of output pixels (of several images, where
 * they are small); its strip holds the input it reads, zero halo and resizing included, as
 *
 *     [channel][image][line][phase][column]
 *
 * where input column x of a line is at phase x % stride, column x / stride: consecutive output
 * pixels read consecutive floats at every tap and stride. Tiles do not cross the end of a row.
 *
 * A 3x3 convolution of an image doubled by repetition is done on the image itself: the outputs of
 * each parity of row and column are a 2x2 convolution whose taps are sums of the nine, 4/9 of the
 * work. Blocks are then rectangles of the small image.
 */
#include "kernel/x86/products.h"

#include "base/attributes.h"
#include "kernel/geometry.h"

enum {
    FEW_PIXELS = 1024, // up to here the weight is split over threads, not the image
    BLOCK_PIXELS = 256,
    BLOCK_WIDTH = 64,
    TILES_TOGETHER = 3 // they share lines of the strip
};

typedef struct geometry {
    const sdi_conv *a;
    int64_t scale;                 // 2: doubled
    int64_t up_h, up_w, oh, ow;    // the convolution's, over scale
    int64_t images, height, width; // of a block, output pixels
    int64_t down, across;          // blocks in a column and in a row of an image
    int64_t phase, line, lines;    // floats of a phase, of a line; lines of an image
    int64_t pitch;
} geometry;

/* Output pixels of a block; the last ones of an image may be smaller. */
typedef struct rectangle {
    int64_t image0, image1, y0, y1, x0, x1;
} rectangle;

static rectangle rectangle_of(const geometry *g, int64_t block)
{
    const sdi_conv *a = g->a;
    rectangle r;
    r.image0 = block / (g->down * g->across) * g->images;
    r.y0 = block / g->across % g->down * g->height;
    r.x0 = block % g->across * g->width;
    r.image1 = SDI_MIN(r.image0 + g->images, a->n);
    r.y1 = SDI_MIN(r.y0 + g->height, g->oh);
    r.x1 = SDI_MIN(r.x0 + g->width, g->ow);
    return r;
}

static int32_t tap_offset(const x86_product *p, int32_t phase, int32_t tap)
{
    const geometry *g = p->operation;
    if (g->scale == 2)
        return (int32_t)((phase / 2 + tap / 2) * g->line + phase % 2 + tap % 2);
    const int64_t ky = tap / p->w->kw, kx = tap % p->w->kw, stride = g->a->stride;
    return (int32_t)(ky * g->line + kx % stride * g->phase + kx / stride);
}

static void describe(const x86_product *p, int64_t block, x86_block *out)
{
    const geometry *g = p->operation;
    const sdi_conv *a = g->a;
    const rectangle r = rectangle_of(g, block);
    const int64_t width = r.x1 - r.x0, tiles = sdi_pieces(width, p->isa->tile_rows);
    out->a_pitch = g->pitch;
    out->tile_count = 0;
    for (int64_t image = r.image0; image < r.image1; image++) {
        for (int64_t y = r.y0; y < r.y1; y++) {
            const int64_t line = (image - r.image0) * g->lines + (y - r.y0) * a->stride;
            for (int64_t i = 0; i < tiles; i++) {
                const int64_t x = i * width / tiles;
                out->tiles[out->tile_count++] = (x86_tile_place){
                    .at = (int32_t)(line * g->line + x),
                    .rows = (int32_t)((i + 1) * width / tiles - x),
                    .out = ((image * a->oh + y * g->scale) * a->ow) + (r.x0 + x) * g->scale,
                    .image = image,
                };
            }
        }
    }
}

/* One line of one image: input row `y` (or -1), resized columns from `x` on. */
static void fill_line(const x86_product *p, const float *row, int64_t x, int64_t k0, int64_t k1,
                      float *strip, const float *zeros)
{
    const geometry *g = p->operation;
    const sdi_conv *a = g->a;
    for (int64_t phase = 0; phase < a->stride; phase++) {
        for (int64_t column = 0; column < g->phase; column += 8) {
            const float *pixels[8];
            for (int64_t i = 0; i < 8; i++) {
                const int64_t at = x + (column + i) * a->stride + phase;
                const int64_t source = row ? sdi_resized_source(at, a->w, g->up_w) : -1;
                pixels[i] = source < 0 ? zeros : row + source * a->x.ld;
            }
            /* May write up to seven floats into what is filled next, or into the pitch. */
            p->isa->transpose(pixels, k1 - k0, strip + phase * g->phase + column, g->pitch, 0);
        }
    }
}

static void fill(const x86_product *p, int64_t block, int64_t k0, int64_t k1, float *strip,
                 const float *zeros)
{
    const geometry *g = p->operation;
    const sdi_conv *a = g->a;
    const rectangle r = rectangle_of(g, block);
    strip += k0 * g->pitch;
    for (int64_t image = r.image0; image < r.image1; image++) {
        const float *pixels = (const float *)a->x.data + image * a->h * a->w * a->x.ld + k0;
        for (int64_t line = 0; line < g->lines; line++, strip += g->line) {
            const int64_t y =
                sdi_resized_source(r.y0 * a->stride - a->pad_top + line, a->h, g->up_h);
            fill_line(p, y < 0 ? NULL : pixels + y * a->w * a->x.ld,
                      r.x0 * a->stride - a->pad_left, k0, k1, strip, zeros);
        }
    }
}

/* A size close to `wanted` that divides `whole` evenly, or nearly. */
static int64_t even_part(int64_t whole, int64_t wanted)
{
    return sdi_pieces(whole, sdi_pieces(whole, SDI_MIN(SDI_MAX(wanted, 1), whole)));
}

static geometry geometry_of(const x86_isa *isa, const sdi_conv *a)
{
    geometry g = {.a = a, .scale = sdi_conv_is_doubled(a) ? 2 : 1};
    g.up_h = a->up_h / g.scale;
    g.up_w = a->up_w / g.scale;
    g.oh = a->oh / g.scale;
    g.ow = a->ow / g.scale;
    g.width = even_part(g.ow, BLOCK_WIDTH);
    const int64_t row_tiles = sdi_pieces(g.width, isa->tile_rows);
    g.height = even_part(g.oh, SDI_MIN(BLOCK_PIXELS / g.width, TILES_MAX / row_tiles));
    g.images = 1;
    if (g.width == g.ow && g.height == g.oh)
        g.images = even_part(a->n, SDI_MIN(BLOCK_PIXELS / (g.width * g.height),
                                           TILES_MAX / (row_tiles * g.height)));
    g.down = sdi_pieces(g.oh, g.height);
    g.across = sdi_pieces(g.ow, g.width);
    g.phase = sdi_pieces((g.width - 1) * a->stride + a->wt->kw, a->stride);
    g.line = g.phase * a->stride;
    g.lines = (g.height - 1) * a->stride + a->wt->kh;
    g.pitch = strip_pitch(g.images * g.lines * g.line + 7);
    return g;
}

static x86_product product_of(const x86_isa *isa, const sdi_conv *a, geometry *g)
{
    const sdi_packed *w = a->wt;
    *g = geometry_of(isa, a);
    x86_product p = {.isa = isa, .w = w, .bias = a->bias, .channel_add = a->channel_add,
                     .residual = a->residual, .out = a->out, .phases = 1, .phase_step = g->scale,
                     .tap_count = w->kh * w->kw, .tap = tap_offset,
                     .tiles_together = TILES_TOGETHER, .describe = describe, .fill = fill,
                     .operation = g};
    if (g->scale == 2) {
        p.phases = p.tap_count = 4;
        p.phase_out[1] = 1;
        p.phase_out[2] = a->ow;
        p.phase_out[3] = a->ow + 1;
    }
    p.work = a->n * g->oh * g->ow * panel_count(w) * panel_floats(w);
    p.blocks = sdi_pieces(a->n, g->images) * g->down * g->across;
    p.strip_floats = g->pitch * w->k;
    p.shared = a->n * g->oh * g->ow <= FEW_PIXELS;
    const int32_t terms = a->stride > 1 ? isa->stride_k : isa->conv_k;
    p.k_block = even_part(w->k, terms / (p.tap_count * p.phases));
    sdi_x86_product_divide(&p);
    return p;
}

void sdi_x86_conv(const x86_isa *isa, const sdi_exec *exec, const sdi_conv *a)
{
    if (sdi_conv_is_linear(a)) {
        const sdi_linear linear = sdi_conv_as_linear(a);
        sdi_x86_linear(isa, exec, &linear);
        return;
    }
    if (sdi_x86_is_narrow(a)) {
        sdi_x86_narrow(isa, exec, a);
        return;
    }
    geometry g;
    const x86_product p = product_of(isa, a, &g);
    sdi_x86_product_run(&p, exec);
}

size_t sdi_x86_conv_scratch(const x86_isa *isa, const sdi_conv *a, int32_t workers)
{
    if (sdi_conv_is_linear(a)) {
        const sdi_linear linear = sdi_conv_as_linear(a);
        return sdi_x86_linear_scratch(isa, &linear, workers);
    }
    if (sdi_x86_is_narrow(a))
        return sdi_x86_narrow_scratch(isa, a, workers);
    geometry g;
    const x86_product p = product_of(isa, a, &g);
    return sdi_x86_product_scratch(&p, workers);
}
