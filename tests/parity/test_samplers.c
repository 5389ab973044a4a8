/* SPDX-License-Identifier: MIT
 *
 * Every trajectory of fixtures/schedulers against the samplers, on the stand-in model of the
 * fixtures' README. A golden file is walked by its own keys, so that none is left out.
 */
#include "support/support.h"

#include "io/tensor_file.h"
#include "sample/sampler.h"
#include "sample/sigmas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LATENTS = 64, MAX_ROWS = 64 };

/* How a file's variant is called here. */
typedef struct variant {
    const char *prefix; // of the keys, with its dot
    const char *sampler;
    const char *schedule;
    double eta; // negative: the default
    int32_t flags;
} variant;

enum { ALPHA_TO_ONE = 1, FINAL_SIGMA_MIN = 2 };

typedef struct golden {
    const sdi_env *env;
    sdi_tensor_file *file;
} golden;

static const float *golden_find(const golden *g, const char *key, const char *what, int64_t *rows)
{
    char name[160];
    snprintf(name, sizeof name, "%s%s%s", key, *key ? "." : "", what);
    const int32_t index = sdi_tensor_file_find(g->file, name);
    if (index < 0)
        return NULL;
    const sdi_tensor_info *info = sdi_tensor_file_info(g->file, index);
    assert_int_equal(info->dtype, SDI_F32);
    *rows = info->rank > 0 ? info->shape[0] : 1;
    const void *data;
    void *owned;
    test_ok(g->env, sdi_tensor_file_data(g->env, g->file, index, &data, &owned));
    assert_null(owned);
    assert_int_equal((uintptr_t)data % sizeof(float), 0);
    return data;
}

static golden golden_open(const sdi_env *env, const char *name)
{
    char relative[128];
    snprintf(relative, sizeof relative, "fixtures/schedulers/%s.safetensors", name);
    golden g = {env, NULL};
    test_ok(env, sdi_tensor_file_open_path(env, test_shared(relative), &g.file));
    return g;
}

/* The model output that the goldens were made with; t is rounded to float there. */
static void stand_in(const float *input, double timestep, float *output)
{
    const double c = cos((double)(float)timestep / 200);
    for (int i = 0; i < LATENTS; i++)
        output[i] = (float)(0.7 * input[i] * c + 0.1 * sin(3.0 * input[i]));
}

typedef struct noise_source {
    const float *noise;
    int64_t rows, used;
} noise_source;

static sdiff_status stored_noise(void *user, int64_t draw, float *out, size_t count)
{
    noise_source *source = user;
    assert_int_equal(count, LATENTS);
    assert_int_equal(draw, source->used);
    if (source->noise) {
        assert_true(draw < source->rows);
        memcpy(out, source->noise + draw * LATENTS, sizeof(float) * LATENTS);
    }
    source->used++;
    return SDIFF_OK;
}

typedef struct worst {
    double ratio;
    char key[160];
    int cases;
} worst;

/* Largest |ours - golden| over 1e-4 * max(1, |golden|max), the tolerance of the README. */
static double compare(const float *ours, const float *theirs, int64_t count)
{
    double error = 0, max = 1;
    for (int64_t i = 0; i < count; i++) {
        const double difference = fabs((double)ours[i] - (double)theirs[i]);
        error = difference <= error ? error : difference; // a NaN must not pass
        max = fmax(max, fabs((double)theirs[i]));
    }
    return error / (1e-4 * max);
}

static void note(worst *w, double ratio, const char *key, const char *what)
{
    if (!(ratio <= w->ratio)) {
        w->ratio = ratio;
        snprintf(w->key, sizeof w->key, "%s %s", key, what);
    }
    if (!(ratio <= 1))
        fail_msg("%s.%s: %.3g times the tolerance", key, what, ratio);
}

