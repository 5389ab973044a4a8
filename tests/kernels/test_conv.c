/* SPDX-License-Identifier: MIT
 *
 * conv: cross-correlation with stride, padding and a nearest-neighbour resize in front, plus bias,
 * time embedding and residual.
 *
 * Bound: kt_sum_k(terms) u sum|x w| in float32, then one rounding to the type of out.
 */
#include "harness.h"

#include <stdlib.h>

typedef struct shape {
    int64_t n, h, w, k, out; // k, out: channels
    int32_t kernel, stride, pad_top, pad_left, pad_bottom, pad_right;
    int64_t up_h, up_w; // 0: none
} shape;

typedef struct fixture {
    kt_table *t;
    shape s;
    kt_mat x, add, residual, out, before; // before: out as it was, for residual in place
    float *weights, *bias;
    sdi_packed w;
    sdi_conv a;
    int in_place;
} fixture;

static void call(const kt_table *t, const sdi_exec *exec, const void *arguments)
{
    t->k.conv(exec, arguments);
}

static size_t scratch(const kt_table *t, const void *arguments, int32_t workers)
{
    return t->k.conv_scratch(arguments, workers);
}

static void setup_weights(fixture *f, kt_fill fill)
{
    const shape *s = &f->s;
    f->weights = kt_floats(s->out * s->k * s->kernel * s->kernel, fill);
    f->w = (sdi_packed){.n = s->out, .k = s->k, .kh = s->kernel, .kw = s->kernel};
    const size_t bytes = f->t->k.pack_bytes(&f->w);
    f->w.data = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(f->w.data);
    memset(f->w.data, 0xff, bytes);
    const sdi_exec exec = {0};
    f->t->k.pack(&exec, &f->w, 0, s->out, f->weights, SDI_F32);
}

/* Sizes of the operation; the matrices follow. */
static void setup_sizes(fixture *f, kt_table *t, const shape *s)
{
    memset(f, 0, sizeof *f);
    f->t = t;
    f->s = *s;
    f->a = (sdi_conv){.n = s->n, .h = s->h, .w = s->w, .up_h = s->up_h ? s->up_h : s->h,
                      .up_w = s->up_w ? s->up_w : s->w, .stride = s->stride,
                      .pad_top = s->pad_top, .pad_left = s->pad_left, .wt = &f->w};
    f->a.oh = (f->a.up_h + s->pad_top + s->pad_bottom - s->kernel) / s->stride + 1;
    f->a.ow = (f->a.up_w + s->pad_left + s->pad_right - s->kernel) / s->stride + 1;
}

static void setup(fixture *f, kt_table *t, const shape *s, kt_fill fill)
{
    setup_sizes(f, t, s);
    const int64_t pixels = s->n * f->a.oh * f->a.ow;
    f->x = kt_mat_random_layout(t, s->n * s->h * s->w, s->k, kt_type(t, KT_OPERAND));
    kt_mat_fill(&f->x, fill);
    setup_weights(f, fill == KT_MIN ? KT_MAX : fill);
    const int residual = kt_below(2) == 0;
    f->in_place = residual && kt_below(2);
    f->out = kt_mat_random_layout(t, pixels, s->out, kt_type(t, residual ? KT_STREAM : KT_RESULT));
    if (residual) {
        f->residual = kt_mat_random_layout(t, pixels, s->out, kt_type(t, KT_STREAM));
        kt_mat_fill(f->in_place ? &f->out : &f->residual, fill);
        f->a.residual = f->in_place ? f->out.m : f->residual.m;
    }
    if (kt_below(2)) {
        f->add = kt_mat_new(s->n, s->out, SDI_F32, t->k.row_multiple, kt_below(9), 0);
        kt_mat_fill(&f->add, fill);
        f->a.channel_add = f->add.m;
    }
    f->before = kt_mat_copy(&f->out);
    f->bias = kt_below(4) ? kt_floats(s->out, fill) : NULL;
    f->a.x = f->x.m;
    f->a.bias = f->bias;
    f->a.out = f->out.m;
}

