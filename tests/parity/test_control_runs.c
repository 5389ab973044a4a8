/* SPDX-License-Identifier: MIT
 *
 * ControlNets through files and whole runs: diffusers' pipelines by way of the public API, the
 * original's residuals, predictions and DDIM runs by way of the loop.
 */
#include "golden_run.h"
#include "models.h"
#include "net/unet.h"
#include "parity.h"
#include "pipeline/control.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LDM "fixtures-ldm/"

/* ---- diffusers ------------------------------------------------------------------------------- */

typedef struct run_case {
    const char *golden, *sampler;
    int64_t seed;
    double latents; // tolerance
    double weight, start, end;
} run_case;

static const run_case cases[] = {
    {"pipe_ddim_scale0.5", "ddim", 411, 8e-4, 0.5, 0, 1},
    {"pipe_ddim_scale1.0", "ddim", 410, 8e-4, 1, 0, 1},
    {"pipe_euler_scale1.0_0.2to0.7", "euler", 412, 9e-4, 1, 0.2, 0.7},
};

static sdiff_controlnet *open_control(golden_run *r, const char *path)
{
    sdiff_model_params params;
    sdiff_controlnet *control = NULL;
    sdiff_model_params_init(&params, sizeof params);
    params.compute = SDIFF_COMPUTE_F32;
    if (sdiff_controlnet_open(r->context, test_shared(path), &params, &control) != SDIFF_OK)
        fail_msg("%s", sdiff_context_error(r->context));
    return control;
}

static void add_control(golden_run *r, const char *path, const float *hint, const int64_t *shape,
                        double weight, double start, double end)
{
    sdiff_control_params params;
    sdiff_controlnet *control = open_control(r, path);
    sdiff_control_params_init(&params, sizeof params);
    params.hint = hint;
    params.height = (int32_t)shape[2];
    params.width = (int32_t)shape[3];
    params.weight = weight;
    params.start = start;
    params.end = end;
    if (sdiff_pipeline_add_control(r->pipeline, control, &params) != SDIFF_OK)
        fail_msg("%s", sdiff_pipeline_error(r->pipeline));
    sdiff_controlnet_free(control); // the pipeline keeps what it needs
}

static void check_case(const run_case *c, int halves)
{
    golden_run r;
    parity p;
    char golden[128];
    int64_t shape[4];
    snprintf(golden, sizeof golden, "fixtures/tiny-controlnet/golden/%s.safetensors", c->golden);
    parity_open(&p, golden);
    golden_open(&r, &p, "fixtures/tiny-sd1");
    float *hint = parity_golden(&p, "in.image", shape);
    for (int i = 0; i < 1 + halves; i++)
        add_control(&r, "fixtures/tiny-controlnet", hint, shape, c->weight / (1 + halves),
                    c->start, c->end);
    r.request.prompt = "a bird on a branch";
    r.request.negative_prompt = "low quality";
    r.request.sampler = c->sampler;
    r.request.steps = 6;
    r.request.seed = c->seed;
    r.latent_tolerance = c->latents;
    r.image_tolerance = 2e-4;
    golden_check(&r);
    r.from_seed = 1;
    golden_check(&r);
    golden_close(&r);
    free(hint);
    parity_close(&p);
}

static void test_pipelines_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < SDI_COUNT(cases); i++)
        check_case(&cases[i], 0);
}

/* Two with half the weight are as one with all of it. */
static void test_several_are_summed(void **state)
{
    (void)state;
    check_case(&cases[1], 1);
}

/* Cleared, of weight 0 or never heard: the bits of a run without. */
static void test_silent_controls_change_nothing(void **state)
{
    golden_run r;
    parity p;
    const size_t count = 4 * 8 * 8;
    int64_t shape[4];
    float plain[4 * 8 * 8], latents[4 * 8 * 8];
    (void)state;
    parity_open(&p, "fixtures/tiny-controlnet/golden/pipe_ddim_scale1.0.safetensors");
    golden_open(&r, &p, "fixtures/tiny-sd1");
    float *hint = parity_golden(&p, "in.image", shape);
    r.request.steps = 3;
    golden_generate(&r);
    sdiff_pipeline_result(r.pipeline, 0, plain, NULL);
    add_control(&r, "fixtures/tiny-controlnet", hint, shape, 0, 0, 1);
    add_control(&r, "fixtures/tiny-controlnet", hint, shape, 1, 0.5, 0.5);
    assert_int_equal(sdiff_pipeline_control_count(r.pipeline), 2);
    golden_generate(&r);
    sdiff_pipeline_result(r.pipeline, 0, latents, NULL);
    for (size_t i = 0; i < count; i++)
        assert_true(latents[i] == plain[i]);
    add_control(&r, "fixtures/tiny-controlnet", hint, shape, 1, 0, 1);
    golden_generate(&r);
    sdiff_pipeline_result(r.pipeline, 0, latents, NULL);
    assert_int_not_equal(memcmp(latents, plain, sizeof plain), 0);
    sdiff_pipeline_clear_controls(r.pipeline);
    assert_int_equal(sdiff_pipeline_control_count(r.pipeline), 0);
    golden_generate(&r);
    sdiff_pipeline_result(r.pipeline, 0, latents, NULL);
    assert_memory_equal(latents, plain, sizeof plain);
    p.worst = 1e-9; // the golden file gave its hint only
    free(hint);
    golden_close(&r);
    parity_close(&p);
}

