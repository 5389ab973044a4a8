/* SPDX-License-Identifier: MIT
 *
 * group_norm: weight (x - mean) / sqrt(var + eps) + bias, then SiLU or nothing.
 *
 * Bound: 16 u (|x g| + mean|x| |g| + |bias|) with g = weight / sqrt(var + eps): a handful of
 * roundings in the form x * factor + offset, and statistics good to a few u of the numbers they are
 * of.
 */
#include "harness.h"

#include <stdlib.h>

typedef struct shape {
    int64_t n, pixels, c;
    int32_t groups;
} shape;

typedef struct fixture {
    kt_table *t;
    kt_mat x, out;
    float *weight, *bias;
    sdi_group_norm a;
    double *mean, *size, *scale; // [n][groups]; size: mean of |x|
} fixture;

static void call(const kt_table *t, const sdi_exec *exec, const void *arguments)
{
    t->k.group_norm(exec, arguments);
}

static size_t scratch(const kt_table *t, const void *arguments, int32_t workers)
{
    return t->k.group_norm_scratch(arguments, workers);
}

static void statistics(fixture *f, int64_t image, int64_t group)
{
    const sdi_group_norm *a = &f->a;
    const int64_t channels = a->c / a->groups, c0 = group * channels;
    const double count = (double)a->pixels * (double)channels;
    double mean = 0, var = 0, size = 0;
    for (int pass = 0; pass < 2; pass++) {
        double sum = 0;
        for (int64_t row = image * a->pixels; row < (image + 1) * a->pixels; row++)
            for (int64_t c = c0; c < c0 + channels; c++) {
                const double x = kt_get(&f->x, row, c);
                sum += pass ? (x - mean) * (x - mean) : x;
                size += fabs(x) / (2 * count);
            }
        if (pass)
            var = sum / count;
        else
            mean = sum / count;
    }
    f->mean[image * a->groups + group] = mean;
    f->size[image * a->groups + group] = size;
    f->scale[image * a->groups + group] = 1 / sqrt(var + (double)a->eps);
}

static void setup(fixture *f, kt_table *t, const shape *s, sdi_act act, sdi_dtype x, sdi_dtype out)
{
    memset(f, 0, sizeof *f);
    f->t = t;
    f->x = kt_mat_random_layout(t, s->n * s->pixels, s->c, x);
    f->out = kt_mat_random_layout(t, s->n * s->pixels, s->c, out);
    f->weight = kt_floats(s->c, KT_RANDOM);
    f->bias = kt_floats(s->c, KT_RANDOM);
    f->mean = malloc((size_t)(s->n * s->groups) * 3 * sizeof *f->mean);
    assert_non_null(f->mean);
    f->size = f->mean + s->n * s->groups;
    f->scale = f->size + s->n * s->groups;
    f->a = (sdi_group_norm){.n = s->n, .pixels = s->pixels, .c = s->c, .groups = s->groups,
                            .eps = kt_below(2) ? 1e-5f : 1e-6f, .weight = f->weight,
                            .bias = f->bias, .act = act, .x = f->x.m, .out = f->out.m};
}

static void teardown(fixture *f)
{
    kt_mat_free(&f->x);
    kt_mat_free(&f->out);
    free(f->weight);
    free(f->bias);
    free(f->mean);
}

static void check(void *user, int64_t row, int64_t c)
{
    fixture *f = user;
    const sdi_group_norm *a = &f->a;
    const int64_t group = row / a->pixels * a->groups + c / (a->c / a->groups);
    const double factor = f->scale[group] * (double)f->weight[c], x = kt_get(&f->x, row, c);
    const double value = (x - f->mean[group]) * factor + (double)f->bias[c];
    const double size = fabs(x * factor) + fabs(f->size[group] * factor) + fabs((double)f->bias[c]);
    const double error = kt_act_bound(a->act, value, 16 * KT_U32 * size);
    const double result = kt_act(a->act, value);
    kt_expect(f->t, row, c, kt_get(&f->out, row, c), result,
              error + kt_rounding(f->out.m.type, fabs(result) + error));
}

/* x = mean + spread * x. */
static void shift(kt_mat *x, double mean, double spread)
{
    for (int64_t row = 0; row < x->rows; row++)
        for (int64_t c = 0; c < x->columns; c++)
            kt_put(x, row, c, mean + spread * kt_get(x, row, c));
}