static void teardown(fixture *f)
{
    kt_mat_free(&f->x);
    kt_mat_free(&f->add);
    kt_mat_free(&f->residual);
    kt_mat_free(&f->out);
    kt_mat_free(&f->before);
    free(f->weights);
    free(f->bias);
    free(f->w.data);
}

typedef struct sum {
    double value, size, error; // of the terms; their sizes; errors of products
} sum;

/* Where an image is doubled, weights that meet the same pixel may be summed, and rounded again. */
static double sum_error(const fixture *f, double number, double weight)
{
    const sdi_conv *a = &f->a;
    if (a->up_h != 2 * a->h || a->up_w != 2 * a->w || f->t->set <= SDI_SET_OPENBLAS)
        return 0;
    const double unit = f->t->k.operand == SDI_BF16 ? KT_UB16 : f->t->k.split ? 0x1p-17 : 0;
    return unit * fabs(number * weight) + 0x1p-126 * fabs(number);
}

/* Adds the terms of one tap of output (image, y, x, channel). */
static void add_tap(const fixture *f, int64_t pixel, int64_t channel, int64_t tap, sum *s)
{
    const sdi_conv *a = &f->a;
    const int64_t kernel = f->s.kernel, taps = kernel * kernel;
    const int64_t image = pixel / (a->oh * a->ow), y = pixel / a->ow % a->oh, x = pixel % a->ow;
    const int64_t in_y = y * a->stride - a->pad_top + tap / kernel;
    const int64_t in_x = x * a->stride - a->pad_left + tap % kernel;
    if (in_y < 0 || in_y >= a->up_h || in_x < 0 || in_x >= a->up_w)
        return;
    const int64_t row =
        (image * a->h + in_y * a->h / a->up_h) * a->w + in_x * a->w / a->up_w;
    for (int64_t c = 0; c < f->s.k; c++) {
        const double number = kt_operand(f->t, kt_get(&f->x, row, c));
        const double weight =
            kt_operand(f->t, (double)f->weights[(channel * f->s.k + c) * taps + tap]);
        s->value += number * weight;
        s->size += fabs(number * weight);
        s->error += kt_product_error(f->t, number, weight) + sum_error(f, number, weight);
    }
}

static void check(void *user, int64_t pixel, int64_t channel)
{
    fixture *f = user;
    const int64_t taps = (int64_t)f->s.kernel * f->s.kernel, terms = taps * f->s.k;
    sum s = {.value = f->bias ? (double)f->bias[channel] : 0};
    if (f->add.base)
        s.value += kt_get(&f->add, pixel / (f->a.oh * f->a.ow), channel);
    if (f->a.residual.data)
        s.value += kt_get(f->in_place ? &f->before : &f->residual, pixel, channel);
    s.size = fabs(s.value) * 4;
    for (int64_t tap = 0; tap < taps; tap++)
        add_tap(f, pixel, channel, tap, &s);
    const double error =
        s.error + kt_sum_k(terms) * KT_U32 * s.size + (double)terms * 0x1p-126;
    kt_expect(f->t, pixel, channel, kt_get(&f->out, pixel, channel), s.value,
              error + kt_rounding(f->out.m.type, fabs(s.value) + error));
}

static void run_case(kt_table *t, const shape *s, kt_fill fill)
{
    fixture f;
    setup(&f, t, s, fill);
    kt_case("conv n %d %dx%d (resized %dx%d) %d->%d kernel %d stride %d pad %d %d %d %d fill %d "
            "x %s/%d out %s/%d%s%s%s%s",
            (int)s->n, (int)s->h, (int)s->w, (int)s->up_h, (int)s->up_w, (int)s->k, (int)s->out,
            s->kernel, s->stride, s->pad_top, s->pad_left, s->pad_bottom, s->pad_right, fill,
            sdi_dtype_name(f.x.m.type), (int)f.x.m.ld, sdi_dtype_name(f.out.m.type),
            (int)f.out.m.ld, f.bias ? " bias" : "", f.add.base ? " channel_add" : "",
            f.a.residual.data ? " residual" : "", f.in_place ? " in place" : "");
    kt_run(t, call, &f.a, &f.out, scratch);
    kt_sample(f.out.rows, f.out.columns, 3000, check, &f);
    teardown(&f);
}