/* ---- what does not fit ----------------------------------------------------------------------- */

static void check_refused(golden_run *r, const sdiff_controlnet *control,
                          const sdiff_control_params *params, sdiff_status expected,
                          const char *word, const char *other)
{
    const sdiff_status status = sdiff_pipeline_add_control(r->pipeline, control, params);
    const char *text = sdiff_pipeline_error(r->pipeline);
    if (status != expected || !strstr(text, word) || !strstr(text, other))
        fail_msg("status %d, '%s' was to speak of '%s' and '%s'", (int)status, text, word, other);
    assert_int_equal(sdiff_pipeline_control_count(r->pipeline), 0);
}

static void test_what_does_not_fit_is_refused_with_both_numbers(void **state)
{
    golden_run r;
    sdiff_control_params params;
    float hint[3 * 8 * 8] = {0}, bad[3 * 8 * 8] = {2};
    sdiff_controlnet *other = NULL;
    (void)state;
    golden_open_model(&r, "fixtures/tiny-sd1");
    sdiff_control_params_init(&params, sizeof params);
    params.hint = hint;
    params.width = params.height = 8;
    sdiff_controlnet *ldm = open_control(&r, LDM "controlnet.fp16.pth");
    sdiff_controlnet *own = open_control(&r, "fixtures/tiny-controlnet");
    check_refused(&r, ldm, &params, SDIFF_ERROR_MISMATCH, "48", "32"); // widths of the prompt
    params.hint = NULL;
    check_refused(&r, own, &params, SDIFF_ERROR_INVALID_ARGUMENT, "hint", "");
    params.hint = bad;
    check_refused(&r, own, &params, SDIFF_ERROR_INVALID_ARGUMENT, "2", "0 to 1");
    params.hint = hint;
    params.weight = NAN;
    check_refused(&r, own, &params, SDIFF_ERROR_INVALID_ARGUMENT, "weight", "");
    params.weight = 1;
    params.start = 0.8;
    params.end = 0.3;
    check_refused(&r, own, &params, SDIFF_ERROR_INVALID_ARGUMENT, "0.8", "0.3");
    params.start = 0;
    params.width = 0;
    check_refused(&r, own, &params, SDIFF_ERROR_INVALID_ARGUMENT, "0 x 8", "");
    assert_int_equal(
        sdiff_controlnet_open(r.context, test_shared("fixtures/tiny-sd1"), NULL, &other),
        SDIFF_ERROR_UNSUPPORTED);
    assert_null(other);
    assert_non_null(strstr(sdiff_context_error(r.context), "ControlNet"));
    sdiff_controlnet_free(ldm);
    sdiff_controlnet_free(own);
    golden_close(&r);
}

/* Residuals of a ControlNet with two layers a level, in a U-Net that has one: its first
 * ones fit. */
