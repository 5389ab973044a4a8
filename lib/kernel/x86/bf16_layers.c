/* SPDX-License-Identifier: MIT
 *
 * Linear layers and convolutions as bf16 products. A 3x3 convolution of an image doubled by
 * repetition is done on the image itself, as four 2x2 ones (doubled.h) with 4/9 of the work. Their
 * weights are summed anew in each call, by all threads, into scratch memory.
 */
#include "base/attributes.h"
#include "kernel/geometry.h"
#include "kernel/parallel.h"
#include "kernel/x86/bf16_geometry.h"
#include "kernel/x86/fpu.h"

enum { PHASES = 4 };

void sdi_x86_bf16_linear(const bf16_isa *isa, const sdi_exec *exec, const sdi_linear *a)
{
    const bf16_geometry g = sdi_x86_bf16_geometry_linear(isa, a);
    sdi_x86_bf16_product(isa, exec, &g);
}

size_t sdi_x86_bf16_linear_scratch(const bf16_isa *isa, const sdi_linear *a, int32_t workers)
{
    const bf16_geometry g = sdi_x86_bf16_geometry_linear(isa, a);
    return sdi_x86_bf16_product_scratch(isa, &g, workers);
}

static int is_doubled(const bf16_isa *isa, const sdi_conv *a)
{
    return a->h * a->w >= isa->doubled_pixels && sdi_conv_is_doubled(a);
}

/* The weight of a phase; its data is set where there is memory. */
static sdi_packed weight_of_phase(const sdi_conv *a)
{
    return (sdi_packed){.n = a->wt->n, .k = a->wt->k, .kh = 2, .kw = 2};
}

static int64_t phase_size(const bf16_isa *isa, const sdi_packed *w) // elements
{
    return bf16_panels(w) * bf16_panel_size(w) * isa->parts;
}

/* Every second row of m, from row `first` on. */
static sdi_mat every_second(sdi_mat m, int64_t first)
{
    if (m.data)
        m.data = (char *)m.data + (size_t)(first * m.ld) * sdi_dtype_size(m.type);
    m.ld *= 2;
    return m;
}

static bf16_geometry geometry_of_phase(const bf16_isa *isa, const sdi_conv *a,
                                       const sdi_packed *w, int phase)
{
    const int64_t first = phase / 2 * a->ow + phase % 2;
    sdi_conv c = *a;
    c.wt = w;
    c.up_h = c.oh = a->h;
    c.up_w = c.ow = a->w;
    c.pad_top = 1 - phase / 2;
    c.pad_left = 1 - phase % 2;
    c.out = every_second(a->out, first);
    c.residual = every_second(a->residual, first);
    bf16_geometry g = sdi_x86_bf16_geometry_conv(isa, &c);
    g.out_line = a->ow; // a line of out is left out between two
    return g;
}

typedef struct doubling {
    const bf16_isa *isa;
    const sdi_packed *from, *to;
    bf16_doubling parts;
} doubling;

static void double_piece(void *argument, int64_t index, int32_t worker)
{
    (void)worker;
    const doubling *d = argument;
    const int64_t blocks = bf16_channel_blocks(d->from), panel = index / blocks * d->isa->parts;
    const int64_t block = index % blocks * BF16_STEP_SIZE;
    const unsigned callers = fpu_enter();
    d->isa->double_step(&d->parts,
                        (const uint16_t *)d->from->data + panel * bf16_panel_size(d->from) +
                            9 * block,
                        (uint16_t *)d->to->data + panel * bf16_panel_size(d->to) + 4 * block);
    fpu_leave(callers);
}

static void double_weight(const bf16_isa *isa, const sdi_exec *exec, const sdi_packed *from,
                          const sdi_packed *to)
{
    doubling d = {.isa = isa, .from = from, .to = to, .parts = {.phase = phase_size(isa, to)}};
    if (isa->parts > 1) {
        d.parts.low_in = bf16_panel_size(from);
        d.parts.low_out = bf16_panel_size(to);
    }
    sdi_parallel_work(exec, bf16_panels(from) * bf16_channel_blocks(from),
                      4.0 * (double)phase_size(isa, to), double_piece, &d);
}

static void conv_doubled(const bf16_isa *isa, const sdi_exec *exec, const sdi_conv *a)
{
    sdi_packed w = weight_of_phase(a);
    const size_t bytes = (size_t)phase_size(isa, &w) * sizeof(uint16_t);
    sdi_exec rest = *exec;
    rest.scratch = (char *)exec->scratch + PHASES * bytes;
    rest.scratch_bytes -= PHASES * bytes;
    w.data = exec->scratch;
    double_weight(isa, exec, a->wt, &w);
    for (int phase = 0; phase < PHASES; phase++) {
        w.data = (char *)exec->scratch + (size_t)phase * bytes;
        const bf16_geometry g = geometry_of_phase(isa, a, &w, phase);
        sdi_x86_bf16_product(isa, &rest, &g);
    }
}

static size_t conv_doubled_scratch(const bf16_isa *isa, const sdi_conv *a, int32_t workers)
{
    const sdi_packed w = weight_of_phase(a);
    const bf16_geometry g = geometry_of_phase(isa, a, &w, 0);
    return PHASES * (size_t)phase_size(isa, &w) * sizeof(uint16_t) +
           sdi_x86_bf16_product_scratch(isa, &g, workers);
}

void sdi_x86_bf16_conv(const bf16_isa *isa, const sdi_exec *exec, const sdi_conv *a)
{
    if (is_doubled(isa, a)) {
        conv_doubled(isa, exec, a);
        return;
    }
    const bf16_geometry g = sdi_x86_bf16_geometry_conv(isa, a);
    sdi_x86_bf16_product(isa, exec, &g);
}

size_t sdi_x86_bf16_conv_scratch(const bf16_isa *isa, const sdi_conv *a, int32_t workers)
{
    if (is_doubled(isa, a))
        return conv_doubled_scratch(isa, a, workers);
    const bf16_geometry g = sdi_x86_bf16_geometry_conv(isa, a);
    return sdi_x86_bf16_product_scratch(isa, &g, workers);
}