static const shape shapes[] = {
    /* smallest, odd, prime */
    {1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0},
    {1, 1, 1, 3, 2, 3, 1, 1, 1, 1, 1, 0, 0},
    {2, 5, 7, 3, 5, 3, 1, 1, 1, 1, 1, 0, 0},
    {1, 11, 13, 17, 19, 3, 1, 1, 1, 1, 1, 0, 0},
    {3, 7, 5, 31, 33, 1, 1, 0, 0, 0, 0, 0, 0},
    {1, 9, 2, 65, 63, 5, 1, 2, 2, 2, 2, 0, 0},
    /* at tile borders */
    {2, 8, 8, 64, 64, 3, 1, 1, 1, 1, 1, 0, 0},
    {1, 8, 8, 32, 32, 1, 1, 0, 0, 0, 0, 0, 0},
    {1, 4, 16, 31, 65, 3, 1, 1, 1, 1, 1, 0, 0},
    {1, 16, 33, 33, 31, 3, 1, 1, 1, 1, 1, 0, 0},
    {1, 24, 24, 48, 96, 3, 1, 1, 1, 1, 1, 0, 0},
    {1, 12, 12, 128, 47, 3, 1, 1, 1, 1, 1, 0, 0},
    {1, 3, 70, 96, 40, 3, 1, 1, 1, 1, 1, 0, 0},
    /* to few channels */
    {1, 5, 7, 17, 3, 3, 1, 1, 1, 1, 1, 0, 0},
    {2, 6, 67, 33, 4, 3, 1, 1, 1, 1, 1, 0, 0},
    {1, 2, 129, 16, 1, 3, 1, 1, 1, 1, 1, 0, 0},
    {1, 9, 8, 40, 8, 3, 2, 0, 0, 1, 1, 0, 0},
    {1, 7, 6, 24, 5, 3, 1, 1, 1, 1, 1, 14, 12},
    {2, 5, 4, 20, 2, 5, 1, 2, 2, 2, 2, 7, 9},
    {2, 8, 8, 128, 6, 1, 2, 0, 0, 0, 0, 0, 0},
    /* networks: borders, stride 2 (the VAE's is padded behind only), patches of other nets */
    {2, 16, 16, 4, 320, 3, 1, 1, 1, 1, 1, 0, 0},
    {2, 16, 16, 9, 32, 3, 1, 1, 1, 1, 1, 0, 0},
    {1, 16, 16, 320, 4, 3, 1, 1, 1, 1, 1, 0, 0},
    {1, 32, 32, 128, 3, 3, 1, 1, 1, 1, 1, 0, 0},
    {2, 16, 16, 64, 96, 3, 2, 1, 1, 1, 1, 0, 0},
    {1, 17, 15, 40, 24, 3, 2, 1, 1, 1, 1, 0, 0},
    {1, 16, 16, 32, 32, 3, 2, 0, 0, 1, 1, 0, 0},
    {2, 8, 8, 320, 160, 1, 1, 0, 0, 0, 0, 0, 0},
    {1, 64, 48, 3, 24, 16, 16, 0, 0, 0, 0, 0, 0},
    {1, 30, 31, 3, 16, 7, 2, 3, 3, 3, 3, 0, 0},
    {1, 12, 10, 24, 16, 4, 4, 0, 0, 0, 0, 0, 0},
    {1, 9, 9, 20, 12, 3, 1, 0, 2, 1, 0, 0, 0},
    {1, 4, 4, 1280, 70, 3, 1, 1, 1, 1, 1, 0, 0},
    /* resized: doubled, odd targets, shrunk */
    {2, 8, 8, 64, 64, 3, 1, 1, 1, 1, 1, 16, 16},
    {1, 3, 5, 33, 31, 3, 1, 1, 1, 1, 1, 6, 10},
    {1, 4, 4, 16, 16, 3, 1, 1, 1, 1, 1, 7, 9},
    {1, 9, 8, 16, 16, 3, 1, 1, 1, 1, 1, 5, 3},
    {1, 8, 32, 32, 48, 3, 1, 1, 1, 1, 1, 16, 64},
    {2, 13, 21, 70, 65, 3, 1, 1, 1, 1, 1, 26, 42},
    {1, 8, 8, 16, 24, 1, 1, 0, 0, 0, 0, 16, 16},
};

