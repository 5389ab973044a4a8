/* SPDX-License-Identifier: MIT
 *
 * attention: softmax(scale q k^T) v.
 *
 * Bound: with p the probabilities, an error e[j] of score j moves the result by at most
 * sum p[j] |e[j]| |v[j] - out|. Scores: e[j] = kt_sum_k(d) u scale sum|q k|, and a rounding of
 * s[j] - max and of exp, 8 u (|s[j]| + |max| + 1). Sums: kt_sum_k(keys) u sum p|v|; but many equal
 * small terms lose the same each time, up to min(p, u) of the divisor for p < 16 u. With bf16
 * operands p is rounded too, at whatever shift: 2^-8 sum p (|v| + |out|). Probabilities below
 * 2^-126 may be flushed, or clamped to it (those of unseen keys too).
 *
 * Sets with bf16 dots make p from a table: its exponent is rounded to 1/128 octave, which moves p
 * by 2^(1/256) at most, 0.70 units of 2^-8; an entry serves two fractions and is whole, off by 1.20
 * of them: 1.90 together. The divisor sums the same p, so that out is an average by weights
 * p (1 + e), |e| <= 1.90 2^-8: off by at most sum p |v - out| |e| / (1 - |e|), |e| / (1 - |e|) <
 * 2 * 2^-8.
 */
#include "harness.h"

#include <stdlib.h>

typedef struct shape {
    int64_t b, tq, tk;
    int32_t heads, d, causal;
} shape;

typedef struct fixture {
    kt_table *t;
    kt_mat q, k, v, out;
    sdi_attention a;
    double *p, *sizes; // of one query: [tk]
} fixture;

static void call(const kt_table *t, const sdi_exec *exec, const void *arguments)
{
    t->k.attention(exec, arguments);
}

static size_t scratch(const kt_table *t, const void *arguments, int32_t workers)
{
    return t->k.attention_scratch(arguments, workers);
}

/* q, k, v as columns of one matrix, as fused projections leave them, or three. */
static void setup_operands(fixture *f, const shape *s, sdi_dtype type, int fused)
{
    const int64_t columns = (int64_t)s->heads * s->d;
    kt_table *t = f->t;
    if (!fused) {
        f->q = kt_mat_random_layout(t, s->b * s->tq, columns, type);
        f->k = kt_mat_random_layout(t, s->b * s->tk, columns, type);
        f->v = kt_mat_random_layout(t, s->b * s->tk, columns, type);
        return;
    }
    f->q = kt_mat_random_layout(t, s->b * s->tq, 3 * columns, type);
    f->q.columns = columns;
    f->k = f->v = f->q;
    f->k.base = f->v.base = NULL; // q owns the memory
    f->k.m.data = (char *)f->q.m.data + (size_t)columns * sdi_dtype_size(type);
    f->v.m.data = (char *)f->k.m.data + (size_t)columns * sdi_dtype_size(type);
}

static void setup(fixture *f, kt_table *t, const shape *s, sdi_dtype type, sdi_dtype out, int fused)
{
    memset(f, 0, sizeof *f);
    f->t = t;
    setup_operands(f, s, type, fused);
    f->out = kt_mat_random_layout(t, s->b * s->tq, (int64_t)s->heads * s->d, out);
    f->a = (sdi_attention){.b = s->b, .tq = s->tq, .tk = s->tk, .heads = s->heads, .d = s->d,
                           .scale = (float)(1 / sqrt((double)s->d)), .causal = s->causal,
                           .q = f->q.m, .k = f->k.m, .v = f->v.m, .out = f->out.m};
    f->p = malloc((size_t)s->tk * 2 * sizeof *f->p);
    assert_non_null(f->p);
    f->sizes = f->p + s->tk;
}

static void fill(fixture *f, kt_fill kind, double q_size)
{
    kt_mat_fill(&f->q, kind);
    kt_mat_fill(&f->k, kind);
    kt_mat_fill(&f->v, kind == KT_MAX ? KT_RANDOM : kind);
    for (int64_t row = 0; row < f->q.rows; row++)
        for (int64_t c = 0; c < f->q.columns; c++)
            kt_put(&f->q, row, c, q_size * kt_get(&f->q, row, c));
}

static void teardown(fixture *f)
{
    kt_mat_free(&f->q);
    if (f->k.base)
        kt_mat_free(&f->k);
    if (f->v.base)
        kt_mat_free(&f->v);
    kt_mat_free(&f->out);
    free(f->p);
}

