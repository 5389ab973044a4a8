/* SPDX-License-Identifier: MIT
 *
 * The AMX kernels on any machine with AVX512-BF16: the tile instructions are emulated in plain C,
 * everything around them (panels, strips, runs, attention) is the library's own. Compared with the
 * vdpbf16ps version, which the other programs compare with double: both sum the same products in
 * fp32, in another order.
 *
 * Also checked: tiles are used only between enter and leave, on the thread that entered.
 */
#include "harness.h"

#include "kernel/x86/bf16.h"

#include <stdlib.h>

#define SDI_AMX_EMULATED
#include "kernel/x86/amx_tmpl.h"

static _Thread_local int entered;

static void emulated_enter(void)
{
    assert_int_equal(entered, 0);
    entered = 1;
}

static void emulated_leave(void)
{
    assert_int_equal(entered, 1);
    entered = 0;
}

static void emulated_tile(const bf16_tile *t)
{
    assert_int_equal(entered, 1);
    tile(t);
}

static const bf16_isa *native(void)
{
    if (!(sdi_kernel_sets_available(SDI_SET_AVX512_BF16))) {
        print_message("skipped: needs AVX512-BF16\n");
        skip();
    }
    return &sdi_x86_bf16_avx512bf16;
}

static bf16_isa emulated(void)
{
    const bf16_isa *other = native();
    return (bf16_isa){emulated_enter, emulated_leave, emulated_tile, other->finish,
                      other->fill_row};
}

static void *garbage(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    assert_non_null(memory);
    memset(memory, 0xff, bytes);
    return memory;
}

static sdi_mat matrix(int64_t rows, int64_t columns, sdi_dtype type)
{
    kt_mat m = kt_mat_new(rows, columns, type, 1, kt_below(5), 0);
    kt_mat_fill(&m, KT_RANDOM);
    sdi_mat copy = m.m;
    copy.data = garbage((size_t)(rows * m.m.ld) * sdi_dtype_size(type));
    memcpy(copy.data, m.m.data, (size_t)((rows - 1) * m.m.ld + columns) * sdi_dtype_size(type));
    kt_mat_free(&m);
    return copy;
}

static sdi_packed packed(int64_t n, int64_t k, int32_t kernel, int32_t geglu)
{
    sdi_packed w = {.n = n, .k = k, .kh = kernel, .kw = kernel, .geglu = geglu};
    const sdi_exec exec = {0};
    float *source = kt_floats(n * k * kernel * kernel, KT_RANDOM);
    w.data = garbage(sdi_x86_bf16_pack_bytes(&w));
    sdi_x86_bf16_pack(&exec, &w, 0, n, source, SDI_F32);
    free(source);
    return w;
}

/* Equal up to the order of `terms` products of numbers up to 1. */
static void expect_close(const float *a, const float *b, int64_t ld, int64_t rows, int64_t columns,
                         int64_t terms)
{
    const double bound = kt_sum_k(terms) * KT_U32 * (double)terms * 1.13;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < columns; c++) {
            const double x = (double)a[i * ld + c], y = (double)b[i * ld + c];
            if (!(fabs(x - y) <= bound))
                fail_msg("%s: [%d][%d] is %.9g, with vdpbf16ps %.9g, bound %.3g", kt_case_text(),
                         (int)i, (int)c, y, x, bound);
        }
}

static sdi_exec exec_of(size_t bytes)
{
    return (sdi_exec){.scratch = garbage(bytes), .scratch_bytes = bytes};
}

static void linear_case(int64_t m, int64_t n, int64_t k, sdi_act act)
{
    const bf16_isa isa = emulated();
    sdi_packed w = packed(n, k, 1, act == SDI_ACT_GEGLU);
    const int64_t columns = act == SDI_ACT_GEGLU ? n / 2 : n;
    sdi_linear a = {.m = m, .x = matrix(m, k, SDI_BF16), .w = &w, .act = act,
                    .out = matrix(m, columns, SDI_F32)};
    float *first = a.out.data, *second = garbage((size_t)(m * a.out.ld) * sizeof(float));
    sdi_exec exec = exec_of(sdi_x86_bf16_linear_scratch(&a, 1));
    kt_case("linear m %d n %d k %d act %d", (int)m, (int)n, (int)k, act);
    sdi_x86_bf16_linear(native(), &exec, &a);
    a.out.data = second;
    sdi_x86_bf16_linear(&isa, &exec, &a);
    expect_close(first, second, a.out.ld, m, columns,
                 act == SDI_ACT_GEGLU ? 4 * k * (k + 1) : k);
    free(w.data);
    free(a.x.data);
    free(first);
    free(second);
    free(exec.scratch);
}

