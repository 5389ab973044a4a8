/* SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "sample/random.h"
#include "sample/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 32 };

typedef struct source {
    sdi_random random;
    int64_t draws;
    int64_t fail_at; // this draw fails; negative: none
} source;

static sdiff_status draw(void *user, int64_t number, float *out, size_t count)
{
    source *s = user;
    assert_int_equal(number, s->draws);
    if (number == s->fail_at)
        return SDIFF_ERROR_CANCELLED;
    s->draws++;
    sdi_random_normal(&s->random, out, count);
    return SDIFF_OK;
}

static sdi_sampler_params plain_params(const char *name, source *noise)
{
    sdi_sampler_params params = {
        .name = name, .steps = 6, .strength = 1, .eta = -1, .count = COUNT};
    sdi_schedule_config_init(&params.config);
    *noise = (source){.fail_at = -1};
    sdi_random_init(&noise->random, SDI_RNG_TORCH, 3);
    params.noise = draw;
    params.noise_user = noise;
    return params;
}

/* A network that knows: the clean latents are all 0.5, whatever it is shown. x_vp is its input. */
static void perfect_output(const sdi_ask *ask, sdi_prediction prediction, const float *input,
                           float *output)
{
    const double alpha = 1 / sqrt(1 + ask->sigma * ask->sigma), spread = ask->sigma * alpha;
    for (int i = 0; i < COUNT; i++) {
        const double epsilon = ((double)input[i] - alpha * 0.5) / spread;
        const double v = alpha * epsilon - spread * 0.5;
        output[i] = (float)(prediction == SDI_PREDICT_EPSILON ? epsilon
                            : prediction == SDI_PREDICT_V     ? v
                                                              : 0.5);
    }
}

static int run(const sdi_env *env, sdi_sampler *s, sdi_prediction prediction, float *result)
{
    source start = {.fail_at = -1};
    sdi_random_init(&start.random, SDI_RNG_TORCH, 9);
    float x[COUNT], input[COUNT], output[COUNT];
    sdi_random_normal(&start.random, x, COUNT);
    for (int i = 0; i < COUNT; i++)
        x[i] *= (float)sdi_sampler_init_sigma(s);
    test_ok(env, sdi_sampler_begin(env, s, x));
    sdi_ask ask;
    int evaluations = 0, steps = 0;
    while (sdi_sampler_request(s, input, &ask)) {
        assert_int_equal(ask.step, steps);
        assert_true(ask.step < ask.steps);
        perfect_output(&ask, prediction, input, output);
        test_ok(env, sdi_sampler_supply(env, s, output));
        evaluations++;
        steps += sdi_sampler_stepped(s);
        assert_true(evaluations < 1000);
    }
    if (sdi_sampler_steps(s) > 0) {
        assert_int_equal(steps, sdi_sampler_steps(s));
        assert_int_equal(evaluations, sdi_sampler_evaluations(s));
    }
    memcpy(result, sdi_sampler_latents(s), sizeof input);
    return evaluations;
}

/* These step by a fixed stride of timesteps, as diffusers does, whatever the spacing is. */
static int steps_by_stride(const char *name)
{
    return strcmp(name, "ddim") == 0 || strcmp(name, "ddpm") == 0 || strcmp(name, "pndm") == 0 ||
           strcmp(name, "plms") == 0;
}

