/* SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "io/tensor_file.h"
#include "sample/levels.h"
#include "sample/sigmas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TIMESTEPS = 1000 };

static sdi_schedule_config plain_config(void)
{
    sdi_schedule_config config;
    sdi_schedule_config_init(&config);
    return config;
}

/* Reads one float tensor of the file of forward-process goldens. */
static float *golden(const sdi_env *env, const char *name, uint64_t *count)
{
    sdi_tensor_file *file = NULL;
    test_ok(env, sdi_tensor_file_open_path(
                     env, test_shared("fixtures/schedulers/forward.safetensors"), &file));
    const int32_t index = sdi_tensor_file_find(file, name);
    assert_true(index >= 0);
    const sdi_tensor_info *info = sdi_tensor_file_info(file, index);
    *count = info->count;
    const void *data;
    void *owned;
    test_ok(env, sdi_tensor_file_data(env, file, index, &data, &owned));
    float *copy = malloc((size_t)info->bytes);
    assert_non_null(copy);
    memcpy(copy, data, (size_t)info->bytes);
    sdi_free(env, owned);
    sdi_tensor_file_free(env, file);
    return copy;
}

static void check_alphas(const char *name, const sdi_schedule_config *config, double tolerance)
{
    sdi_env env = test_env_new();
    uint64_t count;
    float *theirs = golden(&env, name, &count);
    assert_int_equal(count, TIMESTEPS);
    double alphas[TIMESTEPS], worst = 0;
    test_ok(&env, sdi_schedule_alphas(&env, config, alphas));
    for (int t = 0; t < TIMESTEPS; t++)
        worst = fmax(worst, fabs(alphas[t] / (double)theirs[t] - 1) / tolerance);
    print_message("%s: worst ratio to tolerance %.3g\n", name, worst);
    assert_true(worst <= 1);
    free(theirs);
    test_env_free(&env);
}

static void test_alphas_match_the_goldens(void **state)
{
    sdi_schedule_config config = plain_config();
    check_alphas("alphas_cumprod_from_f64", &config, 1e-6);
    // float32 products of a thousand factors are off by up to 1000 * 2^-24 against exact ones
    check_alphas("alphas_cumprod", &config, 1000 * 0x1p-24);
    config.beta_schedule = SDI_BETA_LINEAR;
    check_alphas("alphas_cumprod.linear", &config, 1000 * 0x1p-24);
    config.beta_schedule = SDI_BETA_COSINE;
    check_alphas("alphas_cumprod.squaredcos_cap_v2", &config, 1000 * 0x1p-24);
}

static void test_sigmas_match_the_golden(void **state)
{
    sdi_env env = test_env_new();
    uint64_t count;
    float *theirs = golden(&env, "sigmas", &count);
    assert_int_equal(count, TIMESTEPS);
    const sdi_schedule_config config = plain_config();
    sdi_sigma_table table;
    test_ok(&env, sdi_sigma_table_new(&env, &config, &table));
    // 1e-6 of the greatest, 14.6
    for (int t = 0; t < TIMESTEPS; t++)
        assert_true(fabs(table.sigmas[t] - (double)theirs[t]) <= 1e-6 * 14.6);
    sdi_sigma_table_free(&env, &table);
    free(theirs);
    test_env_free(&env);
}

static void test_timesteps_and_sigmas_are_inverse(void **state)
{
    sdi_env env = test_env_new();
    const sdi_schedule_config config = plain_config();
    sdi_sigma_table table;
    test_ok(&env, sdi_sigma_table_new(&env, &config, &table));
    for (double t = 0; t <= 999; t += 0.37)
        assert_true(fabs(sdi_sigma_to_timestep(&table, sdi_sigma_at_log(&table, t)) - t) < 1e-8);
    assert_true(sdi_sigma_to_timestep(&table, 1e-9) == 0);
    assert_true(sdi_sigma_to_timestep(&table, 1e9) == 999);
    assert_true(sdi_sigma_at(&table, 5000) == table.sigmas[999]);
    assert_true(fabs(sdi_sigma_at(&table, 10.5) - (table.sigmas[10] + table.sigmas[11]) / 2) <
                1e-15);
    sdi_sigma_table_free(&env, &table);
    test_env_free(&env);
}

