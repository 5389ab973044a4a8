/* SPDX-License-Identifier: MIT
 *
 * The AMX kernels on any machine with AVX512-BF16: the tile instructions are emulated
 * (amx_emulated.h), everything around them (panels, strips, runs, attention) is the library's own.
 * Compared with the vdpbf16ps version, which the other programs compare with double: both sum the
 * same products in fp32, in another order. Linear layers and convolutions with plain bf16 operands
 * and with split ones.
 *
 * Also checked: tiles are used only between enter and leave, on the thread that entered.
 */
#define _GNU_SOURCE
#include "harness.h"

#include "amx_emulated.h"
#include "kernel/x86/bf16.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int rows_finished_beside; // by tiles, while they multiply

static void finish(bf16_rows *rows, int32_t count)
{
    rows_finished_beside += SDI_MIN(count, rows->left);
    sdi_x86_bf16_avx512bf16.finish(rows, count);
}

static void fetch(bf16_rows *rows, int32_t count)
{
    (void)rows;
    (void)count;
}

#include "kernel/x86/amx_tmpl.h"

static void emulated_enter(void)
{
    assert_int_equal(amx.config.palette, 0);
    const amx_config config = amx_whole_tiles();
    AMX_CONFIGURE(config);
}

static void emulated_leave(void)
{
    assert_int_equal(amx.config.palette, 1);
    AMX_RELEASE();
}

static const bf16_isa *native(int32_t parts)
{
    if (!sdi_kernel_sets_available(SDI_SET_AVX512_BF16)) {
        print_message("NOT RUN: emulated tiles need AVX512-BF16 around them\n");
        skip();
    }
    return parts > 1 ? &sdi_x86_split_avx512bf16 : &sdi_x86_bf16_avx512bf16;
}

