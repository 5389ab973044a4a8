/* SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "io/tensor_file.h"
#include "sample/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4 * 64 * 64 };

static const uint64_t seeds[] = {0, 1, 42, 123456789, 2147483653u};

typedef struct goldens {
    sdi_env env;
    sdi_tensor_file *file;
    double worst;
    int compared;
} goldens;

static void open_goldens(goldens *g, const char *relative)
{
    *g = (goldens){.env = test_env_new()};
    test_ok(&g->env, sdi_tensor_file_open_path(&g->env, test_shared(relative), &g->file));
}

static void close_goldens(goldens *g, const char *name)
{
    assert_true(g->compared > 0);
    print_message("%s: %d tensors, worst ratio to tolerance %.3g\n", name, g->compared, g->worst);
    sdi_tensor_file_free(&g->env, g->file);
    test_env_free(&g->env);
}

/* Compares with a golden of that name; those that the file lacks are passed over. */
static void compare(goldens *g, const char *name, const float *ours, double tolerance)
{
    const int32_t index = sdi_tensor_file_find(g->file, name);
    if (index < 0)
        return;
    const void *data;
    void *owned;
    test_ok(&g->env, sdi_tensor_file_data(&g->env, g->file, index, &data, &owned));
    const uint64_t count = sdi_tensor_file_info(g->file, index)->count;
    for (uint64_t i = 0; i < count; i++) {
        float theirs;
        memcpy(&theirs, (const char *)data + 4 * i, 4);
        const double ratio = fabs((double)ours[i] - (double)theirs) / tolerance;
        if (!(ratio <= 1))
            fail_msg("%s[%d] is %.9g instead of %.9g", name, (int)i, (double)ours[i],
                     (double)theirs);
        g->worst = fmax(g->worst, ratio);
    }
    sdi_free(&g->env, owned);
    g->compared++;
}

static void check_torch(goldens *g, float *buffer, uint64_t seed, const char *suffix,
                        const size_t *calls, size_t call_count)
{
    sdi_random random;
    sdi_random_init(&random, SDI_RNG_TORCH, seed);
    size_t done = 0;
    for (size_t c = 0; c < call_count; c++) {
        sdi_random_normal(&random, buffer + done, calls[c]);
        done += calls[c];
    }
    char name[64];
    snprintf(name, sizeof name, "seed%llu.%s", (unsigned long long)seed, suffix);
    compare(g, name, buffer, 2e-6);
}

static void test_torch_noise_matches_randn_however_it_is_called(void **state)
{
    goldens g;
    open_goldens(&g, "fixtures/rng/torch_cpu_randn.safetensors");
    float *buffer = malloc(MOST * sizeof *buffer);
    assert_non_null(buffer);
    for (size_t s = 0; s < SDI_COUNT(seeds); s++) {
        check_torch(&g, buffer, seeds[s], "n5", (size_t[]){5}, 1);
        check_torch(&g, buffer, seeds[s], "n15", (size_t[]){15}, 1);
        check_torch(&g, buffer, seeds[s], "n16", (size_t[]){16}, 1);
        check_torch(&g, buffer, seeds[s], "n17", (size_t[]){17}, 1);
        check_torch(&g, buffer, seeds[s], "n100", (size_t[]){100}, 1);
        check_torch(&g, buffer, seeds[s], "n16384", (size_t[]){MOST}, 1);
        check_torch(&g, buffer, seeds[s], "n16384.head64", (size_t[]){MOST}, 1);
        check_torch(&g, buffer, seeds[s], "shape_1_4_8_8_twice", (size_t[]){256, 256}, 2);
        check_torch(&g, buffer, seeds[s], "odd_then_even", (size_t[]){5, 3, 20, 1}, 4);
    }
    free(buffer);
    close_goldens(&g, "torch_cpu_randn");
}

static void test_philox_noise_matches_cuda_call_by_call(void **state)
{
    goldens g;
    open_goldens(&g, "fixtures/rng/philox_nv.safetensors");
    float *buffer = malloc(MOST * sizeof *buffer);
    assert_non_null(buffer);
    for (size_t s = 0; s < SDI_COUNT(seeds); s++) {
        sdi_random random;
        sdi_random_init(&random, SDI_RNG_PHILOX, seeds[s]);
        for (int call = 0; call < 2; call++) {
            sdi_random_normal(&random, buffer, MOST);
            char name[64];
            snprintf(name, sizeof name, "seed%llu.call%d.head64", (unsigned long long)seeds[s],
                     call);
            compare(&g, name, buffer, 1e-5);
        }
    }
    free(buffer);
    close_goldens(&g, "philox_nv");
}

static void test_noise_is_standard_normal(void **state)
{
    float *buffer = malloc(MOST * sizeof *buffer);
    assert_non_null(buffer);
    for (int kind = SDI_RNG_TORCH; kind <= SDI_RNG_PHILOX; kind++) {
        sdi_random random;
        sdi_random_init(&random, (sdi_rng)kind, 7);
        sdi_random_normal(&random, buffer, MOST);
        double sum = 0, squares = 0;
        for (int i = 0; i < MOST; i++) {
            sum += (double)buffer[i];
            squares += (double)buffer[i] * (double)buffer[i];
        }
        // five standard errors of mean and of variance
        assert_true(fabs(sum / MOST) < 5 / sqrt(MOST));
        assert_true(fabs(squares / MOST - 1) < 5 * sqrt(2.0 / MOST));
    }
    free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_torch_noise_matches_randn_however_it_is_called),
        cmocka_unit_test(test_philox_noise_matches_cuda_call_by_call),
        cmocka_unit_test(test_noise_is_standard_normal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