static double products(const shape *s)
{
    const double h = (double)(s->up_h ? s->up_h : s->h), w = (double)(s->up_w ? s->up_w : s->w);
    return (double)(s->n * s->k * s->out) * h * w * s->kernel * s->kernel / s->stride / s->stride;
}

static void test_conv(kt_table *t)
{
    for (size_t s = 0; s < SDI_COUNT(shapes); s++)
        for (int round = 0; round < 2 * KT_FILLS; round++)
            if (round < 2 || products(&shapes[s]) < 1e6)
                run_case(t, &shapes[s], (kt_fill)(round / 2));
}

static const shape network[] = {
    {2, 64, 64, 4, 320, 3, 1, 1, 1, 1, 1, 0, 0},    {2, 64, 64, 320, 320, 3, 1, 1, 1, 1, 1, 0, 0},
    {2, 64, 64, 960, 320, 3, 1, 1, 1, 1, 1, 0, 0},  {2, 64, 64, 320, 320, 3, 2, 1, 1, 1, 1, 0, 0},
    {2, 64, 64, 640, 320, 1, 1, 0, 0, 0, 0, 0, 0},  {2, 64, 64, 320, 4, 3, 1, 1, 1, 1, 1, 0, 0},
    {2, 32, 32, 640, 640, 3, 1, 1, 1, 1, 1, 0, 0},  {2, 32, 32, 640, 640, 3, 1, 1, 1, 1, 1, 64, 64},
    {2, 16, 16, 1280, 1280, 3, 1, 1, 1, 1, 1, 0, 0}, {2, 8, 8, 1280, 1280, 3, 1, 1, 1, 1, 1, 0, 0},
    {2, 8, 8, 2560, 1280, 3, 1, 1, 1, 1, 1, 0, 0},  {2, 96, 96, 320, 320, 3, 1, 1, 1, 1, 1, 0, 0},
    {1, 64, 64, 512, 512, 3, 1, 1, 1, 1, 1, 0, 0},  {1, 256, 256, 256, 256, 3, 1, 1, 1, 1, 1, 0, 0},
    {1, 512, 512, 128, 128, 3, 1, 1, 1, 1, 1, 0, 0}, {1, 512, 512, 128, 3, 3, 1, 1, 1, 1, 1, 0, 0},
    {2, 8, 8, 64, 64, 3, 1, 1, 1, 1, 1, 0, 0},
};

static double bench_conv(kt_table *t, size_t index, kt_work *work)
{
    const shape *s = &network[index];
    work->flops = 2 * products(s);
    if (!t->set && work->flops > 2e9)
        return 0;
    fixture f;
    setup_sizes(&f, t, s);
    f.x = kt_mat_new(s->n * s->h * s->w, s->k, t->k.operand, t->k.row_multiple, 0, 0);
    f.out = kt_mat_new(s->n * f.a.oh * f.a.ow, s->out, t->k.operand, t->k.row_multiple, 0, 0);
    kt_mat_fill(&f.x, KT_RANDOM);
    setup_weights(&f, KT_RANDOM);
    f.bias = kt_floats(s->out, KT_RANDOM);
    f.a.x = f.x.m;
    f.a.out = f.out.m;
    f.a.bias = f.bias;
    kt_case("conv%d/%d %d->%d on %dx%dx%d%s", s->kernel, s->stride, (int)s->k, (int)s->out,
            (int)s->n, (int)s->h, (int)s->w, s->up_h ? " upsampled" : "");
    const double seconds = kt_time(t, call, &f.a, scratch);
    teardown(&f);
    return seconds;
}

int main(int argc, char **argv)
{
    const kt_op op = {"conv", test_conv, SDI_COUNT(network), bench_conv};
    return kt_main(argc, argv, &op);
}
