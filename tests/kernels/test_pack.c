/* SPDX-License-Identifier: MIT
 *
 * pack and unpack are inverse to each other (up to the rounding of bf16 weights; split ones keep
 * 2^-17, and bf16 numbers exactly), also when a
 * matrix is packed in parts, from any float type, and with any number of threads; convert_to_f32 is
 * exact for every pattern and start.
 */
#include "harness.h"

#include <stdlib.h>

typedef struct shape {
    int64_t n, k;
    int32_t kernel, geglu;
} shape;

/* What `source` holds, as the table keeps it. */
static float kept(const kt_table *t, const void *source, sdi_dtype type, int64_t index)
{
    float value;
    const char *at = (const char *)source + (size_t)index * sdi_dtype_size(type);
    sdi_convert_to_f32(&value, at, type, 1);
    return (float)kt_operand(t, (double)value);
}

/* Packs in up to three parts that need not respect panels. */
static void pack_parts(const kt_table *t, sdi_packed *w, const void *source, sdi_dtype type,
                       sdi_pool *pool)
{
    const sdi_exec exec = {.pool = pool};
    const int64_t length = w->k * w->kh * w->kw;
    for (int64_t row = 0; row < w->n;) {
        const int64_t rows = kt_below(3) ? 1 + kt_below(w->n - row) : w->n - row;
        const size_t skip = (size_t)(row * length) * sdi_dtype_size(type);
        t->k.pack(&exec, w, row, rows, (const char *)source + skip, type);
        row += rows;
    }
}

static void check_unpacked(kt_table *t, const sdi_packed *w, const void *source, sdi_dtype type)
{
    const int64_t length = w->k * w->kh * w->kw;
    const int64_t row0 = kt_below(w->n), rows = 1 + kt_below(w->n - row0);
    float *out = kt_floats(rows * length, KT_RANDOM);
    t->k.unpack(w, row0, rows, out);
    for (int64_t i = 0; i < rows * length; i++) {
        const double expected = (double)kept(t, source, type, row0 * length + i);
        const double bound = t->k.split && type != SDI_BF16 ? 0x1p-17 * fabs(expected) : 0;
        kt_expect(t, row0 + i / length, i % length, (double)out[i], expected, bound);
        float rounded = (float)expected;
        sdi_kernels_round(&t->k, &rounded, 1);
        assert_true(rounded == out[i]);
    }
    free(out);
}

static void run_case(kt_table *t, const shape *s, sdi_dtype type)
{
    sdi_env env = test_env_new();
    sdi_pool *pool = NULL;
    test_ok(&env, sdi_pool_new(&env, 3, NULL, NULL, &pool));
    sdi_packed w = {.n = s->n, .k = s->k, .kh = s->kernel, .kw = s->kernel, .geglu = s->geglu};
    kt_mat source = kt_mat_new(1, s->n * s->k * s->kernel * s->kernel, type, 1, 0, kt_below(3));
    kt_mat_fill(&source, KT_RANDOM);
    const size_t bytes = t->k.pack_bytes(&w);
    kt_case("pack n %d k %d kernel %d geglu %d from %s", (int)s->n, (int)s->k, s->kernel, s->geglu,
            sdi_dtype_name(type));
    for (int round = 0; round < 3; round++) {
        uint8_t *data = sdi_alloc(&env, bytes + 64, 1);
        assert_non_null(data);
        memset(data, 0xff, bytes + 64);
        w.data = data;
        pack_parts(t, &w, source.m.data, type, round ? pool : NULL);
        for (size_t i = bytes; i < bytes + 64; i++)
            assert_int_equal(data[i], 0xff);
        check_unpacked(t, &w, source.m.data, type);
        sdi_free(&env, data);
    }
    kt_mat_free(&source);
    sdi_pool_free(&env, pool);
    test_env_free(&env);
}