static void test_residuals_without_a_place_are_refused(void **state)
{
    static const struct {
        const char *name;
        int64_t shape[4];
    } given[] = {{"sample", {1, 4, 8, 8}},
                 {"mid_residual", {1, 64, 1, 1}},
                 {"down_residual.8", {1, 64, 2, 2}}};
    static const int64_t one[1] = {1}, text[3] = {1, 77, 32}, wide[4] = {1, 32, 8, 8};
    const float timestep = 1;
    sdiff_tensors *out = NULL;
    (void)state;
    sdiff_context *context = models_context();
    sdiff_model *model = models_open(context, test_shared("fixtures/tiny-sd2"));
    sdiff_tensors *in = models_tensors(context);
    for (size_t i = 0; i < SDI_COUNT(given); i++)
        models_random(in, given[i].name, 4, given[i].shape, 1);
    models_random(in, "context", 3, text, 1);
    assert_int_equal(sdiff_tensors_set(in, "timestep", SDIFF_DTYPE_F32, 1, one, &timestep),
                     SDIFF_OK);
    for (int32_t i = 0; i < 8; i++) {
        char name[32];
        static const int32_t widths[8] = {32, 32, 32, 32, 32, 32, 32, 64};
        static const int32_t sides[8] = {8, 8, 4, 4, 2, 2, 1, 1};
        const int64_t shape[4] = {1, widths[i], sides[i], sides[i]};
        snprintf(name, sizeof name, "down_residual.%d", (int)i);
        models_random(in, name, 4, shape, 1);
    }
    models_ok(model, sdiff_tensors_new(context, &out));
    assert_int_equal(sdiff_model_run(model, "unet", in, NULL, out), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(sdiff_model_error(model), "down_residual.8"));
    sdiff_tensors_free(in);
    in = models_tensors(context);
    models_random(in, "sample", 4, given[0].shape, 1);
    models_random(in, "context", 3, text, 1);
    models_random(in, "down_residual.0", 4, wide, 1);
    assert_int_equal(sdiff_tensors_set(in, "timestep", SDIFF_DTYPE_F32, 1, one, &timestep),
                     SDIFF_OK);
    assert_int_equal(sdiff_model_run(model, "unet", in, NULL, out), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(sdiff_model_error(model), "down_residual.1"));
    sdiff_tensors_free(in);
    sdiff_tensors_free(out);
    sdiff_model_free(model);
    sdiff_context_free(context);
}

/* ---- the original ---------------------------------------------------------------------------- */

typedef struct bench {
    parity p;
    sdi_session session;
    sdi_model *control;
    sdi_conditioning conditioning;
    sdi_stage stages[2];
    sdi_side sides[2];
    sdiff_generate_params request;
    sdi_controls controls;
    float *hint;
    int64_t hint_shape[4];
} bench;

static sdi_model *open_model(parity *p, const char *path)
{
    sdi_model *model = NULL;
    const sdi_model_source source = {.path = test_shared(path)};
    const sdi_model_options options = {.kernels[SDI_PART_UNET] = &p->kernels, .pool = p->pool};
    test_ok(&p->env, sdi_model_open(&p->env, &source, &options, &model));
    assert_int_equal(sdi_model_surplus_count(model), 0);
    return model;
}

/* Of the golden's ids: row 0 is the empty prompt, row 1 the prompt. */
static void take_contexts(bench *b)
{
    const int32_t width = sdi_model_get_config(b->session.model)->clip.hidden_size;
    int32_t *ids = parity_golden_ids(&b->p, "ids", NULL);
    float *contexts = malloc(2 * 77 * (size_t)width * sizeof *contexts);
    sdi_plan *plan = NULL;
    test_ok(&b->p.env, sdi_text_plan(&b->session, 2, 0, 0, &plan));
    test_ok(&b->p.env, sdi_session_reserve(&b->session));
    test_ok(&b->p.env, sdi_text_run(&b->session, 0, ids, 2, NULL, 0, contexts));
    free(ids);
    for (int32_t i = 0; i < 2; i++) {
        b->stages[i] = (sdi_stage){INT32_MAX, i};
        b->sides[i] = (sdi_side){1, &b->stages[i], 1};
    }
    b->conditioning = (sdi_conditioning){.session = &b->session, .text_count = 2,
                                         .sides = b->sides, .side_count = 2,
                                         .tokens = 77, .width = width,
                                         .contexts = contexts};
}

static void open_models(bench *b, const char *golden, const char *model, const char *control)
{
    memset(b, 0, sizeof *b);
    parity_open(&b->p, golden);
    sdi_model *base = open_model(&b->p, model);
    b->control = open_model(&b->p, control);
    sdi_session_init(&b->session, &b->p.env, base, b->p.pool);
    sdi_model_unref(base);
    b->session.controls = &b->controls;
    b->request.sampler = "ddim";
    b->request.schedule = "default";
    b->request.steps = 5;
}

static void open_bench(bench *b)
{
    open_models(b, LDM "controlnet.fp16.golden.safetensors", LDM "sd1-tiny.fp16.safetensors",
                LDM "controlnet.fp16.pth");
    b->hint = parity_golden(&b->p, "hint", b->hint_shape);
    take_contexts(b);
    b->request.cfg_scale = 4;
}

