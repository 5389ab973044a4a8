/* SPDX-License-Identifier: MIT
 *
 * linear: out = act(x w^T + bias) + residual, and GEGLU.
 *
 * Bound: the sum has error kt_sum_k(k) u sum|x w| in float32 (operands as the table takes them),
 * to which that of its products is added,
 * the activation passes it on with its slope, and storing rounds once to the type of out.
 */
#include "harness.h"

#include <stdlib.h>

typedef struct shape {
    int64_t m, n, k;
    sdi_act act;
} shape;

typedef struct fixture {
    kt_table *t;
    shape s;
    kt_mat x, residual, out, before; // before: out as it was, for residual in place
    float *weights, *bias;
    sdi_packed w;
    sdi_linear a;
    int in_place;
} fixture;

static void call(const kt_table *t, const sdi_exec *exec, const void *arguments)
{
    t->k.linear(exec, arguments);
}

static size_t scratch(const kt_table *t, const void *arguments, int32_t workers)
{
    return t->k.linear_scratch(arguments, workers);
}

static void setup_weights(fixture *f, kt_fill fill)
{
    const shape *s = &f->s;
    f->weights = kt_floats(s->n * s->k, fill);
    f->w = (sdi_packed){.n = s->n, .k = s->k, .kh = 1, .kw = 1, .geglu = s->act == SDI_ACT_GEGLU};
    const size_t bytes = f->t->k.pack_bytes(&f->w);
    f->w.data = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(f->w.data);
    memset(f->w.data, 0xff, bytes);
    const sdi_exec exec = {0};
    f->t->k.pack(&exec, &f->w, 0, s->n, f->weights, SDI_F32);
}

static void setup(fixture *f, kt_table *t, const shape *s, kt_fill fill)
{
    const int64_t columns = s->act == SDI_ACT_GEGLU ? s->n / 2 : s->n;
    memset(f, 0, sizeof *f);
    f->t = t;
    f->s = *s;
    f->x = kt_mat_random_layout(t, s->m, s->k, kt_type(t, KT_OPERAND));
    kt_mat_fill(&f->x, fill);
    setup_weights(f, fill == KT_MIN ? KT_MAX : fill);
    const int residual = s->act != SDI_ACT_GEGLU && kt_below(2);
    f->in_place = residual && kt_below(2);
    f->out = kt_mat_random_layout(t, s->m, columns, kt_type(t, residual ? KT_STREAM : KT_RESULT));
    if (residual) {
        f->residual = kt_mat_random_layout(t, s->m, columns, kt_type(t, KT_STREAM));
        kt_mat_fill(f->in_place ? &f->out : &f->residual, fill);
    }
    f->before = kt_mat_copy(&f->out);
    f->bias = kt_below(4) ? kt_floats(s->n, fill) : NULL;
    f->a = (sdi_linear){.m = s->m, .x = f->x.m, .w = &f->w, .bias = f->bias, .act = s->act,
                        .out = f->out.m};
    if (residual)
        f->a.residual = f->in_place ? f->out.m : f->residual.m;
}

static void teardown(fixture *f)
{
    kt_mat_free(&f->x);
    kt_mat_free(&f->residual);
    kt_mat_free(&f->out);
    kt_mat_free(&f->before);
    free(f->weights);
    free(f->bias);
    free(f->w.data);
}

static double sum(const fixture *f, int64_t row, int64_t column, double *bound)
{
    double value = f->bias ? (double)f->bias[column] : 0, size = fabs(value), error = 0;
    for (int64_t i = 0; i < f->s.k; i++) {
        const double x = kt_operand(f->t, kt_get(&f->x, row, i));
        const double w = kt_operand(f->t, (double)f->weights[column * f->s.k + i]);
        value += x * w;
        size += fabs(x * w);
        error += kt_product_error(f->t, x, w);
    }
    *bound = error + kt_sum_k(f->s.k) * KT_U32 * size + (double)f->s.k * 0x1p-126; // and underflow
    return value;
}

static void check(void *user, int64_t row, int64_t column)
{
    fixture *f = user;
    double error, gate_error;
    double value = sum(f, row, column, &error);
    if (f->s.act == SDI_ACT_GEGLU) {
        const double gate = sum(f, row, column + f->s.n / 2, &gate_error);
        gate_error = kt_act_bound(SDI_ACT_GELU, gate, gate_error);
        const double factor = kt_act(SDI_ACT_GELU, gate);
        error = error * fabs(factor) + gate_error * fabs(value) + error * gate_error;
        value *= factor;
    } else {
        error = kt_act_bound(f->s.act, value, error);
        value = kt_act(f->s.act, value);
    }
    if (f->a.residual.data)
        value += kt_get(f->in_place ? &f->before : &f->residual, row, column);
    error += 2 * KT_U32 * fabs(value) + kt_rounding(f->out.m.type, fabs(value) + error);
    kt_expect(f->t, row, column, kt_get(&f->out, row, column), value, error);
}

