/* SPDX-License-Identifier: MIT
 *
 * What times are compared with: the rate of OpenBLAS's sgemm on all of its threads, and what AMX
 * tiles multiply at most: blocks of 2 x 2 tiles on random numbers from the first-level
 * cache (a core is about a sixth faster on zeros), nothing else, on all threads.
 */
#include "layer.h"

#include "base/memory.h"

#include <cblas.h>
#include <time.h>

double bench_sgemm_rate(const sdi_env *env)
{
    enum { N = 4096 };
    double best = 0;
    float *a = sdi_alloc(env, 3ull * N * N, sizeof *a);
    if (!a)
        return 0;
    for (int64_t i = 0; i < 3ll * N * N; i++)
        a[i] = (float)(i % 1013) * 0x1p-9f - 1;
    for (int i = 0; i < 3; i++) {
        const double start = bench_now();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, a, N,
                    a + (int64_t)N * N, N, 0, a + 2 * (int64_t)N * N, N);
        const double rate = 2.0 * N * N * N / (bench_now() - start);
        best = rate > best ? rate : best;
    }
    sdi_free(env, a);
    nanosleep(&(struct timespec){0, 200000000}, NULL); // until OpenBLAS's threads sleep again
    return best;
}

#if defined(__x86_64__)

#include "kernel/x86/amx_tiles.h"

enum {
    STEPS = 4,
    ROUNDS = 20000,
    TILE = 512, // elements
    RUNS = 7    // the best counts
};

typedef struct peak_worker {
    uint16_t a[2 * STEPS * TILE], b[2 * STEPS * TILE];
    float c[256];
} peak_worker;

static void multiply(void *argument, int64_t index, int32_t worker)
{
    peak_worker *w = (peak_worker *)argument + index;
    const amx_config config = amx_whole_tiles();
    (void)worker;
    AMX_CONFIGURE(config);
    AMX_ZERO(0);
    AMX_ZERO(1);
    AMX_ZERO(2);
    AMX_ZERO(3);
    for (int i = 0; i < ROUNDS; i++)
        for (int s = 0; s < STEPS; s++) {
            AMX_LOAD(6, w->b + 2 * s * TILE, 64);
            AMX_LOAD(4, w->a + 2 * s * TILE, 64);
            AMX_DOT(0, 4, 6);
            AMX_LOAD(7, w->b + (2 * s + 1) * TILE, 64);
            AMX_DOT(1, 4, 7);
            AMX_LOAD(5, w->a + (2 * s + 1) * TILE, 64);
            AMX_DOT(2, 5, 6);
            AMX_DOT(3, 5, 7);
        }
    AMX_STORE(0, w->c, 64);
    AMX_RELEASE();
}

double bench_amx_rate(const bench *b)
{
    const int64_t threads = sdi_pool_size(b->pool);
    peak_worker *workers = sdi_alloc(&b->env, (uint64_t)threads, sizeof *workers);
    double best = 0;
    if (!workers)
        return 0;
    uint32_t state = 1;
    for (int64_t t = 0; t < threads; t++)
        for (int i = 0; i < 2 * STEPS * TILE; i++) {
            state = state * 1664525 + 1013904223;
            workers[t].a[i] = sdi_f32_to_bf16((float)(int32_t)state * 0x1p-31f);
            state = state * 1664525 + 1013904223;
            workers[t].b[i] = sdi_f32_to_bf16((float)(int32_t)state * 0x1p-31f);
        }
    for (int i = 0; i < RUNS; i++) {
        const double start = bench_now();
        sdi_parallel_for(b->pool, threads, multiply, workers);
        const double rate = 4.0 * 16384 * STEPS * ROUNDS * (double)threads / (bench_now() - start);
        best = rate > best ? rate : best;
    }
    sdi_free(&b->env, workers);
    return best;
}

#else

double bench_amx_rate(const bench *b)
{
    (void)b;
    return 0;
}

#endif
