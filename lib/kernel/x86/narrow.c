/* SPDX-License-Identifier: MIT
 *
 * Convolutions to so few channels that a panel would be padding for the most part, such as the last
 * ones of U-Net and decoder. The input is read where it is, channel by channel in vectors: nothing
 * is transposed, no lane is idle. A piece is a part of a row of output pixels; the few weights are
 * laid out as [outputs / 4][tap][4][k] first.
 */
#include "kernel/x86/products.h"

#include "base/attributes.h"
#include "kernel/geometry.h"

#include <string.h>

enum {
    OUTPUTS_MAX = 8,
    CHANNELS_MIN = 16, // of the input
    PIXELS = 64        // of a piece at most
};

typedef struct narrow_run {
    const x86_isa *isa;
    const sdi_conv *a;
    int64_t taps, w_pitch;
    int64_t across, width; // parts of a row, and their pixels
    float *zeros, *weights;
    char *workers;
} narrow_run;

/* Of one worker. */
typedef struct narrow_worker {
    _Alignas(64) float c[PIXELS * PANEL];
    const float *rows[]; // [pixel][tap]
} narrow_worker;

static int64_t output_groups(const narrow_run *r)
{
    return sdi_pieces(r->a->wt->n, NARROW_OUTPUTS);
}

static int64_t weight_floats(const narrow_run *r)
{
    return output_groups(r) * r->taps * NARROW_OUTPUTS * r->w_pitch;
}

static size_t worker_bytes(const narrow_run *r)
{
    return sizeof(narrow_worker) +
           (size_t)sdi_round_up(PIXELS * r->taps * (int64_t)sizeof(float *), 64);
}

static narrow_run run_of(const x86_isa *isa, const sdi_conv *a)
{
    const sdi_packed *w = a->wt;
    narrow_run r = {.isa = isa, .a = a, .taps = (int64_t)w->kh * w->kw};
    r.w_pitch = sdi_round_up(w->k, NARROW_LANES);
    r.across = sdi_pieces(a->ow, PIXELS);
    r.width = sdi_pieces(a->ow, r.across);
    return r;
}

/* The weights of one tap. */
static void order_weights(void *argument, int64_t tap, int32_t worker)
{
    const narrow_run *r = argument;
    const sdi_packed *w = r->a->wt; // one panel
    const float *panel = (const float *)w->data + tap * w->k * PANEL;
    for (int64_t output = 0; output < output_groups(r) * NARROW_OUTPUTS; output++) {
        const int64_t group = output / NARROW_OUTPUTS, within = output % NARROW_OUTPUTS;
        float *to = r->weights +
                    ((group * r->taps + tap) * NARROW_OUTPUTS + within) * r->w_pitch;
        for (int64_t k = 0; k < w->k; k++)
            to[k] = panel[k * PANEL + output];
        memset(to + w->k, 0, (size_t)(r->w_pitch - w->k) * sizeof *to);
    }
}

/* Rows of the input that each tap of output pixels from x0 on reads. */
static void find_rows(const narrow_run *r, int64_t line, int64_t x0, int64_t pixels,
                      const float **rows)
{
    const sdi_conv *a = r->a;
    const int64_t image = line / a->oh;
    for (int64_t tap = 0; tap < r->taps; tap++) {
        const int64_t y = sdi_resized_source(
            line % a->oh * a->stride - a->pad_top + tap / a->wt->kw, a->h, a->up_h);
        const int64_t left = x0 * a->stride - a->pad_left + tap % a->wt->kw;
        for (int64_t p = 0; p < pixels; p++) {
            const int64_t x = sdi_resized_source(left + p * a->stride, a->w, a->up_w);
            const int64_t row = (image * a->h + y) * a->w + x;
            rows[p * r->taps + tap] = y < 0 || x < 0 ? r->zeros : sdi_x86_row_of(a->x, row, 0);
        }
    }
}

static void convolve_piece(void *argument, int64_t index, int32_t worker_index)
{
    const narrow_run *r = argument;
    const sdi_conv *a = r->a;
    narrow_worker *worker =
        (narrow_worker *)(r->workers + (size_t)worker_index * worker_bytes(r));
    const int64_t line = index / r->across, x0 = index % r->across * r->width;
    const int64_t pixel0 = line * a->ow + x0, pixels = SDI_MIN(r->width, a->ow - x0);
    if (pixels <= 0)
        return;
    float bias[PANEL];
    sdi_x86_order_bias(a->wt, 0, a->bias, bias);
    find_rows(r, line, x0, pixels, worker->rows);
    x86_narrow n = {.rows = worker->rows, .k = a->wt->k, .w = r->weights, .w_pitch = r->w_pitch,
                    .ahead = a->w * a->x.ld, .c = worker->c, .tap_count = (int32_t)r->taps,
                    .pixels = (int32_t)pixels};
    for (int64_t group = 0; group < output_groups(r); group++) {
        r->isa->narrow(&n);
        n.w += r->taps * NARROW_OUTPUTS * r->w_pitch;
        n.c += NARROW_OUTPUTS;
    }
    const x86_finish f = {
        .c = worker->c,
        .bias = bias,
        .add = sdi_x86_row_of(a->channel_add, line / a->oh, 0),
        .residual = sdi_x86_row_of(a->residual, pixel0, 0),
        .out = (float *)a->out.data + pixel0 * a->out.ld,
        .residual_ld = a->residual.ld,
        .out_ld = a->out.ld,
        .rows = (int32_t)pixels,
        .columns = (int32_t)a->wt->n,
    };
    r->isa->finish(&f);
}

int sdi_x86_is_narrow(const sdi_conv *a)
{
    return a->wt->n <= OUTPUTS_MAX && a->wt->k >= CHANNELS_MIN;
}

size_t sdi_x86_narrow_scratch(const x86_isa *isa, const sdi_conv *a, int32_t workers)
{
    const narrow_run r = run_of(isa, a);
    return (size_t)(r.w_pitch + weight_floats(&r)) * sizeof(float) +
           (size_t)workers * worker_bytes(&r);
}

void sdi_x86_narrow(const x86_isa *isa, const sdi_exec *exec, const sdi_conv *a)
{
    narrow_run r = run_of(isa, a);
    r.zeros = exec->scratch;
    r.weights = r.zeros + r.w_pitch;
    r.workers = (char *)(r.weights + weight_floats(&r));
    memset(r.zeros, 0, (size_t)r.w_pitch * sizeof(float));
    const int64_t lines = a->n * a->oh;
    const int64_t work = lines * a->ow * output_groups(&r) * NARROW_OUTPUTS * r.taps * a->wt->k;
    sdi_pool *pool = work < PRODUCT_ALONE ? NULL : exec->pool;
    sdi_parallel_for(pool, r.taps, order_weights, &r);
    sdi_parallel_for(pool, lines * r.across, convolve_piece, &r);
}