static void test_linear_agrees(void **state)
{
    (void)state;
    linear_case(1, 1, 1, SDI_ACT_NONE);
    linear_case(16, 32, 32, SDI_ACT_NONE);
    linear_case(33, 65, 31, SDI_ACT_SILU);
    linear_case(77, 130, 66, SDI_ACT_GEGLU);
    linear_case(300, 96, 320, SDI_ACT_NONE);
    linear_case(1100, 40, 48, SDI_ACT_GELU);
    linear_case(65, 64, 2000, SDI_ACT_NONE); // sums wait between ranges of k
}

static void conv_case(sdi_conv a, int64_t n, int64_t k, int32_t kernel)
{
    const bf16_isa isa = emulated();
    sdi_packed w = packed(n, k, kernel, 0);
    const int64_t rows = a.n * a.oh * a.ow;
    a.wt = &w;
    a.x = matrix(a.n * a.h * a.w, k, SDI_BF16);
    a.out = matrix(rows, n, SDI_F32);
    float *first = a.out.data, *second = garbage((size_t)(rows * a.out.ld) * sizeof(float));
    sdi_exec exec = exec_of(sdi_x86_bf16_conv_scratch(&a, 1));
    kt_case("conv %dx%d to %dx%d, %d to %d channels, kernel %d, stride %d", (int)a.h, (int)a.w,
            (int)a.oh, (int)a.ow, (int)k, (int)n, kernel, a.stride);
    sdi_x86_bf16_conv(native(), &exec, &a);
    a.out.data = second;
    sdi_x86_bf16_conv(&isa, &exec, &a);
    expect_close(first, second, a.out.ld, rows, n, k * kernel * kernel);
    free(w.data);
    free(a.x.data);
    free(first);
    free(second);
    free(exec.scratch);
}

static sdi_conv square(int64_t n, int64_t size, int64_t resized, int32_t stride)
{
    return (sdi_conv){.n = n, .h = size, .w = size, .up_h = resized, .up_w = resized,
                      .oh = resized / stride, .ow = resized / stride, .stride = stride,
                      .pad_top = 1, .pad_left = 1};
}

static void test_conv_agrees(void **state)
{
    (void)state;
    conv_case(square(1, 16, 16, 1), 32, 32, 3); // runs along lines
    conv_case(square(2, 8, 8, 1), 33, 40, 3);   // runs across lines
    conv_case(square(1, 12, 24, 1), 20, 33, 3); // resized
    conv_case(square(1, 20, 20, 2), 64, 64, 3);
    conv_case(square(1, 70, 70, 1), 32, 16, 3); // several blocks
    conv_case(square(2, 4, 4, 1), 33, 640, 3);  // sums wait between ranges of k
}

static void attention_case(int64_t tq, int64_t tk, int32_t heads, int32_t d, int32_t causal)
{
    const bf16_isa isa = emulated();
    const int64_t columns = (int64_t)heads * d;
    sdi_attention a = {.b = 2, .tq = tq, .tk = tk, .heads = heads, .d = d, .causal = causal,
                       .scale = (float)(1 / sqrt((double)d)),
                       .q = matrix(2 * tq, columns, SDI_BF16),
                       .k = matrix(2 * tk, columns, SDI_BF16),
                       .v = matrix(2 * tk, columns, SDI_BF16),
                       .out = matrix(2 * tq, columns, SDI_F32)};
    float *first = a.out.data, *second = garbage((size_t)(2 * tq * a.out.ld) * sizeof(float));
    sdi_exec exec = exec_of(sdi_x86_bf16_attention_scratch(&a, 1));
    kt_case("attention tq %d tk %d heads %d d %d causal %d", (int)tq, (int)tk, heads, d, causal);
    sdi_x86_bf16_attention(native(), &exec, &a);
    a.out.data = second;
    sdi_x86_bf16_attention(&isa, &exec, &a);
    /* Scores in another order may round a probability to the other neighbour in bf16. */
    for (int64_t i = 0; i < 2 * tq; i++)
        for (int64_t c = 0; c < columns; c++)
            assert_true(fabs((double)first[i * a.out.ld + c] - (double)second[i * a.out.ld + c]) <=
                        2 * KT_UB16);
    free(a.q.data);
    free(a.k.data);
    free(a.v.data);
    free(first);
    free(second);
    free(exec.scratch);
}

static void test_attention_agrees(void **state)
{
    (void)state;
    attention_case(77, 77, 2, 64, 1);
    attention_case(50, 77, 3, 40, 0);
    attention_case(300, 65, 1, 16, 0);
    attention_case(33, 129, 1, 200, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear_agrees),
        cmocka_unit_test(test_conv_agrees),
        cmocka_unit_test(test_attention_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
