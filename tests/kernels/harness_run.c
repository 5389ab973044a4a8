/* SPDX-License-Identifier: MIT
 *
 * Running and timing kernels.
 */
#include "harness.h"

#include <cblas.h>
#include <stdlib.h>
#include <time.h>

enum { GUARD = 4096 };

/* Bytes of `out` that lie outside of its numbers and differ from those of `before`. */
static int touched_outside(const kt_mat *out, const kt_mat *before)
{
    const size_t size = sdi_dtype_size(out->m.type);
    const size_t start = (size_t)((uint8_t *)out->m.data - out->base);
    const size_t pitch = (size_t)out->m.ld * size, width = (size_t)out->columns * size;
    for (size_t i = 0; i < out->bytes; i++) {
        const int inside = i >= start && i - start < (size_t)out->rows * pitch &&
                           (i - start) % pitch < width;
        if (!inside && out->base[i] != before->base[i])
            return 1;
    }
    return 0;
}

static void run_once(const kt_table *t, kt_call call, const void *arguments, size_t scratch_bytes,
                     int32_t threads)
{
    sdi_env env = test_env_new();
    sdi_pool *pool = NULL;
    if (threads > 1)
        test_ok(&env, sdi_pool_new(&env, threads, NULL, NULL, &pool));
    const size_t bytes = (scratch_bytes + GUARD + 63) / 64 * 64;
    uint8_t *scratch = aligned_alloc(64, bytes);
    assert_non_null(scratch);
    memset(scratch, 0xff, bytes); // NaN: nothing may depend on what was there
    const sdi_exec exec = {pool, scratch, scratch_bytes};
    call(t, &exec, arguments);
    for (size_t i = scratch_bytes; i < bytes; i++)
        if (scratch[i] != 0xff)
            fail_msg("%s, %s: wrote behind its %zu bytes of scratch", kt_case_text(), t->label,
                     scratch_bytes);
    free(scratch);
    sdi_pool_free(&env, pool);
    test_env_free(&env);
}

void kt_run(const kt_table *t, kt_call call, const void *arguments, kt_mat *out,
            size_t (*scratch)(const kt_table *t, const void *arguments, int32_t workers))
{
    const int32_t threads[] = {1, 3, 4};
    kt_mat before = kt_mat_copy(out), first = {0};
    for (size_t i = 0; i < SDI_COUNT(threads); i++) {
        memcpy(out->base, before.base, out->bytes);
        run_once(t, call, arguments, scratch ? scratch(t, arguments, threads[i]) : 0, threads[i]);
        if (touched_outside(out, &before))
            fail_msg("%s, %s: wrote outside of its rows", kt_case_text(), t->label);
        if (i == 0)
            first = kt_mat_copy(out);
        else if (memcmp(out->base, first.base, out->bytes) != 0)
            fail_msg("%s, %s: %d threads give other bits than 1", kt_case_text(), t->label,
                     threads[i]);
    }
    kt_mat_free(&before);
    kt_mat_free(&first);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double kt_sgemm_rate(void)
{
    enum { N = 2048 };
    static double rate;
    if (rate > 0)
        return rate;
    float *a = kt_floats((int64_t)N * N, KT_RANDOM), *b = kt_floats((int64_t)N * N, KT_RANDOM);
    float *c = kt_floats((int64_t)N * N, KT_RANDOM);
    for (int i = 0; i < 5; i++) {
        const double start = now();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, a, N, b, N, 0, c, N);
        const double gflops = 2e-9 * N * N * N / (now() - start);
        rate = gflops > rate ? gflops : rate;
    }
    free(a);
    free(b);
    free(c);
    nanosleep(&(struct timespec){0, 200000000}, NULL); // until OpenBLAS's threads sleep again
    return rate;
}

double kt_time(const kt_table *t, kt_call call, const void *arguments,
               size_t (*scratch)(const kt_table *t, const void *arguments, int32_t workers))
{
    sdi_env env = test_env_new();
    sdi_pool *pool = NULL;
    test_ok(&env, sdi_pool_new(&env, 0, NULL, NULL, &pool));
    const size_t scratch_bytes = scratch ? scratch(t, arguments, sdi_pool_size(pool)) : 0;
    const sdi_exec exec = {pool, sdi_alloc(&env, scratch_bytes, 1), scratch_bytes};
    assert_non_null(exec.scratch);
    memset(exec.scratch, 0, scratch_bytes);
    double best = INFINITY;
    const double begin = now();
    for (int i = 0; i < 200 && (i < 3 || now() - begin < 0.3); i++) {
        const double start = now();
        call(t, &exec, arguments);
        best = fmin(best, now() - start);
    }
    sdi_free(&env, exec.scratch);
    sdi_pool_free(&env, pool);
    test_env_free(&env);
    return best;
}