/* Probabilities of the keys that a query sees, and the error of each one's score. */
static int64_t probabilities(fixture *f, int64_t image, int64_t query, int64_t column0)
{
    const sdi_attention *a = &f->a;
    const int64_t keys = a->causal ? query + 1 : a->tk;
    double max = -INFINITY, sum = 0;
    for (int64_t j = 0; j < keys; j++) {
        f->p[j] = f->sizes[j] = 0;
        for (int64_t c = column0; c < column0 + a->d; c++) {
            const double term = kt_operand(f->t, kt_get(&f->q, image * a->tq + query, c)) *
                                kt_operand(f->t, kt_get(&f->k, image * a->tk + j, c));
            f->p[j] += term * (double)a->scale;
            f->sizes[j] += fabs(term * (double)a->scale);
        }
        max = fmax(max, f->p[j]);
    }
    for (int64_t j = 0; j < keys; j++) {
        f->sizes[j] = kt_sum_k(a->d) * KT_U32 * f->sizes[j] +
                      8 * KT_U32 * (fabs(f->p[j]) + fabs(max) + 1);
        f->p[j] = exp(f->p[j] - max);
        sum += f->p[j];
    }
    for (int64_t j = 0; j < keys; j++)
        f->p[j] /= sum;
    return keys;
}

static void check(void *user, int64_t row, int64_t column)
{
    fixture *f = user;
    const sdi_attention *a = &f->a;
    const int64_t image = row / a->tq;
    const int64_t keys = probabilities(f, image, row % a->tq, column / a->d * a->d);
    double value = 0, size = 0, error = 0, lost = 0, spread = 0;
    for (int64_t j = 0; j < keys; j++) {
        const double v = kt_operand(f->t, kt_get(&f->v, image * a->tk + j, column));
        value += f->p[j] * v;
        size += f->p[j] * fabs(v);
    }
    for (int64_t j = 0; j < keys; j++) {
        const double v = kt_operand(f->t, kt_get(&f->v, image * a->tk + j, column));
        error += f->p[j] * f->sizes[j] * fabs(v - value);
        spread += f->p[j] * fabs(v - value);
        if (f->p[j] < 16 * KT_U32)
            lost += fmin(f->p[j], KT_U32) * (fabs(v) + fabs(value));
    }
    for (int64_t j = 0; j < a->tk; j++)
        error += 0x1p-125 * fabs(kt_get(&f->v, image * a->tk + j, column));
    error += kt_sum_k(keys) * KT_U32 * size + lost + 0x1p-126;
    if (f->t->k.operand == SDI_BF16)
        error += f->t->set >= SDI_SET_AVX512_BF16 ? 2 * KT_UB16 * spread
                                                  : KT_UB16 * (size + fabs(value));
    kt_expect(f->t, row, column, kt_get(&f->out, row, column), value,
              error + kt_rounding(f->out.m.type, fabs(value) + error));
}

static void run_case(kt_table *t, const shape *s, kt_fill kind, double q_size)
{
    fixture f;
    const int fused = s->tq == s->tk && kt_below(2);
    setup(&f, t, s, kt_type(t, KT_OPERAND), kt_type(t, KT_RESULT), fused);
    fill(&f, kind, q_size);
    kt_case("attention b %d tq %d tk %d heads %d d %d causal %d fill %d times %g q %s/%d out "
            "%s/%d%s",
            (int)s->b, (int)s->tq, (int)s->tk, s->heads, s->d, s->causal, kind, q_size,
            sdi_dtype_name(f.q.m.type), (int)f.q.m.ld, sdi_dtype_name(f.out.m.type),
            (int)f.out.m.ld, fused ? " fused" : "");
    kt_run(t, call, &f.a, &f.out, scratch);
    kt_sample(f.out.rows, f.out.columns, 60 + 400000 / (s->tk * s->d), check, &f);
    teardown(&f);
}

/* Scores that leap by hundreds of octaves from block to block of keys, up or down by query. */
static void run_leaps(kt_table *t, float scale)
{
    const shape s = {1, 40, 200, 2, 16, 0};
    fixture f;
    setup(&f, t, &s, kt_type(t, KT_OPERAND), kt_type(t, KT_RESULT), 0);
    fill(&f, KT_RANDOM, 20);
    f.a.scale *= scale;
    for (int64_t row = 0; row < f.k.rows; row++)
        for (int64_t c = 0; c < f.k.columns; c++)
            kt_put(&f.k, row, c, (double)(row * row) / 64 * kt_get(&f.k, row, c));
    kt_case("attention with leaps, scale %g", (double)f.a.scale);
    kt_run(t, call, &f.a, &f.out, scratch);
    kt_sample(f.out.rows, f.out.columns, 400, check, &f);
    teardown(&f);
}

