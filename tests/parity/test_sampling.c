/* SPDX-License-Identifier: MIT
 *
 * The reverse diffusion against runs of the original repositories' samplers on single-file models:
 * DDIM with and without noise, PLMS, DPM-Solver, image to image and depth to image, from given
 * contexts; and how the originals prepare masks and depth maps. Tolerance: relative L2 of 2e-4 for
 * runs, 5e-5 for one forward pass.
 */
#include "parity.h"

#include "model/model.h"
#include "pipeline/denoise.h"
#include "pipeline/depth.h"
#include "pipeline/mask.h"
#include "pipeline/vae_code.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "fixtures-ldm/"

typedef struct bench {
    parity p;
    sdi_session session;
    sdi_schedule_config schedule;
    sdiff_generate_params request;
    sdi_conditioning conditioning;
    sdi_stage stages[2];
    sdi_side sides[2];
    const char *run; // prefix of the golden tensors of this run
    float *concat;
} bench;

/* ---- a model and the contexts of a golden file ----------------------------------------------- */

static void open_bench(bench *b, const char *model, const char *golden)
{
    char path[128];
    sdi_model *opened = NULL;
    memset(b, 0, sizeof *b);
    snprintf(path, sizeof path, FOLDER "%s.golden.safetensors", golden);
    parity_open(&b->p, path);
    snprintf(path, sizeof path, FOLDER "%s.safetensors", model);
    const sdi_model_source source = {.path = test_shared(path)};
    const sdi_model_options options = {.kernels[SDI_PART_UNET] = &b->p.kernels,
                                       .pool = b->p.pool};
    test_ok(&b->p.env, sdi_model_open(&b->p.env, &source, &options, &opened));
    sdi_session_init(&b->session, &b->p.env, opened, b->p.pool);
    sdi_model_unref(opened);
    b->schedule = sdi_model_get_config(b->session.model)->schedule;
}

/* The negative context is text 0, the prompt's text 1. */
static void take_contexts(bench *b)
{
    int64_t shape[4];
    float *negative = parity_golden(&b->p, "uncond", shape);
    float *prompt = parity_golden(&b->p, "cond", NULL);
    float *scale = parity_golden(&b->p, "guidance_scale", NULL);
    const size_t row = (size_t)(shape[1] * shape[2]);
    float *contexts = malloc(2 * row * sizeof *contexts);
    memcpy(contexts, negative, row * sizeof *contexts);
    memcpy(contexts + row, prompt, row * sizeof *contexts);
    for (int32_t i = 0; i < 2; i++) {
        b->stages[i] = (sdi_stage){INT32_MAX, i};
        b->sides[i] = (sdi_side){1, &b->stages[i], 1};
    }
    b->conditioning = (sdi_conditioning){.session = &b->session, .text_count = 2,
                                         .sides = b->sides, .side_count = 2,
                                         .tokens = (int32_t)shape[1], .width = (int32_t)shape[2],
                                         .contexts = contexts};
    b->request.cfg_scale = scale[0];
    free(negative);
    free(prompt);
    free(scale);
}

static void close_bench(bench *b)
{
    free(b->conditioning.contexts);
    free(b->concat);
    sdi_session_free(&b->session);
    parity_close(&b->p);
}

/* ---- a run ----------------------------------------------------------------------------------- */

static int give_noise(void *user, int64_t draw, float *out, size_t count)
{
    bench *b = user;
    char name[64];
    snprintf(name, sizeof name, "%s.noise.%lld", b->run, (long long)draw);
    float *values = parity_golden(&b->p, name, NULL);
    memcpy(out, values, count * sizeof *out);
    free(values);
    return 0;
}

static int check_step(void *user, const sdiff_step *step)
{
    bench *b = user;
    char name[64];
    snprintf(name, sizeof name, "%s.x_inter.%d", b->run, step->step);
    if (sdi_tensor_file_find(b->p.golden, name) < 0)
        return 0;
    parity_check_l2(&b->p, name, step->latents, 2e-4);
    snprintf(name, sizeof name, "%s.pred_x0.%d", b->run, step->step);
    parity_check_l2(&b->p, name, step->predicted_x0, 2e-4);
    return 0;
}