static void check_timesteps(const sdi_env *env, const golden *g, const char *key,
                            const sdi_sampler *s, worst *w)
{
    int64_t rows = 0;
    const float *theirs = golden_find(g, key, "timesteps", &rows);
    double ours[MAX_ROWS];
    float rounded[MAX_ROWS];
    const int32_t count = sdi_sampler_timesteps(s, ours, MAX_ROWS);
    assert_int_equal(count, rows);
    assert_int_equal(count, sdi_sampler_evaluations(s));
    for (int32_t i = 0; i < count; i++)
        rounded[i] = (float)ours[i];
    note(w, compare(rounded, theirs, rows), key, "timesteps");
    const float *init = golden_find(g, key, "init_noise_sigma", &rows);
    const float ours_init = (float)sdi_sampler_init_sigma(s);
    note(w, compare(&ours_init, init, 1), key, "init_noise_sigma");
}

static void run(const sdi_env *env, const golden *g, const char *key, sdi_sampler *s,
                noise_source *source, worst *w)
{
    int64_t rows = 0;
    const float *x0 = golden_find(g, "", "x0", &rows);
    const float *trajectory = golden_find(g, key, "traj", &rows);
    float x[LATENTS], input[LATENTS], output[LATENTS];
    for (int i = 0; i < LATENTS; i++)
        x[i] = (float)(x0[i] * sdi_sampler_init_sigma(s));
    test_ok(env, sdi_sampler_begin(env, s, x));
    sdi_ask ask;
    int64_t row = 0;
    while (sdi_sampler_request(s, input, &ask)) {
        assert_true(row < rows);
        stand_in(input, ask.timestep, output);
        test_ok(env, sdi_sampler_supply(env, s, output));
        note(w, compare(sdi_sampler_latents(s), trajectory + row * LATENTS, LATENTS), key, "traj");
        row++;
    }
    assert_int_equal(row, rows);
    assert_int_equal(ask.step, ask.steps - 1);
    assert_true(sdi_sampler_stepped(s));
    if (source->noise)
        assert_int_equal(source->used, source->rows);
}

/* "v_prediction.leading.n20" behind the variant's prefix. */
static void parse_key(const char *rest, sdi_sampler_params *params)
{
    char prediction[32], spacing[32];
    int steps;
    assert_int_equal(sscanf(rest, "%31[^.].%31[^.].n%d", prediction, spacing, &steps), 3);
    params->steps = steps;
    params->config.prediction =
        strcmp(prediction, "epsilon") == 0 ? SDI_PREDICT_EPSILON : SDI_PREDICT_V;
    params->config.spacing = strcmp(spacing, "linspace") == 0   ? SDI_SPACING_LINSPACE
                             : strcmp(spacing, "trailing") == 0 ? SDI_SPACING_TRAILING
                                                                : SDI_SPACING_LEADING;
}

static void check_case(const sdi_env *env, const golden *g, const char *key, const variant *v,
                       worst *w)
{
    sdi_sampler_params params = {.name = v->sampler,
                                 .schedule = v->schedule,
                                 .strength = 1,
                                 .eta = v->eta,
                                 .count = LATENTS,
                                 .noise = stored_noise};
    sdi_schedule_config_init(&params.config);
    params.config.set_alpha_to_one = v->flags & ALPHA_TO_ONE;
    params.final_sigma_min = (v->flags & FINAL_SIGMA_MIN) != 0;
    parse_key(key + strlen(v->prefix), &params);
    noise_source source = {0};
    source.noise = golden_find(g, key, "noise", &source.rows);
    params.noise_user = &source;
    sdi_sampler *s = NULL;
    test_ok(env, sdi_sampler_new(env, &params, &s));
    check_timesteps(env, g, key, s, w);
    run(env, g, key, s, &source, w);
    sdi_sampler_free(env, s);
    w->cases++;
}

/* Longest prefix wins: the plain variant's is empty. */
static const variant *find_variant(const variant *variants, size_t count, const char *key)
{
    const variant *best = NULL;
    for (size_t i = 0; i < count; i++)
        if (strncmp(key, variants[i].prefix, strlen(variants[i].prefix)) == 0 &&
            (!best || strlen(variants[i].prefix) > strlen(best->prefix)))
            best = &variants[i];
    return best;
}