/* True of the samplers whose last level is above 0 or that end with fresh noise. */
static int ends_noisy(const char *name)
{
    static const char *const names[] = {
        "pndm",      "plms",       "ddpm", "deis", "deis_3", "unipc",         "unipc_3",
        "unipc_bh1", "k_dpm_fast", "lcm",  "ddim", "tcd",    "dpm_solver_2m", "k_dpm_adaptive"};
    for (size_t i = 0; i < SDI_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return 1;
    return 0;
}

static void test_every_sampler_finds_what_a_perfect_network_knows(void **state)
{
    sdi_env env = test_env_new();
    const char *name;
    for (int32_t k = 0; (name = sdi_sampler_name_at(k)) != NULL; k++)
        for (int prediction = 0; prediction <= SDI_PREDICT_SAMPLE; prediction++)
            for (int spacing = 0; spacing <= SDI_SPACING_TRAILING; spacing++)
                for (int steps = 1; steps <= 24; steps += steps < 4 ? 1 : 9) {
                    source noise;
                    sdi_sampler_params params = plain_params(name, &noise);
                    params.config.prediction = (sdi_prediction)prediction;
                    params.config.spacing = (sdi_spacing)spacing;
                    params.steps = steps;
                    sdi_sampler *s = NULL;
                    test_ok(&env, sdi_sampler_new(&env, &params, &s));
                    float result[COUNT];
                    run(&env, s, (sdi_prediction)prediction, result);
                    // the lowest levels, 0.03 to 0.05, leave about 4 sigma of noise
                    const double bound = ends_noisy(name) ? 0.3 : 1e-4;
                    const int astray =
                        steps < 4 || (spacing == SDI_SPACING_LINSPACE && steps_by_stride(name));
                    for (int i = 0; i < COUNT; i++)
                        if (!astray && !(fabs((double)result[i] - 0.5) < bound))
                            fail_msg("%s, prediction %d, spacing %d, %d steps: %g", name,
                                     prediction, spacing, steps, (double)result[i]);
                    for (int i = 0; i < COUNT; i++)
                        assert_true(isfinite(result[i]));
                    sdi_sampler_free(&env, s);
                }
    test_env_free(&env);
}

/* The numbers of steps that refusals announce, with offsets that make timesteps coincide. */
static void test_as_many_steps_as_announced(void **state)
{
    sdi_env env = test_env_new();
    const char *const names[] = {"ddim",     "euler", "dpmpp_2m", "dpmpp_2s",
                                 "dpmpp_3m", "deis",  "unipc"};
    for (size_t k = 0; k < SDI_COUNT(names); k++)
        for (int offset = 0; offset <= 3; offset++)
            for (int steps = 997; steps <= 999; steps++) {
                source noise;
                sdi_sampler *s = NULL;
                sdi_sampler_params params = plain_params(names[k], &noise);
                params.steps = steps;
                params.config.steps_offset = offset;
                test_ok(&env, sdi_sampler_new(&env, &params, &s));
                float result[COUNT];
                run(&env, s, SDI_PREDICT_EPSILON, result);
                for (int i = 0; i < COUNT; i++)
                    assert_true(isfinite(result[i]));
                sdi_sampler_free(&env, s);
            }
    test_env_free(&env);
}

static void test_every_schedule_works_or_is_refused_with_a_sentence(void **state)
{
    const char *name, *schedule;
    for (int32_t k = 0; (name = sdi_sampler_name_at(k)) != NULL; k++)
        for (int32_t j = 0; (schedule = sdi_sampler_schedule_at(j)) != NULL; j++) {
            sdi_env env = test_env_new();
            source noise;
            sdi_sampler_params params = plain_params(name, &noise);
            params.schedule = schedule;
            params.steps = 11;
            sdi_sampler *s = NULL;
            const sdiff_status status = sdi_sampler_new(&env, &params, &s);
            if (status == SDIFF_OK) {
                float result[COUNT];
                run(&env, s, SDI_PREDICT_EPSILON, result);
                for (int i = 0; i < COUNT; i++)
                    if (!(fabs((double)result[i] - 0.5) < 0.5))
                        fail_msg("%s with %s: %g", name, schedule, (double)result[i]);
            } else {
                assert_int_equal(status, SDIFF_ERROR_UNSUPPORTED);
                assert_non_null(strstr(test_error(&env), name));
            }
            sdi_sampler_free(&env, s);
            test_env_free(&env);
        }
}

static void expect_refusal(const sdi_sampler_params *params, sdiff_status expected)
{
    sdi_env env = test_env_new();
    sdi_sampler *s = (sdi_sampler *)&env;
    const sdiff_status status = sdi_sampler_new(&env, params, &s);
    if (status != expected)
        fail_msg("status %d instead of %d for %s: %s", (int)status, (int)expected, params->name,
                 test_error(&env));
    assert_null(s);
    assert_true(strlen(test_error(&env)) > 10);
    test_env_free(&env);
}

static void test_hostile_parameters_are_refused_by_every_sampler(void **state)
{
    const char *name;
    const double numbers[] = {NAN, INFINITY, -INFINITY, 1e300, -0.001};
    for (int32_t k = 0; (name = sdi_sampler_name_at(k)) != NULL; k++) {
        source noise;
        const sdi_sampler_params plain = plain_params(name, &noise);
        sdi_sampler_params params = plain;
        const int32_t steps[] = {0, -1, 1000000000, INT32_MAX, INT32_MIN, SDI_MAX_STEPS + 1};
        for (size_t i = 0; i < SDI_COUNT(steps); i++) {
            params.steps = steps[i];
            expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
        }
        for (size_t i = 0; i < SDI_COUNT(numbers); i++) {
            params = plain;
            params.strength = numbers[i];
            expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
            params = plain;
            params.s_churn = numbers[i];
            if (!(numbers[i] > 0)) // as much churn as one likes: it is capped
                expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
            params = plain;
            params.s_noise = numbers[i];
            expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
            params = plain;
            params.rho = numbers[i];
            expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
            params = plain;
            params.eta = numbers[i];
            if (!(numbers[i] < 0)) // negative: the default
                expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
        }
        params = plain;
        params.config.train_timesteps = 0;
        expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
        params = plain;
        params.config.beta_end = 1.01;
        expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
        params = plain;
        params.count = 0;
        expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
        params.count = SIZE_MAX / 4;
        expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
        params = plain;
        params.schedule = "no such";
        expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
    }
    source noise;
    sdi_sampler_params params = plain_params("no such", &noise);
    expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
    params.name = NULL;
    expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
}

static void test_custom_sigmas_must_fall(void **state)
{
    static const double bad[][4] = {{3, NAN, 1, 0},     {3, -1, -2, -3}, {3, 4, 1, 0},
                                    {3, 2, 2, 0},       {3, 0, 0, 0},    {INFINITY, 2, 1, 0},
                                    {1e300, 2, 1, 0},   {NAN, 2, 1, 0},  {3, 2, 1, NAN},
                                    {3, 2, 1, -1e-300}, {0, -1, -2, -3}, {3, 2, 1e-300, 0}};
    for (size_t b = 0; b < SDI_COUNT(bad); b++) {
        source noise;
        sdi_sampler_params params = plain_params("k_heun", &noise);
        params.sigmas = bad[b];
        params.sigma_count = 4;
        expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
    }
    const double good[] = {7, 3, 1, 0};
    const int32_t counts[] = {1, 0, -4, INT32_MIN, SDI_MAX_STEPS + 2};
    for (size_t c = 0; c < SDI_COUNT(counts); c++) {
        source noise;
        sdi_sampler_params params = plain_params("euler", &noise);
        params.sigmas = good;
        params.sigma_count = counts[c];
        expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
    }
}

static void test_custom_sigmas_are_the_levels_of_the_run(void **state)
{
    const double sigmas[] = {7, 3, 1, 0.4, 0.2, 0}, above_zero[] = {7, 3, 1, 0.5};
    const char *name;
    for (int32_t k = 0; (name = sdi_sampler_name_at(k)) != NULL; k++)
        for (int zero = 0; zero < 2; zero++) {
            sdi_env env = test_env_new();
            source noise;
            sdi_sampler_params params = plain_params(name, &noise);
            params.steps = 0; // not looked at
            params.sigmas = zero ? sigmas : above_zero;
            params.sigma_count = zero ? 6 : 4;
            sdi_sampler *s = NULL;
            const sdiff_status status = sdi_sampler_new(&env, &params, &s);
            if (status == SDIFF_OK) {
                float result[COUNT], input[COUNT];
                sdi_ask ask;
                run(&env, s, SDI_PREDICT_EPSILON, result);
                for (int i = 0; i < COUNT; i++)
                    assert_true(isfinite(result[i]));
                memset(input, 0, sizeof input);
                test_ok(&env, sdi_sampler_begin(&env, s, input));
                assert_true(sdi_sampler_request(s, input, &ask));
                assert_true(fabs(ask.sigma - 7) < 1e-9);
            } else {
                assert_int_equal(status, SDIFF_ERROR_UNSUPPORTED);
            }
            sdi_sampler_free(&env, s);
            test_env_free(&env);
        }
}

static void test_strength_runs_the_last_part(void **state)
{
    static const double strengths[] = {0, 0.05, 0.3, 0.5, 0.99, 1};
    static const int expected[] = {0, 1, 6, 10, 19, 20};
    const char *name;
    for (int32_t k = 0; (name = sdi_sampler_name_at(k)) != NULL; k++)
        for (size_t i = 0; i < SDI_COUNT(strengths); i++) {
            sdi_env env = test_env_new();
            source noise;
            sdi_sampler_params params = plain_params(name, &noise);
            params.steps = 20;
            params.strength = strengths[i];
            sdi_sampler *s = NULL;
            test_ok(&env, sdi_sampler_new(&env, &params, &s));
            float result[COUNT];
            const int evaluations = run(&env, s, SDI_PREDICT_EPSILON, result);
            if (strcmp(name, "ddim") == 0 || strcmp(name, "euler") == 0 ||
                strcmp(name, "dpmpp_2m") == 0 || strcmp(name, "k_lms") == 0)
                assert_int_equal(evaluations, expected[i]);
            if (strcmp(name, "k_dpm_adaptive") != 0) // has no way to go from the lowest level
                assert_int_equal(evaluations > 0, expected[i] > 0);
            sdi_sampler_free(&env, s);
            test_env_free(&env);
        }
}

static void test_added_noise_has_the_level_of_the_step(void **state)
{
    const char *names[] = {"ddim", "euler", "dpmpp_2m", "k_heun", "pndm", "k_euler"};
    for (size_t n = 0; n < SDI_COUNT(names); n++) {
        sdi_env env = test_env_new();
        source noise;
        sdi_sampler_params params = plain_params(names[n], &noise);
        params.steps = 10;
        params.strength = 0.6;
        params.s_churn = strcmp(names[n], "k_euler") == 0 ? 5 : 0;
        sdi_sampler *s = NULL;
        test_ok(&env, sdi_sampler_new(&env, &params, &s));
        float clean[COUNT], standard[COUNT], x[COUNT], input[COUNT];
        for (int i = 0; i < COUNT; i++) {
            clean[i] = 0.5f;
            standard[i] = (float)i / COUNT - 0.5f;
        }
        sdi_sampler_add_noise(s, 0, clean, standard, x);
        test_ok(&env, sdi_sampler_begin(&env, s, x));
        sdi_ask ask;
        while (sdi_sampler_request(s, input, &ask)) {
            // a perfect network finds the clean latents in the noised ones at once
            float output[COUNT];
            perfect_output(&ask, SDI_PREDICT_EPSILON, input, output);
            test_ok(&env, sdi_sampler_supply(&env, s, output));
            for (int i = 0; i < COUNT; i++)
                assert_true(fabs((double)sdi_sampler_predicted_x0(s)[i] - 0.5) < 1e-5);
            if (!sdi_sampler_stepped(s) || params.s_churn > 0)
                continue;
            // noise of the next level can take the place of the state
            sdi_sampler_add_noise(s, ask.step + 1, clean, standard, x);
            if (strcmp(names[n], "euler") == 0 || strcmp(names[n], "k_heun") == 0)
                for (int i = 0; i < COUNT; i++)
                    assert_true(fabs((double)x[i] - (double)sdi_sampler_latents(s)[i]) < 1e-4);
            memcpy(sdi_sampler_latents(s), x, sizeof x);
        }
        sdi_sampler_add_noise(s, sdi_sampler_steps(s), clean, standard, x);
        for (int i = 0; i < COUNT; i++)
            assert_true(x[i] == clean[i]);
        sdi_sampler_free(&env, s);
        test_env_free(&env);
    }
}

typedef struct draw_count {
    const char *name;
    int64_t draws; // of 6 steps, by docs/samplers.md
} draw_count;

static void test_draws_follow_the_documented_rule(void **state)
{
    static const draw_count counts[] = {{"ddim", 0},
                                        {"ddpm", 6},
                                        {"pndm", 0},
                                        {"lcm", 5},
                                        {"tcd", 5},
                                        {"euler", 6},
                                        {"euler_a", 6},
                                        {"heun", 0},
                                        {"dpm2_a", 11},
                                        {"dpmpp_2m", 0},
                                        {"dpmpp_2m_sde", 6},
                                        {"dpmpp_sde", 10},
                                        {"k_euler", 0},
                                        {"k_euler_a", 5},
                                        {"k_dpm2_a", 5},
                                        {"k_dpmpp_2s_a", 5},
                                        {"k_dpmpp_2m_sde", 5},
                                        {"k_dpmpp_3m_sde", 5},
                                        {"k_dpmpp_sde", 10},
                                        {"restart", 0}};
    for (size_t c = 0; c < SDI_COUNT(counts); c++) {
        sdi_env env = test_env_new();
        source noise;
        sdi_sampler_params params = plain_params(counts[c].name, &noise);
        sdi_sampler *s = NULL;
        test_ok(&env, sdi_sampler_new(&env, &params, &s));
        float first[COUNT], second[COUNT];
        run(&env, s, SDI_PREDICT_EPSILON, first);
        if (noise.draws != counts[c].draws)
            fail_msg("%s: %d draws", counts[c].name, (int)noise.draws);
        plain_params(counts[c].name, &noise); // a second run of the same sampler is the same
        run(&env, s, SDI_PREDICT_EPSILON, second);
        assert_memory_equal(first, second, sizeof first);
        sdi_sampler_free(&env, s);
        test_env_free(&env);
    }
}

static void test_noise_is_needed_only_where_it_counts(void **state)
{
    source noise;
    sdi_sampler_params params = plain_params("euler_a", &noise);
    params.noise = NULL;
    expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
    const char *names[] = {"euler", "ddim", "dpmpp_2m", "k_dpmpp_2m", "restart"};
    for (size_t n = 0; n < SDI_COUNT(names); n++) {
        sdi_env env = test_env_new();
        params = plain_params(names[n], &noise);
        params.noise = NULL;
        sdi_sampler *s = NULL;
        float result[COUNT];
        test_ok(&env, sdi_sampler_new(&env, &params, &s));
        run(&env, s, SDI_PREDICT_EPSILON, result);
        sdi_sampler_free(&env, s);
        test_env_free(&env);
    }
}

static void test_failing_noise_ends_the_call_and_leaves_the_sampler_usable(void **state)
{
    sdi_env env = test_env_new();
    source noise;
    sdi_sampler_params params = plain_params("k_euler_a", &noise);
    sdi_sampler *s = NULL;
    test_ok(&env, sdi_sampler_new(&env, &params, &s));
    float x[COUNT] = {1}, input[COUNT], result[COUNT];
    noise.fail_at = 1;
    test_ok(&env, sdi_sampler_begin(&env, s, x));
    sdi_ask ask;
    sdiff_status status = SDIFF_OK;
    while (status == SDIFF_OK && sdi_sampler_request(s, input, &ask))
        status = sdi_sampler_supply(&env, s, input);
    assert_int_equal(status, SDIFF_ERROR_CANCELLED);
    plain_params("k_euler_a", &noise);
    run(&env, s, SDI_PREDICT_EPSILON, result);
    sdi_sampler_free(&env, s);
    test_env_free(&env);
}

static void test_unasked_output_is_refused(void **state)
{
    sdi_env env = test_env_new();
    source noise;
    sdi_sampler_params params = plain_params("ddim", &noise);
    sdi_sampler *s = NULL;
    test_ok(&env, sdi_sampler_new(&env, &params, &s));
    float x[COUNT] = {0};
    sdi_ask ask;
    assert_false(sdi_sampler_request(s, x, &ask)); // not begun
    assert_int_equal(sdi_sampler_supply(&env, s, x), SDIFF_ERROR_INVALID_ARGUMENT);
    test_ok(&env, sdi_sampler_begin(&env, s, x));
    assert_int_equal(sdi_sampler_supply(&env, s, x), SDIFF_ERROR_INVALID_ARGUMENT);
    sdi_sampler_free(&env, s);
    test_env_free(&env);
}

static void test_brownian_paths_replace_draws_of_sde_samplers(void **state)
{
    const char *names[] = {"k_dpmpp_sde", "k_dpmpp_2m_sde", "k_dpmpp_3m_sde", "dpmpp_sde"};
    const uint64_t seeds[] = {11, 12};
    for (size_t n = 0; n < SDI_COUNT(names); n++) {
        sdi_env env = test_env_new();
        source noise;
        sdi_sampler_params params = plain_params(names[n], &noise);
        params.path_seeds = seeds;
        params.path_count = 2;
        params.noise = NULL;
        sdi_sampler *s = NULL;
        test_ok(&env, sdi_sampler_new(&env, &params, &s));
        float result[COUNT];
        run(&env, s, SDI_PREDICT_EPSILON, result);
        assert_int_equal(noise.draws, 0);
        sdi_sampler_free(&env, s);
        test_env_free(&env);
        params.path_count = 3;
        expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
        params.path_count = 0;
        expect_refusal(&params, SDIFF_ERROR_INVALID_ARGUMENT);
    }
}

static void test_zero_terminal_snr_runs_or_is_refused(void **state)
{
    const char *name;
    for (int32_t k = 0; (name = sdi_sampler_name_at(k)) != NULL; k++)
        for (int prediction = 0; prediction <= SDI_PREDICT_V; prediction++) {
            sdi_env env = test_env_new();
            source noise;
            sdi_sampler_params params = plain_params(name, &noise);
            params.config.zero_terminal_snr = 1;
            params.config.spacing = SDI_SPACING_TRAILING;
            params.config.prediction = (sdi_prediction)prediction;
            sdi_sampler *s = NULL;
            const sdiff_status status = sdi_sampler_new(&env, &params, &s);
            if (status != SDIFF_OK) {
                assert_int_equal(status, SDIFF_ERROR_UNSUPPORTED);
                assert_true(prediction == SDI_PREDICT_EPSILON || strcmp(name, "pndm") == 0 ||
                            strcmp(name, "plms") == 0);
            } else {
                float x[COUNT] = {1, -1}, input[COUNT], output[COUNT];
                sdi_ask ask;
                test_ok(&env, sdi_sampler_begin(&env, s, x));
                while (sdi_sampler_request(s, input, &ask)) {
                    memset(output, 0, sizeof output);
                    test_ok(&env, sdi_sampler_supply(&env, s, output));
                }
                for (int i = 0; i < COUNT; i++)
                    assert_true(isfinite(sdi_sampler_latents(s)[i]));
            }
            sdi_sampler_free(&env, s);
            test_env_free(&env);
        }
}

static void test_clip_sample_bounds_the_prediction(void **state)
{
    const char *names[] = {"ddim", "ddpm", "heun", "lcm"};
    for (size_t n = 0; n < SDI_COUNT(names); n++) {
        sdi_env env = test_env_new();
        source noise;
        sdi_sampler_params params = plain_params(names[n], &noise);
        params.config.clip_sample = 1;
        params.config.clip_sample_range = 0.25;
        sdi_sampler *s = NULL;
        test_ok(&env, sdi_sampler_new(&env, &params, &s));
        float result[COUNT];
        run(&env, s, SDI_PREDICT_EPSILON, result);
        for (int i = 0; i < COUNT; i++)
            assert_true(sdi_sampler_predicted_x0(s)[i] == 0.25f);
        sdi_sampler_free(&env, s);
        test_env_free(&env);
    }
}

static void test_running_out_of_memory_frees_everything(void **state)
{
    const char *name;
    const uint64_t seeds[] = {1};
    for (int32_t k = 0; (name = sdi_sampler_name_at(k)) != NULL; k++)
        for (uint64_t n = 1; n < 40; n++) {
            const sdi_mem_params mem = {.fail_at = n};
            sdi_env env = test_env_with(&mem);
            source noise;
            sdi_sampler_params params = plain_params(name, &noise);
            params.steps = 40;
            params.path_seeds = seeds;
            params.path_count = 1;
            sdi_sampler *s = NULL;
            const sdiff_status status = sdi_sampler_new(&env, &params, &s);
            sdi_sampler_free(&env, s);
            test_env_free(&env);
            if (status == SDIFF_OK)
                break;
            assert_int_equal(status, SDIFF_ERROR_NO_MEMORY);
            assert_true(n < 39);
        }
}

static void test_memory_limit_is_kept(void **state)
{
    const sdi_mem_params mem = {.limit = 1 << 20};
    sdi_env env = test_env_with(&mem);
    source noise;
    sdi_sampler_params params = plain_params("dpmpp_2m", &noise);
    params.count = 1 << 20;
    sdi_sampler *s = NULL;
    assert_int_equal(sdi_sampler_new(&env, &params, &s), SDIFF_ERROR_NO_MEMORY);
    assert_null(s);
    test_env_free(&env);
}

static void test_names_are_unique(void **state)
{
    const char *a, *b;
    for (int32_t i = 0; (a = sdi_sampler_name_at(i)) != NULL; i++)
        for (int32_t j = 0; j < i && (b = sdi_sampler_name_at(j)) != NULL; j++)
            assert_string_not_equal(a, b);
    assert_null(sdi_sampler_name_at(-1));
    assert_null(sdi_sampler_schedule_at(-1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_sampler_finds_what_a_perfect_network_knows),
        cmocka_unit_test(test_as_many_steps_as_announced),
        cmocka_unit_test(test_every_schedule_works_or_is_refused_with_a_sentence),
        cmocka_unit_test(test_hostile_parameters_are_refused_by_every_sampler),
        cmocka_unit_test(test_custom_sigmas_must_fall),
        cmocka_unit_test(test_custom_sigmas_are_the_levels_of_the_run),
        cmocka_unit_test(test_strength_runs_the_last_part),
        cmocka_unit_test(test_added_noise_has_the_level_of_the_step),
        cmocka_unit_test(test_draws_follow_the_documented_rule),
        cmocka_unit_test(test_noise_is_needed_only_where_it_counts),
        cmocka_unit_test(test_failing_noise_ends_the_call_and_leaves_the_sampler_usable),
        cmocka_unit_test(test_unasked_output_is_refused),
        cmocka_unit_test(test_brownian_paths_replace_draws_of_sde_samplers),
        cmocka_unit_test(test_zero_terminal_snr_runs_or_is_refused),
        cmocka_unit_test(test_clip_sample_bounds_the_prediction),
        cmocka_unit_test(test_running_out_of_memory_frees_everything),
        cmocka_unit_test(test_memory_limit_is_kept),
        cmocka_unit_test(test_names_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