static void check_image(bench *b, sdi_denoiser *d)
{
    char name[64];
    int64_t shape[4];
    snprintf(name, sizeof name, "%s.image", b->run);
    if (sdi_tensor_file_find(b->p.golden, name) < 0)
        return;
    free(parity_golden(&b->p, name, shape));
    float *image = malloc((size_t)(shape[1] * shape[2] * shape[3]) * sizeof *image);
    for (size_t i = 0; i < sdi_denoiser_count(d); i++)
        d->latents[i] /= (float)sdi_model_get_config(b->session.model)->vae.scaling_factor;
    test_ok(&b->p.env, sdi_vae_decode(&b->session, d->latents, 1, d->h, d->w, image));
    parity_check_l2(&b->p, name, image, 2e-4);
    free(image);
}

/* Runs b->request from a golden tensor and compares what the file has of the run. */
static void check_run(bench *b, const char *run, const char *start, double strength)
{
    char name[64];
    int64_t shape[4];
    sdi_denoiser d;
    sdi_noise noise;
    sdi_sampler *sampler = NULL;
    float *x = parity_golden(&b->p, start, shape);
    b->run = run;
    b->request.noise = give_noise;
    b->request.on_step = check_step;
    b->request.noise_user = b->request.step_user = b;
    test_ok(&b->p.env, sdi_denoiser_init(&d, &b->session, &b->request, &b->schedule,
                                         &b->conditioning, shape[2], shape[3], 0));
    d.strength = strength;
    d.concat = b->concat;
    test_ok(&b->p.env, sdi_session_reserve(&b->session));
    test_ok(&b->p.env, sdi_denoiser_allocate(&d));
    sdi_noise_init(&noise, &b->p.env, &b->request, 0);
    test_ok(&b->p.env, sdi_denoiser_sampler(&d, &noise, &sampler));
    const float scale = strength < 1 ? 1 : (float)sdi_sampler_init_sigma(sampler);
    for (size_t i = 0; i < sdi_denoiser_count(&d); i++)
        d.latents[i] = x[i] * scale;
    test_ok(&b->p.env, sdi_denoise(&d, sampler, 0));
    snprintf(name, sizeof name, "%s.z0", run);
    parity_check_l2(&b->p, name, d.latents, 2e-4);
    check_image(b, &d);
    sdi_sampler_free(&b->p.env, sampler);
    sdi_denoiser_free(&d);
    free(x);
}

static void set_sampler(bench *b, const char *sampler, int32_t steps, double eta)
{
    b->request.sampler = sampler;
    b->request.schedule = "default";
    b->request.steps = steps;
    b->request.eta = eta;
}

/* ---- image to image -------------------------------------------------------------------------- */

/* The original adds noise of the level one step above the first one that it evaluates: that is
 * where a run of one step more would start. */
static void check_forward(bench *b)
{
    float *x0 = parity_golden(&b->p, "img2img.x0", NULL);
    float *noise = parity_golden(&b->p, "img2img.noise", NULL);
    float out[4 * 8 * 8];
    sdi_sampler *sampler = NULL;
    const sdi_sampler_params params = {.name = "ddim", .schedule = "default", .steps = 10,
                                       .config = b->schedule, .strength = 0.7, .eta = 0,
                                       .count = SDI_COUNT(out)};
    test_ok(&b->p.env, sdi_sampler_new(&b->p.env, &params, &sampler));
    sdi_sampler_add_noise(sampler, 0, x0, noise, out);
    parity_check_l2(&b->p, "img2img.z_enc", out, 5e-5);
    sdi_sampler_free(&b->p.env, sampler);
    free(x0);
    free(noise);
}

static void check_common_runs(bench *b)
{
    take_contexts(b);
    set_sampler(b, "ddim", 5, 0);
    check_run(b, "ddim", "x_T", 1);
    set_sampler(b, "ddim", 5, 0.7);
    check_run(b, "ddim_eta0.7", "x_T", 1);
    check_forward(b);
    set_sampler(b, "ddim", 10, 0);
    check_run(b, "img2img", "img2img.z_enc", 0.6);
}

static void test_sd1_runs_agree(void **state)
{
    (void)state;
    bench b;
    open_bench(&b, "sd1-tiny.fp16", "sd1-tiny.fp16.sampling");
    check_common_runs(&b);
    set_sampler(&b, "plms", 5, -1);
    check_run(&b, "plms", "x_T", 1);
    set_sampler(&b, "dpmpp_2m", 8, -1);
    b.request.schedule = "time_uniform";
    check_run(&b, "dpm_solver_8", "x_T", 1);
    close_bench(&b);
}