static void check_file(const char *name, const variant *variants, size_t count)
{
    sdi_env env = test_env_new();
    const golden g = golden_open(&env, name);
    worst w = {0};
    for (int32_t i = 0; i < sdi_tensor_file_count(g.file); i++) {
        char key[128];
        snprintf(key, sizeof key, "%s", sdi_tensor_file_info(g.file, i)->name);
        char *end = strstr(key, ".timesteps");
        if (!end)
            continue;
        *end = '\0';
        const variant *v = find_variant(variants, count, key);
        if (!v)
            fail_msg("%s: no variant for %s", name, key);
        check_case(&env, &g, key, v, &w);
    }
    assert_true(w.cases > 0);
    print_message("%s: %d cases, worst ratio to tolerance %.3g (%s)\n", name, w.cases, w.ratio,
                  w.key);
    sdi_tensor_file_free(&env, g.file);
    test_env_free(&env);
}

#define CHECK_FILE(name, ...)                                                                      \
    do {                                                                                           \
        static const variant variants[] = {__VA_ARGS__};                                           \
        check_file(name, variants, SDI_COUNT(variants));                                           \
    } while (0)

/* ---- k-diffusion ----------------------------------------------------------------------------- */

typedef struct k_name {
    const char *theirs, *ours;
    double s_churn;
} k_name;

static const k_name k_names[] = {
    {"euler", "k_euler", 0},
    {"euler.s_churn_5.0", "k_euler", 5},
    {"euler_ancestral", "k_euler_a", 0},
    {"heun", "k_heun", 0},
    {"dpm_2", "k_dpm2", 0},
    {"dpm_2_ancestral", "k_dpm2_a", 0},
    {"lms", "k_lms", 0},
    {"dpmpp_2s_ancestral", "k_dpmpp_2s_a", 0},
    {"dpmpp_sde", "k_dpmpp_sde", 0},
    {"dpmpp_2m", "k_dpmpp_2m", 0},
    {"dpmpp_2m_sde", "k_dpmpp_2m_sde", 0},
    {"dpmpp_2m_sde.solver_type_heun", "k_dpmpp_2m_sde_heun", 0},
    {"dpmpp_3m_sde", "k_dpmpp_3m_sde", 0},
    {"dpm_fast", "k_dpm_fast", 0},
    {"dpm_adaptive", "k_dpm_adaptive", 0},
};

/* "n10.karras.heun" or "n10.dpm_fast" (schedule "normal" then). */
static const k_name *parse_k_key(const char *key, sdi_sampler_params *params, char *sigmas_key)
{
    int steps;
    assert_int_equal(sscanf(key, "n%d.", &steps), 1);
    params->steps = steps;
    const char *rest = strchr(key, '.') + 1;
    static const char *const schedules[][2] = {
        {"normal.", NULL}, {"karras.", "karras"}, {"exponential.", "exponential"}};
    *sigmas_key = '\0';
    for (size_t i = 0; i < SDI_COUNT(schedules); i++) {
        const size_t length = strlen(schedules[i][0]);
        if (strncmp(rest, schedules[i][0], length) != 0)
            continue;
        params->schedule = schedules[i][1];
        rest += length;
        snprintf(sigmas_key, 64, "%.*s", (int)(rest - key - 1), key);
    }
    for (size_t i = 0; i < SDI_COUNT(k_names); i++)
        if (strcmp(rest, k_names[i].theirs) == 0)
            return &k_names[i];
    fail_msg("no sampler for %s", key);
    return NULL;
}