static void close_bench(bench *b)
{
    free(b->conditioning.contexts);
    free(b->hint);
    sdi_controls_clear(&b->session, &b->controls);
    sdi_model_unref(b->control);
    sdi_session_free(&b->session);
    parity_close(&b->p);
}

static void add(bench *b, double weight, int32_t guess)
{
    const sdi_control_params params = {.hint = b->hint, .height = b->hint_shape[2],
                                       .width = b->hint_shape[3], .weight = weight, .end = 1,
                                       .guess = guess};
    sdi_controls_clear(&b->session, &b->controls);
    test_ok(&b->p.env, sdi_controls_add(&b->session, &b->controls, b->control, &params));
}

static void check_run(bench *b, const char *golden)
{
    int64_t shape[4];
    sdi_denoiser d;
    sdi_noise noise;
    sdi_sampler *sampler = NULL;
    const sdi_schedule_config schedule = sdi_model_get_config(b->session.model)->schedule;
    float *x = parity_golden(&b->p, "x_T", shape);
    test_ok(&b->p.env, sdi_denoiser_init(&d, &b->session, &b->request, &schedule,
                                         &b->conditioning, shape[2], shape[3], 0));
    test_ok(&b->p.env, sdi_session_reserve(&b->session));
    test_ok(&b->p.env, sdi_denoiser_allocate(&d));
    sdi_noise_init(&noise, &b->p.env, &b->request, 0);
    test_ok(&b->p.env, sdi_denoiser_sampler(&d, &noise, &sampler));
    memcpy(d.latents, x, (size_t)sdi_denoiser_count(&d) * sizeof *x);
    test_ok(&b->p.env, sdi_denoise(&d, sampler, 0));
    parity_check_l2(&b->p, golden, d.latents, 2e-4);
    sdi_sampler_free(&b->p.env, sampler);
    sdi_denoiser_free(&d);
    free(x);
}

static void test_runs_of_the_original_agree(void **state)
{
    bench b;
    (void)state;
    open_bench(&b);
    add(&b, 1, 0);
    check_run(&b, "ddim.z0");
    add(&b, 1, 1);
    check_run(&b, "ddim_guess.z0");
    close_bench(&b);
}

/* ---- guess mode of diffusers ----------------------------------------------------------------- */

/* The guided noise of the first evaluation, at timestep 401; then the run is to end. */
static int take_noise(void *user, const sdiff_guide *guide)
{
    assert_true(guide->timestep == 401);
    memcpy(user, guide->noise, 4 * 8 * 8 * sizeof(float));
    return 1;
}

/* Of the golden batch's first row: x is the sample, the last three of five steps are to be run. */
static void evaluate_first(bench *b, float *noise)
{
    sdi_denoiser d;
    sdi_noise draws;
    sdi_progress progress = {0};
    sdi_sampler *sampler = NULL;
    const sdi_schedule_config schedule = sdi_model_get_config(b->session.model)->schedule;
    float *x = parity_golden(&b->p, "sample", NULL);
    b->request.guide = take_noise;
    b->request.guide_user = noise;
    test_ok(&b->p.env, sdi_denoiser_init(&d, &b->session, &b->request, &schedule,
                                         &b->conditioning, 8, 8, 0));
    d.strength = 0.6;
    d.progress = &progress;
    test_ok(&b->p.env, sdi_session_reserve(&b->session));
    test_ok(&b->p.env, sdi_denoiser_allocate(&d));
    sdi_noise_init(&draws, &b->p.env, &b->request, 0);
    test_ok(&b->p.env, sdi_denoiser_sampler(&d, &draws, &sampler));
    memcpy(d.latents, x, (size_t)sdi_denoiser_count(&d) * sizeof *x);
    assert_int_equal(sdi_denoise(&d, sampler, 0), SDIFF_ERROR_CANCELLED);
    sdi_sampler_free(&b->p.env, sampler);
    sdi_denoiser_free(&d);
    free(x);
}

static void test_guess_mode_of_diffusers_agrees(void **state)
{
    bench b;
    sdi_stage stage = {INT32_MAX, 0};
    sdi_side sides[2] = {{1, &stage, 1}, {1, &stage, 1}};
    float noise[4 * 8 * 8];
    (void)state;
    open_models(&b, "fixtures/tiny-controlnet/golden/controlnet.safetensors", "fixtures/tiny-sd1",
                "fixtures/tiny-controlnet");
    b.hint = parity_golden(&b.p, "cond", b.hint_shape);
    b.conditioning = (sdi_conditioning){.session = &b.session, .text_count = 1, .sides = sides,
                                        .side_count = 2, .tokens = 77, .width = 32,
                                        .contexts = parity_golden(&b.p, "ctx", NULL)};
    b.request.cfg_scale = 1;
    add(&b, 1, 1);
    evaluate_first(&b, noise);
    float *golden = parity_golden(&b.p, "unet_out.guess_mode", NULL);
    parity_check(&b.p, "unet_out.guess_mode", noise, golden, 4 * 8 * 8, 1e-4);
    free(golden);
    close_bench(&b);
}