/* The ranges are those of amx.c. */
static bf16_isa emulated(int32_t parts)
{
    const bf16_isa *other = native(parts);
    bf16_isa isa = *other;
    isa.enter = emulated_enter;
    isa.leave = emulated_leave;
    isa.tile = tile;
    isa.linear_range = 40 << 10;
    isa.conv_range = 192 << 10;
    isa.waiting_panels = 10;
    isa.waiting_pieces = 20;
    isa.rows = BF16_RUN;
    return isa;
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

static sdi_packed packed(int64_t n, int64_t k, int32_t kernel, int32_t geglu, int32_t parts)
{
    sdi_packed w = {.n = n, .k = k, .kh = kernel, .kw = kernel, .geglu = geglu};
    const sdi_exec exec = {0};
    float *source = kt_floats(n * k * kernel * kernel, KT_RANDOM);
    w.data = garbage(parts > 1 ? sdi_x86_split_pack_bytes(&w) : sdi_x86_bf16_pack_bytes(&w));
    (parts > 1 ? sdi_x86_split_pack : sdi_x86_bf16_pack)(&exec, &w, 0, n, source, SDI_F32);
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

static void linear_of_parts(int64_t m, int64_t n, int64_t k, sdi_act act, int32_t parts)
{
    const bf16_isa isa = emulated(parts);
    sdi_packed w = packed(n, k, 1, act == SDI_ACT_GEGLU, parts);
    const int64_t columns = act == SDI_ACT_GEGLU ? n / 2 : n;
    sdi_linear a = {.m = m, .x = matrix(m, k, parts > 1 ? SDI_F32 : SDI_BF16), .w = &w,
                    .act = act, .out = matrix(m, columns, SDI_F32)};
    if (act == SDI_ACT_NONE)
        a.residual = matrix(m, columns, kt_below(2) ? SDI_F16 : SDI_F32);
    float *first = a.out.data, *second = garbage((size_t)(m * a.out.ld) * sizeof(float));
    sdi_exec exec = exec_of(SDI_MAX(sdi_x86_bf16_linear_scratch(native(parts), &a, 1),
                                    sdi_x86_bf16_linear_scratch(&isa, &a, 1)));
    kt_case("linear m %d n %d k %d act %d parts %d", (int)m, (int)n, (int)k, act, parts);
    sdi_x86_bf16_linear(native(parts), &exec, &a);
    a.out.data = second;
    sdi_x86_bf16_linear(&isa, &exec, &a);
    expect_close(first, second, a.out.ld, m, columns,
                 act == SDI_ACT_GEGLU ? 4 * k * (k + 1) : k);
    free(w.data);
    free(a.x.data);
    free(a.residual.data);
    free(first);
    free(second);
    free(exec.scratch);
}

static void linear_case(int64_t m, int64_t n, int64_t k, sdi_act act)
{
    for (int32_t parts = 1; parts <= 2; parts++)
        linear_of_parts(m, n, k, act, parts);
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
    for (int64_t k = 31; k <= 33; k++) // one short of a step, one more
        for (int64_t m = 15; m <= 17; m++)
            linear_case(m, 31 + m % 3, k, SDI_ACT_NONE);
    linear_case(255, 33, 63, SDI_ACT_NONE);
    linear_case(257, 1, 65, SDI_ACT_NONE);
    linear_case(1025, 31, 2, SDI_ACT_NONE);
    linear_case(47, 97, 640, SDI_ACT_NONE); // one range exactly
    linear_case(48, 97, 641, SDI_ACT_NONE); // and one channel more
    linear_case(17, 34, 1281, SDI_ACT_GEGLU);
    linear_case(49, 2, 96, SDI_ACT_GEGLU);
    linear_case(2, 320, 1280, SDI_ACT_SILU);
    linear_case(300, 725, 650, SDI_ACT_NONE); // several panels wait together
}

static void conv_of_parts(sdi_conv a, int64_t n, int64_t k, int32_t kernel, int32_t parts)
{
    const bf16_isa isa = emulated(parts);
    sdi_packed w = packed(n, k, kernel, 0, parts);
    const int64_t rows = a.n * a.oh * a.ow;
    a.wt = &w;
    a.x = matrix(a.n * a.h * a.w, k, parts > 1 ? SDI_F32 : SDI_BF16);
    a.out = matrix(rows, n, SDI_F32);
    a.residual = matrix(rows, n, kt_below(2) ? SDI_F16 : SDI_F32);
    if (kt_below(2))
        a.channel_add = matrix(a.n, n, SDI_F32);
    float *first = a.out.data, *second = garbage((size_t)(rows * a.out.ld) * sizeof(float));
    sdi_exec exec = exec_of(SDI_MAX(sdi_x86_bf16_conv_scratch(native(parts), &a, 1),
                                    sdi_x86_bf16_conv_scratch(&isa, &a, 1)));
    kt_case("conv %dx%d to %dx%d, %d to %d channels, kernel %d, stride %d, parts %d", (int)a.h,
            (int)a.w, (int)a.oh, (int)a.ow, (int)k, (int)n, kernel, a.stride, parts);
    sdi_x86_bf16_conv(native(parts), &exec, &a);
    a.out.data = second;
    sdi_x86_bf16_conv(&isa, &exec, &a);
    expect_close(first, second, a.out.ld, rows, n, k * kernel * kernel);
    free(w.data);
    free(a.x.data);
    free(a.residual.data);
    free(first);
    free(second);
    free(exec.scratch);
}

static void conv_case(sdi_conv a, int64_t n, int64_t k, int32_t kernel)
{
    for (int32_t parts = 1; parts <= 2; parts++)
        conv_of_parts(a, n, k, kernel, parts);
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
    conv_case(square(2, 16, 32, 1), 36, 40, 3); // doubled: sums of taps
    conv_case(square(1, 20, 20, 2), 64, 64, 3);
    conv_case(square(1, 70, 70, 1), 32, 16, 3); // several blocks
    conv_case(square(2, 4, 4, 1), 33, 640, 3);  // sums wait between ranges of k
    conv_case(square(3, 1, 1, 1), 33, 31, 3);   // nothing but halo around
    conv_case(square(1, 17, 17, 1), 1, 33, 3);
    conv_case(square(1, 33, 33, 2), 33, 1, 3);
    conv_case(square(2, 5, 5, 1), 34, 65, 5);
    conv_case(square(1, 15, 30, 2), 40, 31, 3);
    conv_case(square(5, 8, 8, 1), 65, 352, 3); // one block of 32 channels more than a range
    conv_case((sdi_conv){.n = 1, .h = 9, .w = 31, .up_h = 9, .up_w = 31, .oh = 9, .ow = 31,
                         .stride = 1}, 33, 47, 1);
}

static void attention_case(int64_t tq, int64_t tk, int32_t heads, int32_t d, int32_t causal)
{
    const bf16_isa isa = emulated(1);
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
    sdi_x86_bf16_attention(native(1), &exec, &a);
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

/* ---- the emulation itself ---------------------------------------------------------------- */

static void test_shapes_cut_tiles(void **state)
{
    (void)state;
    amx_config config = amx_whole_tiles();
    uint8_t ones[1024], out[1024];
    config.rows[3] = 5;
    config.row_bytes[3] = 12;
    memset(ones, 1, sizeof ones);
    memset(out, 7, sizeof out);
    AMX_CONFIGURE(config);
    memset(&amx.tile[3], 9, sizeof amx.tile[3]);
    AMX_LOAD(3, ones, 64);
    AMX_STORE(3, out, 64);
    for (int r = 0; r < 16; r++)
        for (int i = 0; i < 64; i++) {
            assert_int_equal(amx.tile[3].row[r][i], r < 5 && i < 12);
            assert_int_equal(out[64 * r + i], r < 5 && i < 12 ? 1 : 7);
        }
    AMX_RELEASE();
}

/* c[0][0] of one product of pairs (a, b) that begin a row and a column. */
static float dot(float c, const float *a, const float *b, int count)
{
    uint16_t rows[16][32] = {{0}}, columns[16][32] = {{0}};
    float sums[16][16] = {{c}};
    const amx_config config = amx_whole_tiles();
    for (int k = 0; k < count; k++) {
        rows[0][k] = sdi_f32_to_bf16(a[k]);
        columns[k / 2][k % 2] = sdi_f32_to_bf16(b[k]);
    }
    AMX_CONFIGURE(config);
    AMX_LOAD(0, sums, 64);
    AMX_LOAD(4, rows, 64);
    AMX_LOAD(6, columns, 64);
    AMX_DOT(0, 4, 6);
    AMX_STORE(0, sums, 64);
    AMX_RELEASE();
    return sums[0][0];
}

static void test_products_flush_and_sum_as_hardware_does(void **state)
{
    (void)state;
    const float ones[] = {1, 1, 1, 1}, big[] = {0x1p24f, 1, -0x1p24f, 1};
    const float tiny[] = {0x1p-127f, 0x1p-100f}, small[] = {0x1p100f, 0x1p-30f};
    /* Even terms cancel before odd ones are added: one by one 1 would be lost in 2^24. */
    assert_float_equal(dot(0, big, ones, 4), 2, 0);
    assert_float_equal(dot(0x1p24f, ones, ones, 1), 0x1p24f, 0); // a tie goes to even
    assert_float_equal(dot(0x1p24f, ones, ones, 2), 0x1p24f + 2, 0);
    assert_float_equal(dot(0, tiny, small, 1), 0, 0);     // a denormal operand is zero
    assert_float_equal(dot(0, tiny + 1, small + 1, 1), 0, 0); // a denormal sum too
    assert_float_equal(dot(0x1p-130f, ones, ones, 0), 0, 0);
}

/* ---- threads ----------------------------------------------------------------------------- */

typedef struct host_thread {
    void (*task)(void *argument, int64_t index, int32_t worker);
    void *argument;
    int64_t count;
    int32_t worker, workers;
} host_thread;

static void *host_thread_main(void *argument)
{
    const host_thread *t = argument;
    for (int64_t i = t->worker; i < t->count; i += t->workers)
        t->task(t->argument, i, t->worker);
    assert_int_equal(amx.config.palette, 0);
    return NULL;
}

/* A host's own threads, new ones for each call. */
static void host_parallel_for(void *user, sdi_task_fn task, void *argument, int64_t count)
{
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    host_thread each[THREADS];
    (void)user;
    for (int32_t i = 0; i < THREADS; i++) {
        each[i] = (host_thread){task, argument, count, i, THREADS};
        assert_int_equal(pthread_create(&threads[i], NULL, host_thread_main, &each[i]), 0);
    }
    for (int32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void test_tiles_belong_to_threads(void **state)
{
    (void)state;
    const sdi_parallel_fn hosts[] = {NULL, host_parallel_for};
    const bf16_isa isa = emulated(1);
    sdi_packed w = packed(96, 700, 1, 0, 1);
    sdi_linear a = {.m = 600, .x = matrix(600, 700, SDI_BF16), .w = &w,
                    .out = matrix(600, 96, SDI_F32)};
    const size_t bytes = (size_t)(600 * a.out.ld) * sizeof(float);
    float *alone = a.out.data;
    sdi_exec exec = exec_of(sdi_x86_bf16_linear_scratch(&isa, &a, 3));
    sdi_x86_bf16_linear(&isa, &exec, &a);
    for (size_t i = 0; i < SDI_COUNT(hosts); i++) {
        sdi_env env = test_env_new();
        test_ok(&env, sdi_pool_new(&env, 3, hosts[i], NULL, &exec.pool));
        a.out.data = memcpy(garbage(bytes), alone, bytes);
        for (int64_t r = 0; r < 600; r++)
            memset((float *)a.out.data + r * a.out.ld, 0xff, 96 * sizeof(float));
        sdi_x86_bf16_linear(&isa, &exec, &a);
        assert_memory_equal(a.out.data, alone, bytes);
        assert_int_equal(amx.config.palette, 0);
        free(a.out.data);
        sdi_pool_free(&env, exec.pool);
        test_env_free(&env);
    }
    free(w.data);
    free(a.x.data);
    free(alone);
    free(exec.scratch);
}

static void test_rows_are_finished_beside_products(void **state)
{
    (void)state;
    rows_finished_beside = 0;
    linear_of_parts(256, 32, 320, SDI_ACT_NONE, 1);
    assert_int_equal(rows_finished_beside, 256 - 32); // all but the last two runs
}

/* Linux gives tiles to a process that asks, unless a sandbox or a small signal stack forbids it. */
static int tiles_are_permitted(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
    return 0;
#endif
}

/* Real tiles, where they are: the library would fall back in silence if they multiplied wrongly. */
static void test_real_tiles_work(void **state)
{
    (void)state;
    const x86_cpu cpu = sdi_x86_cpu();
    if (!(sdi_x86_sets_of(&cpu) & SDI_SET_AMX_BF16)) {
        print_message("NOT RUN: kernel set amx: this machine or build has no tiles\n");
        skip();
    }
    if (!tiles_are_permitted()) {
        print_message("NOT RUN: kernel set amx: the system refuses tiles\n");
        skip();
    }
    assert_int_equal(sdi_kernel_sets_available(SDI_SET_AMX_BF16), SDI_SET_AMX_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes_cut_tiles),
        cmocka_unit_test(test_products_flush_and_sum_as_hardware_does),
        cmocka_unit_test(test_linear_agrees),
        cmocka_unit_test(test_conv_agrees),
        cmocka_unit_test(test_attention_agrees),
        cmocka_unit_test(test_rows_are_finished_beside_products),
        cmocka_unit_test(test_tiles_belong_to_threads),
        cmocka_unit_test(test_real_tiles_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