/* The state and level at the start of each step, then the result. */
static void run_k(const sdi_env *env, const golden *g, const char *key, const char *sigmas_key,
                  sdi_sampler *s, worst *w)
{
    int64_t rows = 0, sigma_count = 0;
    const float *x0 = golden_find(g, "", "x0", &rows);
    const float *trajectory = golden_find(g, key, "traj_x", &rows);
    const float *sigmas = *sigmas_key ? golden_find(g, sigmas_key, "sigmas", &sigma_count) : NULL;
    float x[LATENTS], input[LATENTS], output[LATENTS];
    for (int i = 0; i < LATENTS; i++)
        x[i] = (float)(x0[i] * sdi_sampler_init_sigma(s));
    test_ok(env, sdi_sampler_begin(env, s, x));
    sdi_ask ask;
    int32_t seen = 0;
    while (sdi_sampler_request(s, input, &ask)) {
        if (ask.step == seen) {
            if (trajectory)
                note(w,
                     compare(sdi_sampler_latents(s), trajectory + (int64_t)seen * LATENTS, LATENTS),
                     key, "traj_x");
            const float sigma = (float)ask.sigma;
            if (sigmas && !strstr(key, "s_churn"))
                note(w, compare(&sigma, sigmas + seen, 1), key, "sigmas");
            seen++;
        }
        stand_in(input, ask.timestep, output);
        test_ok(env, sdi_sampler_supply(env, s, output));
    }
    assert_true(!trajectory || seen == rows);
    assert_true(sdi_sampler_stepped(s));
    note(w, compare(sdi_sampler_latents(s), golden_find(g, key, "out", &rows), LATENTS), key,
         "out");
}

static void check_k_case(const sdi_env *env, const golden *g, const char *key,
                         sdi_prediction prediction, worst *w)
{
    char sigmas_key[64], noise_key[32];
    sdi_sampler_params params = {.strength = 1, .eta = -1, .count = LATENTS, .noise = stored_noise};
    const k_name *name = parse_k_key(key, &params, sigmas_key);
    sdi_schedule_config_init(&params.config);
    params.config.prediction = prediction;
    params.name = name->ours;
    params.s_churn = name->s_churn;
    // the golden's last step, from sigma 0.029, was not churned: its s_tmin lay between that and
    // the level before, 0.37
    params.s_tmin = name->s_churn > 0 ? 0.05 : 0;
    noise_source source = {0};
    source.noise = golden_find(g, key, "noise", &source.rows);
    snprintf(noise_key, sizeof noise_key, "n%d", params.steps);
    if (!source.noise)
        source.noise = golden_find(g, noise_key, "noise", &source.rows);
    params.noise_user = &source;
    sdi_sampler *s = NULL;
    test_ok(env, sdi_sampler_new(env, &params, &s));
    run_k(env, g, key, sigmas_key, s, w);
    sdi_sampler_free(env, s);
    w->cases++;
}

static void check_k_file(const char *name, sdi_prediction prediction)
{
    sdi_env env = test_env_new();
    const golden g = golden_open(&env, name);
    worst w = {0};
    for (int32_t i = 0; i < sdi_tensor_file_count(g.file); i++) {
        char key[128];
        snprintf(key, sizeof key, "%s", sdi_tensor_file_info(g.file, i)->name);
        char *end = strstr(key, ".out");
        if (!end)
            continue;
        *end = '\0';
        check_k_case(&env, &g, key, prediction, &w);
    }
    assert_true(w.cases > 0);
    print_message("%s: %d cases, worst ratio to tolerance %.3g (%s)\n", name, w.cases, w.ratio,
                  w.key);
    sdi_tensor_file_free(&env, g.file);
    test_env_free(&env);
}

static void test_k_samplers_follow_k_diffusion_with_epsilon(void **state)
{
    check_k_file("kdiffusion_epsilon", SDI_PREDICT_EPSILON);
}

static void test_k_samplers_follow_k_diffusion_with_v(void **state)
{
    check_k_file("kdiffusion_v_prediction", SDI_PREDICT_V);
}

/* ---- diffusers ------------------------------------------------------------------------------- */

static void test_ddim_follows_diffusers(void **state)
{
    CHECK_FILE("ddim", {"eta0.", "ddim", NULL, 0, 0}, {"eta1.", "ddim", NULL, 1, 0},
               {"eta0_alpha1.", "ddim", NULL, 0, ALPHA_TO_ONE});
}