static void check_conversion(kt_table *t, sdi_dtype type)
{
    enum { PATTERNS = 65536 };
    uint16_t *all = malloc((PATTERNS + 1) * sizeof *all);
    float *out = malloc(PATTERNS * sizeof *out);
    assert_non_null(all);
    assert_non_null(out);
    for (size_t offset = 0; offset < 2; offset++) { // files give starts at any byte
        for (uint32_t i = 0; i < PATTERNS; i++) {
            const uint16_t pattern = (uint16_t)i;
            memcpy((char *)all + offset + i * sizeof pattern, &pattern, sizeof pattern);
        }
        t->k.convert_to_f32(out, (char *)all + offset, type, PATTERNS);
        for (uint32_t i = 0; i < PATTERNS; i++) {
            const float expected = type == SDI_F16 ? sdi_f16_to_f32((uint16_t)i)
                                                   : sdi_bf16_to_f32((uint16_t)i);
            if (isnan(expected) ? !isnan(out[i]) : memcmp(&expected, &out[i], sizeof expected))
                fail_msg("%s: %s pattern %#x converts to %g, expected %g", t->label,
                         sdi_dtype_name(type), i, (double)out[i], (double)expected);
        }
    }
    for (size_t count = 0; count < 70; count++) { // and any length
        memset(out, 0xff, 80 * sizeof *out);
        t->k.convert_to_f32(out, all, type, count);
        for (size_t i = count; i < 80; i++)
            assert_true(isnan(out[i]));
    }
    free(all);
    free(out);
}

static const shape shapes[] = {
    {1, 1, 1, 0},     {1, 1, 3, 0},     {3, 5, 1, 0},     {5, 3, 3, 0},      {31, 33, 1, 0},
    {32, 32, 1, 0},   {33, 31, 3, 0},   {63, 65, 1, 0},   {64, 64, 3, 0},    {65, 63, 1, 0},
    {96, 320, 1, 0},  {320, 4, 3, 0},   {4, 320, 3, 0},   {17, 3, 16, 0},    {24, 3, 7, 0},
    {2, 3, 1, 1},     {62, 40, 1, 1},   {128, 64, 1, 1},  {130, 66, 1, 1},   {257, 129, 1, 0},
    {960, 320, 1, 0}, {2560, 70, 1, 1},
};

static void test_pack(kt_table *t)
{
    static const sdi_dtype floats[] = {SDI_F32, SDI_F16, SDI_BF16};
    for (size_t s = 0; s < SDI_COUNT(shapes); s++)
        for (size_t type = 0; type < SDI_COUNT(floats); type++)
            run_case(t, &shapes[s], floats[type]);
    check_conversion(t, SDI_F16);
    check_conversion(t, SDI_BF16);
}

typedef struct packing {
    sdi_packed *w;
    const void *source;
} packing;

static void call(const kt_table *t, const sdi_exec *exec, const void *arguments)
{
    const packing *p = arguments;
    t->k.pack(exec, p->w, 0, p->w->n, p->source, SDI_F16);
}

static const shape network[] = {{1280, 1280, 3, 0}, {10240, 1280, 1, 1}, {320, 320, 3, 0}};

static double bench_pack(kt_table *t, size_t index, kt_work *work)
{
    const shape *s = &network[index];
    sdi_packed w = {.n = s->n, .k = s->k, .kh = s->kernel, .kw = s->kernel, .geglu = s->geglu};
    const int64_t count = s->n * s->k * s->kernel * s->kernel;
    kt_mat source = kt_mat_new(1, count, SDI_F16, 1, 0, 0);
    kt_mat_fill(&source, KT_RANDOM);
    w.data = aligned_alloc(64, (t->k.pack_bytes(&w) + 63) / 64 * 64);
    assert_non_null(w.data);
    const packing p = {&w, source.m.data};
    kt_case("pack %dx%d kernel %d from F16", (int)s->n, (int)s->k, s->kernel);
    const double seconds = kt_time(t, call, &p, NULL);
    work->bytes = (double)count * (double)(2 + sdi_dtype_size(t->k.operand));
    free(w.data);
    kt_mat_free(&source);
    return seconds;
}

int main(int argc, char **argv)
{
    const kt_op op = {"pack", test_pack, SDI_COUNT(network), bench_pack};
    return kt_main(argc, argv, &op);
}