/* What sees a NaN becomes NaN, whatever block it lies in and whatever its sign; all else stays. */
static void run_nan(kt_table *t, int64_t nan_query, int64_t nan_key, double nan)
{
    const shape s = {1, 70, 140, 1, 20, 0};
    fixture f;
    setup(&f, t, &s, t->k.operand, SDI_F32, 0);
    fill(&f, KT_RANDOM, 1);
    if (nan_query >= 0)
        kt_put(&f.q, nan_query, 3, nan);
    if (nan_key >= 0)
        kt_put(&f.k, nan_key, 3, nan);
    kt_case("attention with NaN in query %d, key %d", (int)nan_query, (int)nan_key);
    kt_run(t, call, &f.a, &f.out, scratch);
    for (int64_t row = 0; row < f.out.rows; row++)
        for (int64_t c = 0; c < f.out.columns; c++) {
            const int seen = nan_key >= 0 || row == nan_query;
            if (!isnan(kt_get(&f.out, row, c)) != !seen)
                fail_msg("%s, %s: [%d][%d] is %g", kt_case_text(), t->label, (int)row, (int)c,
                         kt_get(&f.out, row, c));
        }
    teardown(&f);
}

static const shape shapes[] = {
    {1, 1, 1, 1, 1, 0},      {2, 3, 5, 2, 3, 0},       {1, 7, 7, 3, 5, 1},
    {1, 16, 16, 2, 32, 0},   {2, 17, 15, 1, 31, 0},    {1, 33, 65, 2, 33, 0},
    {2, 64, 77, 8, 40, 0},   {1, 64, 64, 8, 80, 0},    {1, 65, 63, 2, 64, 0},
    {1, 100, 129, 1, 160, 0}, {2, 77, 77, 12, 64, 1},  {1, 129, 129, 2, 16, 1},
    {1, 66, 131, 1, 512, 0}, {1, 96, 96, 1, 96, 0},   {1, 31, 521, 2, 24, 0},
    {1, 70, 1024, 1, 40, 0}, {1, 200, 200, 3, 20, 1}, {2, 16, 77, 4, 24, 0},
};

static void test_attention(kt_table *t)
{
    for (size_t s = 0; s < SDI_COUNT(shapes); s++) {
        run_case(t, &shapes[s], KT_RANDOM, 1);
        run_case(t, &shapes[s], KT_RANDOM, 20); // a few keys take all
        run_case(t, &shapes[s], KT_SPARSE, 1);
        run_case(t, &shapes[s], KT_MAX, 1); // all scores equal
        run_case(t, &shapes[s], KT_MIN, -4);
        run_case(t, &shapes[s], KT_TINY, 1);
    }
    run_leaps(t, 1);
    run_leaps(t, -1);
    run_leaps(t, 1e9f); // a unit in the last place is many octaves: any average will do, but no NaN
    for (int sign = -1; sign <= 1; sign += 2) {
        const double nan = copysign((double)NAN, sign);
        run_nan(t, -1, 0, nan);
        run_nan(t, -1, 71, nan);
        run_nan(t, -1, 139, nan);
        run_nan(t, 35, -1, nan);
    }
}

static const shape network[] = {
    {2, 4096, 4096, 8, 40, 0}, {2, 4096, 77, 8, 40, 0},   {2, 1024, 1024, 8, 80, 0},
    {2, 1024, 77, 8, 80, 0},   {2, 256, 256, 8, 160, 0},  {2, 256, 77, 8, 160, 0},
    {2, 64, 64, 8, 160, 0},    {2, 2304, 2304, 10, 64, 0}, {2, 77, 77, 12, 64, 1},
    {1, 4096, 4096, 1, 512, 0}, {2, 64, 64, 4, 24, 0},
};

static double bench_attention(kt_table *t, size_t index, kt_work *work)
{
    const shape *s = &network[index];
    work->flops = 4.0 * (double)(s->b * s->tq * s->tk) * s->heads * s->d;
    if (!t->set && work->flops > 5e8)
        return 0;
    fixture f;
    setup(&f, t, s, t->k.operand, t->k.operand, s->tq == s->tk);
    fill(&f, KT_RANDOM, 1);
    kt_case("attention b %d tq %d tk %d heads %d d %d%s", (int)s->b, (int)s->tq, (int)s->tk,
            s->heads, s->d, s->causal ? " causal" : "");
    const double seconds = kt_time(t, call, &f.a, scratch);
    teardown(&f);
    return seconds;
}

int main(int argc, char **argv)
{
    const kt_op op = {"attention", test_attention, SDI_COUNT(network), bench_attention};
    return kt_main(argc, argv, &op);
}