static void test_euler_follows_diffusers(void **state)
{
    CHECK_FILE("euler", {"", "euler", NULL, -1, 0}, {"karras.", "euler", "karras", -1, 0});
}

static void test_euler_ancestral_follows_diffusers(void **state)
{
    CHECK_FILE("euler_ancestral", {"", "euler_a", NULL, -1, 0});
}

static void test_dpmpp_2m_follows_diffusers(void **state)
{
    CHECK_FILE("dpmpp_2m", {"", "dpmpp_2m", NULL, -1, 0}, {"karras.", "dpmpp_2m", "karras", -1, 0},
               {"sde.", "dpmpp_2m_sde", NULL, -1, 0},
               {"sde_karras.", "dpmpp_2m_sde", "karras", -1, 0},
               {"dpmsolver.", "dpm_solver_2m", NULL, -1, 0}, {"order3.", "dpmpp_3m", NULL, -1, 0},
               {"heun.", "dpmpp_2m_heun", NULL, -1, 0});
}

static void test_ddpm_follows_diffusers(void **state)
{
    CHECK_FILE("ddpm", {"", "ddpm", NULL, -1, 0});
}

static void test_pndm_follows_diffusers(void **state)
{
    CHECK_FILE("pndm", {"", "pndm", NULL, -1, 0});
}

static void test_lcm_follows_diffusers(void **state)
{
    CHECK_FILE("lcm", {"", "lcm", NULL, -1, ALPHA_TO_ONE});
}

static void test_heun_follows_diffusers(void **state)
{
    CHECK_FILE("heun", {"", "heun", NULL, -1, 0}, {"karras.", "heun", "karras", -1, 0});
}

static void test_dpm2_follows_diffusers(void **state)
{
    CHECK_FILE("kdpm2", {"", "dpm2", NULL, -1, 0}, {"karras.", "dpm2", "karras", -1, 0});
}

static void test_dpm2_ancestral_follows_diffusers(void **state)
{
    CHECK_FILE("kdpm2_ancestral", {"", "dpm2_a", NULL, -1, 0});
}

static void test_lms_follows_diffusers(void **state)
{
    CHECK_FILE("lms", {"", "lms", NULL, -1, 0}, {"karras.", "lms", "karras", -1, 0});
}

static void test_dpmpp_2s_follows_diffusers(void **state)
{
    CHECK_FILE("dpmpp_2s", {"lof.", "dpmpp_2s", NULL, -1, 0},
               {"lof_karras.", "dpmpp_2s", "karras", -1, 0},
               {"sigma_min.", "dpmpp_2s", NULL, -1, FINAL_SIGMA_MIN},
               {"sigma_min_order3.", "dpmpp_3s", NULL, -1, FINAL_SIGMA_MIN});
}

static void test_deis_follows_diffusers(void **state)
{
    CHECK_FILE("deis", {"", "deis", NULL, -1, 0}, {"order3.", "deis_3", NULL, -1, 0});
}

static void test_unipc_follows_diffusers(void **state)
{
    CHECK_FILE("unipc", {"", "unipc", NULL, -1, 0}, {"karras.", "unipc", "karras", -1, 0},
               {"order3.", "unipc_3", NULL, -1, 0}, {"bh1.", "unipc_bh1", NULL, -1, 0});
}

/* ---- timesteps of diffusers' pipelines ------------------------------------------------------- */

typedef struct pipeline {
    const char *file, *sampler, *schedule;
    int32_t steps;
    double strength;
} pipeline;