static void run_case(kt_table *t, const shape *s, sdi_act act, kt_fill fill, double mean)
{
    fixture f;
    setup(&f, t, s, act, kt_type(t, KT_STREAM), kt_type(t, KT_RESULT));
    kt_mat_fill(&f.x, fill);
    shift(&f.x, mean, 1);
    for (int64_t i = 0; i < s->n * s->groups; i++)
        statistics(&f, i / s->groups, i % s->groups);
    kt_case("group_norm n %d pixels %d c %d groups %d act %d fill %d mean %g x %s/%d out %s/%d",
            (int)s->n, (int)s->pixels, (int)s->c, s->groups, act, fill, mean,
            sdi_dtype_name(f.x.m.type), (int)f.x.m.ld, sdi_dtype_name(f.out.m.type),
            (int)f.out.m.ld);
    kt_run(t, call, &f.a, &f.out, scratch);
    kt_sample(f.out.rows, f.out.columns, 20000, check, &f);
    teardown(&f);
}

static void run_in_place(kt_table *t, const shape *s)
{
    fixture f;
    const sdi_dtype type = t->k.operand == SDI_F32 ? SDI_F32 : SDI_F16;
    setup(&f, t, s, SDI_ACT_SILU, type, type);
    kt_mat_fill(&f.x, KT_RANDOM);
    for (int64_t i = 0; i < s->n * s->groups; i++)
        statistics(&f, i / s->groups, i % s->groups);
    kt_case("group_norm in place n %d pixels %d c %d groups %d", (int)s->n, (int)s->pixels,
            (int)s->c, s->groups);
    kt_mat_free(&f.out);
    f.out = f.x; // check() reads x from a copy
    f.x = kt_mat_copy(&f.out);
    f.a.x = f.a.out = f.out.m;
    kt_run(t, call, &f.a, &f.out, scratch);
    kt_sample(f.out.rows, f.out.columns, 20000, check, &f);
    teardown(&f);
}

static const shape shapes[] = {
    {1, 1, 1, 1},       {1, 1, 32, 32},     {2, 3, 10, 5},      {1, 17, 33, 3},
    {2, 64, 32, 32},    {3, 16, 64, 32},    {1, 63, 95, 19},    {2, 65, 96, 8},
    {1, 256, 320, 32},  {2, 64, 640, 32},   {1, 16, 2560, 32},  {1, 1024, 128, 32},
    {1, 4099, 32, 4},   {2, 100, 1920, 32}, {1, 4096, 320, 32}, {1, 49, 24, 2},
};

static void test_group_norm(kt_table *t)
{
    for (size_t s = 0; s < SDI_COUNT(shapes); s++) {
        for (int act = SDI_ACT_NONE; act <= SDI_ACT_SILU; act++) {
            run_case(t, &shapes[s], (sdi_act)act, KT_RANDOM, 0);
            run_case(t, &shapes[s], (sdi_act)act, KT_RANDOM, 30);
            run_case(t, &shapes[s], (sdi_act)act, KT_SPARSE, -3);
        }
        run_case(t, &shapes[s], SDI_ACT_SILU, KT_MAX, 0); // variance 0
        run_case(t, &shapes[s], SDI_ACT_SILU, KT_TINY, 0);
        run_in_place(t, &shapes[s]);
    }
}

static const shape network[] = {
    {2, 4096, 320, 32}, {2, 4096, 960, 32},  {2, 1024, 640, 32},   {2, 256, 1280, 32},
    {2, 64, 1280, 32},  {2, 64, 2560, 32},   {1, 16384, 512, 32},  {1, 65536, 256, 32},
    {1, 262144, 128, 32}, {2, 64, 96, 32},
};

static double bench_group_norm(kt_table *t, size_t index, kt_work *work)
{
    const shape *s = &network[index];
    fixture f;
    const sdi_dtype stream = t->k.operand == SDI_F32 ? SDI_F32 : SDI_F16;
    setup(&f, t, s, SDI_ACT_SILU, stream, t->k.operand);
    work->bytes = (double)(s->n * s->pixels * s->c) *
                  (double)(2 * sdi_dtype_size(stream) + sdi_dtype_size(t->k.operand));
    kt_mat_fill(&f.x, KT_RANDOM);
    kt_case("group_norm+silu %dx%dx%d", (int)s->n, (int)s->pixels, (int)s->c);
    const double seconds = kt_time(t, call, &f.a, scratch);
    teardown(&f);
    return seconds;
}

int main(int argc, char **argv)
{
    const kt_op op = {"group_norm", test_group_norm, SDI_COUNT(network), bench_group_norm};
    return kt_main(argc, argv, &op);
}