/* ---- single evaluations of the original ------------------------------------------------------ */

static void set_common(bench *b, parity_run *r)
{
    float *x = parity_golden(&b->p, "x", NULL), *t = parity_golden(&b->p, "t", NULL);
    float *context = parity_golden(&b->p, "context", NULL);
    parity_set(&b->p, r, "sample", x);
    parity_set(&b->p, r, "timestep", t);
    parity_set(&b->p, r, "context", context);
    free(x);
    free(t);
    free(context);
}

/* The residuals weighted by scale[i] in the U-Net. */
static void check_eps(bench *b, const double scale[5], const char *golden)
{
    parity_run r;
    const sdi_model_config *c = sdi_model_get_config(b->session.model);
    const sdi_unet_args args = {.config = &c->unet, .b = 2, .h = 8, .w = 8, .context_tokens = 77,
                                .residuals = 1};
    parity_plan(&b->p, &r, sdi_model_weights(b->session.model, SDI_PART_UNET), sdi_unet_net, &args);
    set_common(b, &r);
    for (int32_t i = 0; i < 5; i++) {
        char name[32];
        int64_t shape[4];
        snprintf(name, sizeof name, "control.%d", (int)i);
        float *values = parity_golden(&b->p, name, shape);
        for (int64_t k = 0; k < shape[0] * shape[1] * shape[2] * shape[3]; k++)
            values[k] *= (float)scale[i];
        snprintf(name, sizeof name, i < 4 ? "down_residual.%d" : "mid_residual", (int)i);
        parity_set(&b->p, &r, name, values);
        free(values);
    }
    parity_go(&b->p, &r);
    parity_note(&b->p, golden, parity_relative_l2(&b->p, &r, "out", golden), 5e-5);
    parity_end(&b->p, &r);
}

static void check_residuals(bench *b)
{
    parity_run r;
    const sdi_unet_args args = {.config = &sdi_model_get_config(b->control)->unet, .b = 2, .h = 8,
                                .w = 8, .context_tokens = 77};
    parity_plan(&b->p, &r, sdi_model_weights(b->control, SDI_PART_CONTROL), sdi_controlnet_net,
                &args);
    set_common(b, &r);
    parity_set(&b->p, &r, "hint", b->hint);
    parity_go(&b->p, &r);
    for (int32_t i = 0; i < 5; i++) {
        char name[32], golden[32];
        snprintf(name, sizeof name, i < 4 ? "down.%d" : "mid", (int)i);
        snprintf(golden, sizeof golden, "control.%d", (int)i);
        parity_note(&b->p, golden, parity_relative_l2(&b->p, &r, name, golden), 5e-5);
    }
    parity_end(&b->p, &r);
}

static void test_predictions_of_the_original_agree(void **state)
{
    static const double none[5] = {0}, one[5] = {1, 1, 1, 1, 1}, mid[5] = {0, 0, 0, 0, 1};
    static const double part[5] = {0.6, 0.6, 0.6, 0.6, 0.6};
    double guess[5];
    bench b;
    (void)state;
    open_bench(&b);
    for (int i = 0; i < 5; i++)
        guess[i] = 0.9 * pow(0.825, 4 - i);
    check_residuals(&b);
    check_eps(&b, none, "eps_no_control");
    check_eps(&b, one, "eps_scale1");
    check_eps(&b, part, "eps_scale0.6");
    check_eps(&b, mid, "eps_only_mid");
    check_eps(&b, guess, "eps_guess_strength0.9");
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipelines_agree),
        cmocka_unit_test(test_several_are_summed),
        cmocka_unit_test(test_silent_controls_change_nothing),
        cmocka_unit_test(test_what_does_not_fit_is_refused_with_both_numbers),
        cmocka_unit_test(test_residuals_without_a_place_are_refused),
        cmocka_unit_test(test_runs_of_the_original_agree),
        cmocka_unit_test(test_guess_mode_of_diffusers_agrees),
        cmocka_unit_test(test_predictions_of_the_original_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