/* The part of the timesteps that a strength leaves, and the start noise of the whole. */
static void test_pipelines_visit_diffusers_timesteps(void **state)
{
    static const pipeline pipelines[] = {
        {"tiny-sd1/golden/txt2img_ddim_g7.5", "ddim", NULL, 6, 1},
        {"tiny-sd1/golden/txt2img_euler_neg_g7.5", "euler", NULL, 6, 1},
        {"tiny-sd1/golden/txt2img_pndm_g7.5", "plms", NULL, 6, 1},
        {"tiny-sd1/golden/txt2img_dpmpp2m_karras_g7.5", "dpmpp_2m", "karras", 6, 1},
        {"tiny-sd1/golden/img2img_ddim_s0.05", "ddim", NULL, 20, 0.05},
        {"tiny-sd1/golden/img2img_ddim_s0.5", "ddim", NULL, 6, 0.5},
        {"tiny-sd1/golden/img2img_euler_s0.5", "euler", NULL, 6, 0.5},
        {"tiny-sd1/golden/img2img_pndm_s0.5", "pndm", NULL, 6, 0.5},
        {"tiny-sd1/golden/img2img_pndm_s1.0", "pndm", NULL, 6, 1},
        {"tiny-sd1/golden/inpaint4_ddim_s0.6", "ddim", NULL, 6, 0.6},
        {"tiny-depth/golden/depth2img_ddim_s0.8", "ddim", NULL, 6, 0.8},
        {"tiny-depth/golden/depth2img_pndm_s0.5", "pndm", NULL, 6, 0.5},
    };
    worst w = {0};
    for (size_t p = 0; p < SDI_COUNT(pipelines); p++) {
        sdi_env env = test_env_new();
        char relative[128];
        snprintf(relative, sizeof relative, "fixtures/%s.safetensors", pipelines[p].file);
        golden g = {&env, NULL};
        test_ok(&env, sdi_tensor_file_open_path(&env, test_shared(relative), &g.file));
        sdi_sampler_params params = {.name = pipelines[p].sampler,
                                     .schedule = pipelines[p].schedule,
                                     .steps = pipelines[p].steps,
                                     .strength = pipelines[p].strength,
                                     .eta = -1,
                                     .count = LATENTS};
        sdi_schedule_config_init(&params.config);
        sdi_sampler *s = NULL;
        test_ok(&env, sdi_sampler_new(&env, &params, &s));
        check_timesteps(&env, &g, "", s, &w);
        sdi_sampler_free(&env, s);
        sdi_tensor_file_free(&env, g.file);
        test_env_free(&env);
    }
    print_message("pipelines: worst ratio to tolerance %.3g\n", w.ratio);
}

/* ---- forward diffusion ----------------------------------------------------------------------- */

enum { FORWARD_LATENTS = 4 * 8 * 8 };

static sdi_sampler *forward_sampler(const sdi_env *env, const char *name, int32_t steps,
                                    sdi_prediction prediction, double strength)
{
    sdi_sampler_params params = {
        .name = name, .steps = steps, .strength = strength, .eta = -1, .count = FORWARD_LATENTS};
    sdi_schedule_config_init(&params.config);
    params.config.prediction = prediction;
    if (steps == 1000)
        params.config.spacing = SDI_SPACING_TRAILING; // every timestep
    sdi_sampler *s = NULL;
    test_ok(env, sdi_sampler_new(env, &params, &s));
    return s;
}

/* README: within 1e-6 of the greatest value, where compare() allows 1e-4. */
static void note_forward(worst *w, const float *ours, const float *theirs, const char *what)
{
    note(w, 100 * compare(ours, theirs, FORWARD_LATENTS), "forward", what);
}

