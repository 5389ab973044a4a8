/* SPDX-License-Identifier: MIT
 *
 * map: out = act(x) + y with repeated rows, in place, into columns of a wider matrix, and between
 * all float types.
 *
 * Bound: 16 u |x| for the activation, one rounding of the sum, one to the type of out; copies are
 * exact or rounded once.
 */
#include "harness.h"

typedef struct fixture {
    kt_table *t;
    kt_mat x, y, out;
    sdi_map a;
} fixture;

static void call(const kt_table *t, const sdi_exec *exec, const void *arguments)
{
    t->k.map(exec, arguments);
}

static void check(void *user, int64_t row, int64_t c)
{
    fixture *f = user;
    const double x = kt_get(&f->x, row, c);
    double value = kt_act(f->a.act, x), error = kt_act_bound(f->a.act, x, 0);
    if (f->y.base) {
        value += kt_get(&f->y, f->a.y_rows ? row % f->a.y_rows : row, c);
        error += KT_U32 * (fabs(value) + error);
    }
    kt_expect(f->t, row, c, kt_get(&f->out, row, c), value,
              error + kt_rounding(f->out.m.type, fabs(value) + error));
}

static void teardown(fixture *f)
{
    kt_mat_free(&f->x);
    kt_mat_free(&f->y);
    kt_mat_free(&f->out);
}

/* `types`: of x, y, out. y_rows < 0: no y. */
static void run_case(kt_table *t, int64_t rows, int64_t c, sdi_act act, int64_t y_rows,
                     const sdi_dtype types[3], kt_fill fill, int in_place)
{
    fixture f = {.t = t};
    f.x = kt_mat_random_layout(t, rows, c, types[0]);
    kt_mat_fill(&f.x, fill);
    f.out = in_place ? kt_mat_copy(&f.x) : kt_mat_random_layout(t, rows, c, types[2]);
    f.a = (sdi_map){.rows = rows, .c = c, .y_rows = y_rows > 0 ? y_rows : 0, .act = act,
                    .x = in_place ? f.out.m : f.x.m, .out = f.out.m};
    if (y_rows >= 0) {
        f.y = kt_mat_random_layout(t, y_rows ? y_rows : rows, c, types[1]);
        kt_mat_fill(&f.y, fill);
        f.a.y = f.y.m;
    }
    kt_case("map rows %d c %d act %d y_rows %d types %s %s %s ld %d %d fill %d%s", (int)rows,
            (int)c, act, (int)y_rows, sdi_dtype_name(types[0]), sdi_dtype_name(types[1]),
            sdi_dtype_name(types[2]), (int)f.x.m.ld, (int)f.out.m.ld, fill,
            in_place ? " in place" : "");
    kt_run(t, call, &f.a, &f.out, NULL);
    kt_sample(rows, c, 5000, check, &f);
    teardown(&f);
}

static void test_map(kt_table *t)
{
    static const sdi_dtype floats[] = {SDI_F32, SDI_F16, SDI_BF16};
    static const int64_t sizes[][2] = {{1, 1},   {3, 5},    {7, 31},   {16, 32},  {33, 17},
                                       {5, 63},  {64, 65},  {77, 768}, {130, 97}, {1, 1283},
                                       {301, 4}, {257, 320}, {1000, 96}};
    for (size_t s = 0; s < SDI_COUNT(sizes); s++) {
        const int64_t rows = sizes[s][0], c = sizes[s][1];
        for (int i = 0; i < 27; i++) { // all triples of types, the other arguments at random
            const sdi_dtype types[] = {floats[i / 9], floats[i / 3 % 3], floats[i % 3]};
            const sdi_act act = kt_below(2) ? SDI_ACT_NONE : (sdi_act)kt_below(SDI_ACT_RELU + 1);
            const int64_t y_rows = kt_below(3) - 1;
            run_case(t, rows, c, act, y_rows > 0 ? (rows + 1) / 2 : y_rows, types,
                     (kt_fill)kt_below(KT_FILLS), 0);
        }
        for (int act = SDI_ACT_NONE; act <= SDI_ACT_RELU; act++) {
            const sdi_dtype same[] = {floats[act % 3], SDI_F32, floats[act % 3]};
            run_case(t, rows, c, (sdi_act)act, act % 2 - 1, same, KT_SPARSE, 1);
        }
    }
}

static const struct {
    int64_t rows, c;
    sdi_act act;
    int add;
} network[] = {
    {8192, 320, SDI_ACT_NONE, 0}, {8192, 640, SDI_ACT_NONE, 1},        {2, 1280, SDI_ACT_SILU, 0},
    {154, 3072, SDI_ACT_QUICK_GELU, 0}, {8192, 320, SDI_ACT_SILU, 0}, {64, 96, SDI_ACT_NONE, 1},
};

static double bench_map(kt_table *t, size_t index, kt_work *work)
{
    const int64_t rows = network[index].rows, c = network[index].c;
    const sdi_dtype type = t->k.operand;
    fixture f = {.t = t};
    f.x = kt_mat_new(rows, c, type, t->k.row_multiple, 0, 0);
    f.out = kt_mat_new(rows, c, type, t->k.row_multiple, 0, 0);
    kt_mat_fill(&f.x, KT_RANDOM);
    f.a = (sdi_map){.rows = rows, .c = c, .act = network[index].act, .x = f.x.m, .out = f.out.m};
    if (network[index].add) {
        f.y = kt_mat_new(rows, c, type, t->k.row_multiple, 0, 0);
        kt_mat_fill(&f.y, KT_RANDOM);
        f.a.y = f.y.m;
    }
    work->bytes = (double)(rows * c) * (double)sdi_dtype_size(type) * (network[index].add ? 3 : 2);
    kt_case("map %dx%d act %d%s", (int)rows, (int)c, network[index].act,
            network[index].add ? " + y" : "");
    const double seconds = kt_time(t, call, &f.a, NULL);
    teardown(&f);
    return seconds;
}

int main(int argc, char **argv)
{
    const kt_op op = {"map", test_map, SDI_COUNT(network), bench_map};
    return kt_main(argc, argv, &op);
}