static void test_sd2_v_prediction_runs_agree(void **state)
{
    (void)state;
    bench b;
    open_bench(&b, "sd2-v.fp16", "sd2-v.fp16");
    check_common_runs(&b);
    close_bench(&b);
}

static void test_sd2_depth_run_agrees(void **state)
{
    (void)state;
    bench b;
    int64_t shape[4];
    open_bench(&b, "sd2-depth.fp16", "sd2-depth.fp16");
    take_contexts(&b);
    float *depth = parity_golden(&b.p, "prep.depth_raw", shape);
    b.concat = malloc(8 * 8 * sizeof *b.concat);
    sdi_depth_to_latents(depth, shape[2], shape[3], 8, 8, b.concat);
    parity_check_l2(&b.p, "prep.depth_latent", b.concat, 5e-5);
    set_sampler(&b, "ddim", 5, 0);
    check_run(&b, "ddim", "x_T", 1);
    free(depth);
    close_bench(&b);
}

/* ---- what inpainting models are given -------------------------------------------------------- */

static void test_inpainting_inputs_agree(void **state)
{
    (void)state;
    bench b;
    int64_t shape[4];
    sdi_posterior latents;
    open_bench(&b, "sd1-inpaint.fp16", "sd1-inpaint.fp16");
    float *image = parity_golden(&b.p, "prep.image", shape); // [-1, 1]
    float *mask = parity_golden(&b.p, "prep.mask", NULL);
    const int64_t pixels = shape[2] * shape[3];
    float *small = malloc((size_t)pixels * sizeof *small);
    float *hidden = malloc(3 * (size_t)pixels * sizeof *hidden);
    test_ok(&b.p.env, sdi_mask_to_latents(&b.p.env, mask, shape[2], shape[3], shape[2], shape[3],
                                          small));
    parity_check_l2(&b.p, "prep.mask_latent_nearest", small, 1e-9);
    for (int64_t i = 0; i < 3 * pixels; i++)
        image[i] = image[i] * 0.5f + 0.5f;
    sdi_mask_hide(image, mask, pixels, hidden);
    test_ok(&b.p.env, sdi_picture_encode(&b.session, hidden, shape[2], shape[3], &latents));
    parity_check_l2(&b.p, "prep.masked_latent_mode_scaled", latents.mean, 5e-5);
    for (int64_t i = 0; i < 3 * pixels; i++)
        hidden[i] = hidden[i] * 2 - 1;
    parity_check_l2(&b.p, "prep.masked_image", hidden, 1e-6);
    sdi_posterior_free(&b.p.env, &latents);
    free(image);
    free(mask);
    free(small);
    free(hidden);
    close_bench(&b);
}

static void test_depth_maps_agree(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{8, 8}, {16, 24}, {96, 80}};
    parity p;
    int64_t shape[4];
    parity_open(&p, "fixtures/tiny-depth/golden/depth_map.safetensors");
    float *depth = parity_golden(&p, "depth_map", shape);
    float *out = malloc(96 * 80 * sizeof *out);
    for (size_t i = 0; i < SDI_COUNT(sizes); i++) {
        char name[32];
        const int64_t h = sizes[i][0], w = sizes[i][1];
        snprintf(name, sizeof name, "prepared.%lldx%lld", (long long)h, (long long)w);
        float *want = parity_golden(&p, name, NULL);
        sdi_depth_to_latents(depth, shape[1], shape[2], h, w, out);
        parity_check(&p, name, out, want, h * w, 1e-4);
        free(want);
    }
    free(depth);
    free(out);
    parity_close(&p);
}

/* What the estimator says of a picture, as the U-Net gets it. */
static void test_estimated_depth_agrees(void **state)
{
    (void)state;
    parity p;
    float out[64];
    parity_open(&p, "fixtures/tiny-depth/golden/dpt_hybrid.safetensors");
    float *depth = parity_golden(&p, "A.predicted_depth", NULL);
    float *want = parity_golden(&p, "A.prepared.8x8", NULL);
    sdi_depth_to_latents(depth, 96, 96, 8, 8, out);
    parity_check(&p, "A.prepared.8x8", out, want, 64, 1e-4);
    free(depth);
    free(want);
    parity_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sd1_runs_agree),
        cmocka_unit_test(test_sd2_v_prediction_runs_agree),
        cmocka_unit_test(test_sd2_depth_run_agrees),
        cmocka_unit_test(test_inpainting_inputs_agree),
        cmocka_unit_test(test_depth_maps_agree),
        cmocka_unit_test(test_estimated_depth_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
