/* SPDX-License-Identifier: MIT
 *
 * layer_norm: weight (x - mean) / sqrt(var + eps) + bias over the columns of each row.
 *
 * Bound: 16 u (|x g| + mean|x| |g| + |bias|) with g = weight / sqrt(var + eps), as for group_norm.
 */
#include "harness.h"

#include <stdlib.h>

typedef struct fixture {
    kt_table *t;
    kt_mat x, out;
    float *weight, *bias;
    sdi_layer_norm a;
} fixture;

static void call(const kt_table *t, const sdi_exec *exec, const void *arguments)
{
    t->k.layer_norm(exec, arguments);
}

static void setup(fixture *f, kt_table *t, int64_t rows, int64_t c, sdi_dtype x, sdi_dtype out)
{
    memset(f, 0, sizeof *f);
    f->t = t;
    f->x = kt_mat_random_layout(t, rows, c, x);
    f->out = kt_mat_random_layout(t, rows, c, out);
    f->weight = kt_floats(c, KT_RANDOM);
    f->bias = kt_floats(c, KT_RANDOM);
    f->a = (sdi_layer_norm){.rows = rows, .c = c, .eps = 1e-5f, .weight = f->weight,
                            .bias = f->bias, .x = f->x.m, .out = f->out.m};
}

static void teardown(fixture *f)
{
    kt_mat_free(&f->x);
    kt_mat_free(&f->out);
    free(f->weight);
    free(f->bias);
}

static void check_row(fixture *f, int64_t row)
{
    const int64_t count = f->a.c;
    double mean = 0, size = 0, var = 0;
    for (int64_t c = 0; c < count; c++) {
        mean += kt_get(&f->x, row, c) / (double)count;
        size += fabs(kt_get(&f->x, row, c)) / (double)count;
    }
    for (int64_t c = 0; c < count; c++)
        var += pow(kt_get(&f->x, row, c) - mean, 2) / (double)count;
    const double scale = 1 / sqrt(var + (double)f->a.eps);
    for (int64_t c = 0; c < count; c++) {
        const double factor = scale * (double)f->weight[c], x = kt_get(&f->x, row, c);
        const double value = (x - mean) * factor + (double)f->bias[c];
        const double error =
            16 * KT_U32 * (fabs(x * factor) + fabs(size * factor) + fabs((double)f->bias[c]));
        kt_expect(f->t, row, c, kt_get(&f->out, row, c), value,
                  error + kt_rounding(f->out.m.type, fabs(value) + error));
    }
}

static void run_case(kt_table *t, int64_t rows, int64_t c, kt_fill fill, double mean, int in_place)
{
    fixture f;
    const sdi_dtype type = kt_type(t, KT_STREAM);
    setup(&f, t, rows, c, type, in_place ? type : kt_type(t, KT_RESULT));
    kt_mat_fill(&f.x, fill);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < c; i++)
            kt_put(&f.x, row, i, mean + kt_get(&f.x, row, i));
    if (in_place) {
        kt_mat_free(&f.out);
        f.out = kt_mat_copy(&f.x);
        f.a.x = f.a.out = f.out.m;
    }
    kt_case("layer_norm rows %d c %d fill %d mean %g x %s/%d out %s/%d%s", (int)rows, (int)c, fill,
            mean, sdi_dtype_name(f.x.m.type), (int)f.x.m.ld, sdi_dtype_name(f.out.m.type),
            (int)f.out.m.ld, in_place ? " in place" : "");
    kt_run(t, call, &f.a, &f.out, NULL);
    for (int64_t row = 0; row < rows; row++)
        check_row(&f, row);
    teardown(&f);
}

static void test_layer_norm(kt_table *t)
{
    static const int64_t columns[] = {1,  2,  3,   7,   8,   15,  16,  17,  31,   32,   33,
                                      63, 64, 65, 97, 127, 320, 640, 768, 1024, 1280, 2053};
    for (size_t i = 0; i < SDI_COUNT(columns); i++) {
        const int64_t rows[] = {1, 5, 77, 301};
        for (size_t r = 0; r < SDI_COUNT(rows); r++) {
            run_case(t, rows[r], columns[i], KT_RANDOM, 0, 0);
            run_case(t, rows[r], columns[i], KT_RANDOM, 30, 0);
            run_case(t, rows[r], columns[i], KT_SPARSE, 1, 1);
        }
        run_case(t, 3, columns[i], KT_MAX, 0, 0); // variance 0
        run_case(t, 3, columns[i], KT_TINY, 0, 0);
    }
}

static const int64_t network[][2] = {{8192, 320}, {2048, 640}, {512, 1280},
                                     {128, 1280}, {154, 768},  {64, 96}};

static double bench_layer_norm(kt_table *t, size_t index, kt_work *work)
{
    const int64_t rows = network[index][0], c = network[index][1];
    const sdi_dtype stream = t->k.operand == SDI_F32 ? SDI_F32 : SDI_F16;
    fixture f;
    setup(&f, t, rows, c, stream, t->k.operand);
    kt_mat_fill(&f.x, KT_RANDOM);
    work->bytes =
        (double)(rows * c) * (double)(sdi_dtype_size(stream) + sdi_dtype_size(t->k.operand));
    kt_case("layer_norm %dx%d", (int)rows, (int)c);
    const double seconds = kt_time(t, call, &f.a, NULL);
    teardown(&f);
    return seconds;
}

int main(int argc, char **argv)
{
    const kt_op op = {"layer_norm", test_layer_norm, SDI_COUNT(network), bench_layer_norm};
    return kt_main(argc, argv, &op);
}