static void run_case(kt_table *t, const shape *s, kt_fill fill)
{
    fixture f;
    setup(&f, t, s, fill);
    kt_case("linear m %d n %d k %d act %d fill %d x %s/%d out %s/%d residual %s%s%s", (int)s->m,
            (int)s->n, (int)s->k, s->act, fill, sdi_dtype_name(f.x.m.type), (int)f.x.m.ld,
            sdi_dtype_name(f.out.m.type), (int)f.out.m.ld,
            f.a.residual.data ? sdi_dtype_name(f.a.residual.type) : "none",
            f.in_place ? " in place" : "", f.bias ? " bias" : "");
    kt_run(t, call, &f.a, &f.out, scratch);
    kt_sample(f.out.rows, f.out.columns, 4000, check, &f);
    teardown(&f);
}

static const shape shapes[] = {
    {1, 1, 1, SDI_ACT_NONE},       {1, 4, 3, SDI_ACT_SILU},       {3, 5, 7, SDI_ACT_GELU},
    {2, 64, 64, SDI_ACT_QUICK_GELU}, {13, 31, 29, SDI_ACT_RELU},   {16, 32, 32, SDI_ACT_NONE},
    {17, 33, 31, SDI_ACT_NONE},    {15, 63, 65, SDI_ACT_NONE},    {63, 65, 127, SDI_ACT_SILU},
    {64, 64, 64, SDI_ACT_NONE},    {65, 129, 257, SDI_ACT_NONE},  {127, 47, 96, SDI_ACT_GELU},
    {128, 16, 1024, SDI_ACT_NONE}, {2, 1280, 320, SDI_ACT_SILU},  {2, 320, 1280, SDI_ACT_NONE},
    {154, 96, 768, SDI_ACT_NONE},  {257, 960, 320, SDI_ACT_NONE},
    {77, 3072, 96, SDI_ACT_QUICK_GELU},
    {256, 320, 1280, SDI_ACT_NONE}, {33, 640, 2560, SDI_ACT_NONE}, {1, 2, 2, SDI_ACT_GEGLU},
    {7, 10, 3, SDI_ACT_GEGLU},     {19, 62, 40, SDI_ACT_GEGLU},   {64, 128, 64, SDI_ACT_GEGLU},
    {65, 130, 66, SDI_ACT_GEGLU},  {100, 192, 48, SDI_ACT_GEGLU}, {64, 2560, 320, SDI_ACT_GEGLU},
    {5, 97, 71, SDI_ACT_NONE},     {6, 33, 64, SDI_ACT_GELU},    {7, 64, 129, SDI_ACT_NONE},
    {8, 96, 200, SDI_ACT_SILU},    {9, 31, 33, SDI_ACT_NONE},    {8, 78, 95, SDI_ACT_GEGLU},
    {1031, 67, 37, SDI_ACT_NONE},  {4, 2053, 131, SDI_ACT_NONE},
};

static void test_linear(kt_table *t)
{
    for (size_t s = 0; s < SDI_COUNT(shapes); s++)
        for (int fill = 0; fill < KT_FILLS; fill++)
            if (fill == KT_RANDOM || shapes[s].m * shapes[s].n * shapes[s].k < 1 << 20)
                run_case(t, &shapes[s], (kt_fill)fill);
}

static const shape network[] = {
    {8192, 320, 320, SDI_ACT_NONE},    {8192, 960, 320, SDI_ACT_NONE},
    {8192, 2560, 320, SDI_ACT_GEGLU},  {8192, 320, 1280, SDI_ACT_NONE},
    {2048, 640, 640, SDI_ACT_NONE},    {2048, 5120, 640, SDI_ACT_GEGLU},
    {2048, 640, 2560, SDI_ACT_NONE},   {512, 1280, 1280, SDI_ACT_NONE},
    {512, 10240, 1280, SDI_ACT_GEGLU}, {512, 1280, 5120, SDI_ACT_NONE},
    {128, 1280, 1280, SDI_ACT_NONE},   {154, 768, 768, SDI_ACT_NONE},
    {2, 1280, 1280, SDI_ACT_SILU},     {128, 96, 96, SDI_ACT_NONE},
    {16, 32, 32, SDI_ACT_NONE},
};

static double bench_linear(kt_table *t, size_t index, kt_work *work)
{
    const shape *s = &network[index];
    work->flops = 2.0 * (double)s->m * (double)s->n * (double)s->k;
    if (!t->set && work->flops > 2e9)
        return 0;
    fixture f = {.t = t, .s = *s};
    const int64_t columns = s->act == SDI_ACT_GEGLU ? s->n / 2 : s->n;
    f.x = kt_mat_new(s->m, s->k, t->k.operand, t->k.row_multiple, 0, 0);
    f.out = kt_mat_new(s->m, columns, t->k.operand, t->k.row_multiple, 0, 0);
    kt_mat_fill(&f.x, KT_RANDOM);
    setup_weights(&f, KT_RANDOM);
    f.bias = kt_floats(s->n, KT_RANDOM);
    f.a = (sdi_linear){.m = s->m, .x = f.x.m, .w = &f.w, .bias = f.bias, .act = s->act,
                       .out = f.out.m};
    kt_case("linear %dx%dx%d%s", (int)s->m, (int)s->n, (int)s->k,
            s->act == SDI_ACT_GEGLU ? " geglu" : "");
    const double seconds = kt_time(t, call, &f.a, scratch);
    teardown(&f);
    return seconds;
}

int main(int argc, char **argv)
{
    const kt_op op = {"linear", test_linear, SDI_COUNT(network), bench_linear};
    return kt_main(argc, argv, &op);
}