static void test_zero_terminal_snr_keeps_the_first_and_empties_the_last(void **state)
{
    sdi_env env = test_env_new();
    sdi_schedule_config config = plain_config();
    double plain[TIMESTEPS], rescaled[TIMESTEPS];
    test_ok(&env, sdi_schedule_alphas(&env, &config, plain));
    config.zero_terminal_snr = 1;
    test_ok(&env, sdi_schedule_alphas(&env, &config, rescaled));
    assert_true(fabs(rescaled[0] - plain[0]) < 1e-12);
    assert_true(rescaled[TIMESTEPS - 1] == 0);
    for (int t = 1; t < TIMESTEPS; t++)
        assert_true(rescaled[t] < rescaled[t - 1]);
    test_env_free(&env);
}

static void refused(sdi_schedule_config config)
{
    sdi_env env = test_env_new();
    double *alphas = malloc(sizeof(double) * SDI_MAX_TRAIN_TIMESTEPS);
    assert_non_null(alphas);
    assert_int_equal(sdi_schedule_alphas(&env, &config, alphas), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_true(strlen(test_error(&env)) > 0);
    sdi_sigma_table table;
    assert_int_equal(sdi_sigma_table_new(&env, &config, &table), SDIFF_ERROR_INVALID_ARGUMENT);
    free(alphas);
    test_env_free(&env);
}

static void test_impossible_configurations_are_refused(void **state)
{
    const int32_t counts[] = {0, -1, INT32_MIN, INT32_MAX, SDI_MAX_TRAIN_TIMESTEPS + 1};
    for (size_t i = 0; i < SDI_COUNT(counts); i++) {
        sdi_schedule_config config = plain_config();
        config.train_timesteps = counts[i];
        refused(config);
    }
    const double betas[] = {0, -0.1, 1, 1.5, NAN, INFINITY, -INFINITY, 1e-300};
    for (size_t i = 0; i < SDI_COUNT(betas); i++) {
        sdi_schedule_config config = plain_config();
        config.beta_start = betas[i];
        refused(config);
        config = plain_config();
        config.beta_end = betas[i];
        if (betas[i] != 1e-300) // a rising end is odd, but possible
            refused(config);
    }
    sdi_schedule_config config = plain_config();
    config.beta_end = 0.99; // no signal after a few timesteps
    refused(config);
    config = plain_config();
    config.beta_schedule = (sdi_beta_schedule)7;
    refused(config);
    config = plain_config();
    config.prediction = (sdi_prediction)-1;
    refused(config);
    config = plain_config();
    config.spacing = (sdi_spacing)3;
    refused(config);
    config = plain_config();
    config.steps_offset = -5;
    refused(config);
    config = plain_config();
    config.clip_sample = 1;
    config.clip_sample_range = NAN;
    refused(config);
    config = plain_config();
    config.train_timesteps = 1;
    config.zero_terminal_snr = 1;
    refused(config);
}

/* Values of the incomplete beta function's inverse, from its symmetry and closed forms. */
static void test_beta_quantile_inverts_the_distribution(void **state)
{
    assert_true(sdi_beta_quantile(0.6, 0.6, 0) == 0);
    assert_true(sdi_beta_quantile(0.6, 0.6, 1) == 1);
    assert_true(fabs(sdi_beta_quantile(0.6, 0.6, 0.5) - 0.5) < 1e-12);
    for (double p = 0.05; p < 1; p += 0.05) {
        assert_true(fabs(sdi_beta_quantile(1, 1, p) - p) < 1e-12);       // uniform
        assert_true(fabs(sdi_beta_quantile(2, 1, p) - sqrt(p)) < 1e-12); // I_x = x^2
        assert_true(fabs(sdi_beta_quantile(0.5, 0.5, p) -                // the arcsine law
                         pow(sin(p * 1.57079632679489661923), 2)) < 1e-12);
        assert_true(fabs(sdi_beta_quantile(0.6, 0.6, p) + sdi_beta_quantile(0.6, 0.6, 1 - p) - 1) <
                    1e-12);
    }
}

static void test_every_schedule_falls_to_zero_without_repeating(void **state)
{
    sdi_env env = test_env_new();
    const int32_t counts[] = {1, 2, 3, 7, 10, 30, 150, 999};
    sdi_sampler_params params = {.name = "k_euler", .strength = 1};
    sdi_schedule_config_init(&params.config);
    sdi_sigma_table table;
    test_ok(&env, sdi_sigma_table_new(&env, &params.config, &table));
    for (int32_t k = 0; (params.schedule = sdi_sampler_schedule_at(k)) != NULL; k++)
        for (size_t c = 0; c < SDI_COUNT(counts); c++)
            for (int family = SDI_FAMILY_EULER; family <= SDI_FAMILY_K; family++) {
                sdi_levels levels;
                params.steps = counts[c];
                test_ok(&env, sdi_levels_new(&env, &params, &table, (sdi_family)family,
                                             SDI_FINAL_ZERO, &levels));
                assert_true(levels.steps > 0 && levels.steps <= params.steps);
                assert_true(levels.sigmas[levels.steps] ==
                            (strcmp(params.schedule, "time_uniform") == 0 ? table.sigmas[0] : 0));
                for (int32_t i = 0; i < levels.steps; i++) {
                    assert_true(levels.sigmas[i] > levels.sigmas[i + 1]);
                    assert_true(levels.timesteps[i] >= 0 && levels.timesteps[i] <= 999);
                }
                sdi_levels_free(&env, &levels);
            }
    sdi_sigma_table_free(&env, &table);
    test_env_free(&env);
}

static void test_known_values_of_the_schedules(void **state)
{
    sdi_env env = test_env_new();
    const sdi_schedule_config config = plain_config();
    sdi_sigma_table table;
    test_ok(&env, sdi_sigma_table_new(&env, &config, &table));
    const sdi_sigma_range range = {table.sigmas[0], table.sigmas[999], 0};
    double sigmas[21];
    sdi_sigmas_fill(&table, SDI_SCHEDULE_AYS, &range, 10, sigmas); // as published
    assert_true(fabs(sigmas[0] - 14.6146412293) < 1e-9 && fabs(sigmas[9] - 0.1515232662) < 1e-9);
    sdi_sigmas_fill(&table, SDI_SCHEDULE_SIMPLE, &range, 20, sigmas);
    assert_true(sigmas[1] == table.sigmas[949] && sigmas[19] == table.sigmas[49]);
    sdi_sigmas_fill(&table, SDI_SCHEDULE_SGM_UNIFORM, &range, 9, sigmas);
    assert_true(fabs(sigmas[1] - table.sigmas[888]) < 1e-12);
    sdi_sigmas_fill(&table, SDI_SCHEDULE_BETA, &range, 2, sigmas);
    assert_true(sigmas[1] == table.sigmas[500] || sigmas[1] == table.sigmas[499]);
    sdi_sigmas_fill(&table, SDI_SCHEDULE_TIME_UNIFORM, &range, 3, sigmas);
    assert_true(fabs(sigmas[1] - table.sigmas[666]) < 1e-12);
    assert_true(fabs(sigmas[3] - table.sigmas[0]) < 1e-12);
    sdi_sigmas_fill(&table, SDI_SCHEDULE_EXPONENTIAL, &range, 3, sigmas);
    assert_true(fabs(sigmas[1] - sqrt(range.min * range.max)) < 1e-12);
    sdi_sigma_table_free(&env, &table);
    test_env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alphas_match_the_goldens),
        cmocka_unit_test(test_sigmas_match_the_golden),
        cmocka_unit_test(test_timesteps_and_sigmas_are_inverse),
        cmocka_unit_test(test_zero_terminal_snr_keeps_the_first_and_empties_the_last),
        cmocka_unit_test(test_impossible_configurations_are_refused),
        cmocka_unit_test(test_beta_quantile_inverts_the_distribution),
        cmocka_unit_test(test_every_schedule_falls_to_zero_without_repeating),
        cmocka_unit_test(test_known_values_of_the_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