static void check_noising(const golden *g, int64_t item, int64_t t, worst *w)
{
    const char *const outputs[] = {"noise", "velocity"}, *const x0s[] = {"x0_from_eps",
                                                                         "x0_from_v"};
    const int64_t at = item * FORWARD_LATENTS;
    int64_t rows;
    for (int prediction = 0; prediction < 2; prediction++) {
        // the run that has t + 1 steps left starts at timestep t
        sdi_sampler *s = forward_sampler(g->env, "ddim", 1000, (sdi_prediction)prediction,
                                         fmin((double)(t + 1) / 1000 + 1e-9, 1));
        float x[FORWARD_LATENTS];
        sdi_sampler_add_noise(s, 0, golden_find(g, "", "x0", &rows) + at,
                              golden_find(g, "", "noise", &rows) + at, x);
        note_forward(w, x, golden_find(g, "", "noisy", &rows) + at, "noisy");
        test_ok(g->env, sdi_sampler_begin(g->env, s, x));
        sdi_ask ask;
        assert_true(sdi_sampler_request(s, x, &ask));
        assert_true(ask.timestep == (double)t);
        test_ok(g->env,
                sdi_sampler_supply(g->env, s, golden_find(g, "", outputs[prediction], &rows) + at));
        // the division by sqrt(alphas_cumprod) magnifies float rounding of x and of the golden
        const float *theirs = golden_find(g, "", x0s[prediction], &rows) + at;
        const double magnified = prediction == 0 ? 1e-2 * sqrt(1 + ask.sigma * ask.sigma) : 1e-2;
        note(w, compare(sdi_sampler_predicted_x0(s), theirs, FORWARD_LATENTS) / magnified,
             "forward", x0s[prediction]);
        sdi_sampler_free(g->env, s);
    }
}

static void test_noise_is_added_as_in_the_goldens(void **state)
{
    sdi_env env = test_env_new();
    const golden g = golden_open(&env, "forward");
    worst w = {0};
    int64_t rows;
    const void *data;
    void *owned;
    test_ok(&env, sdi_tensor_file_data(&env, g.file, sdi_tensor_file_find(g.file, "timesteps"),
                                       &data, &owned));
    for (int64_t item = 0; item < 8; item++) {
        int64_t t;
        memcpy(&t, (const char *)data + 8 * item, sizeof t);
        check_noising(&g, item, t, &w);
    }
    sdi_free(&env, owned);

    sdi_sampler *s = forward_sampler(&env, "euler", 20, SDI_PREDICT_EPSILON, 1);
    const float *used = golden_find(&g, "euler", "timesteps_used", &rows);
    for (int64_t item = 0; item < rows; item++) {
        double timesteps[20];
        assert_int_equal(sdi_sampler_timesteps(s, timesteps, 20), 20);
        int32_t step = 0;
        while (step < 20 && timesteps[step] != (double)used[item])
            step++;
        assert_true(step < 20);
        int64_t ignored;
        const int64_t at = item * FORWARD_LATENTS;
        float x[FORWARD_LATENTS];
        sdi_sampler_add_noise(s, step, golden_find(&g, "", "x0", &ignored) + at,
                              golden_find(&g, "", "noise", &ignored) + at, x);
        note_forward(&w, x, golden_find(&g, "euler", "noisy", &ignored) + at, "euler.noisy");
    }
    sdi_sampler_free(&env, s);
    print_message("forward: worst ratio to tolerance %.3g (%s)\n", w.ratio, w.key);
    sdi_tensor_file_free(&env, g.file);
    test_env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_k_samplers_follow_k_diffusion_with_epsilon),
        cmocka_unit_test(test_k_samplers_follow_k_diffusion_with_v),
        cmocka_unit_test(test_ddim_follows_diffusers),
        cmocka_unit_test(test_euler_follows_diffusers),
        cmocka_unit_test(test_euler_ancestral_follows_diffusers),
        cmocka_unit_test(test_dpmpp_2m_follows_diffusers),
        cmocka_unit_test(test_ddpm_follows_diffusers),
        cmocka_unit_test(test_pndm_follows_diffusers),
        cmocka_unit_test(test_lcm_follows_diffusers),
        cmocka_unit_test(test_heun_follows_diffusers),
        cmocka_unit_test(test_dpm2_follows_diffusers),
        cmocka_unit_test(test_dpm2_ancestral_follows_diffusers),
        cmocka_unit_test(test_lms_follows_diffusers),
        cmocka_unit_test(test_dpmpp_2s_follows_diffusers),
        cmocka_unit_test(test_deis_follows_diffusers),
        cmocka_unit_test(test_unipc_follows_diffusers),
        cmocka_unit_test(test_noise_is_added_as_in_the_goldens),
        cmocka_unit_test(test_pipelines_visit_diffusers_timesteps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
