/* SPDX-License-Identifier: MIT
 *
 * Whole pictures against diffusers' pipelines: the latents after each step and the pictures of
 * every golden run, from the stored draws and once more from the seed that they were drawn with.
 * Tolerances are those of the goldens' READMEs.
 */
#include "golden_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASTRONAUT "a photo of an astronaut riding a horse on mars"
#define BAD "blurry, bad quality"

typedef struct run_case {
    const char *model, *golden;
    const char *sampler;
    const char *prompt, *negative;
    int64_t seed;
    double latents; // tolerance; pictures: 2e-4
    double cfg;
    double strength; // of runs that start at a picture
    const char *schedule;
    double eta, rescale;
    int32_t steps, clip_skip, spacing;
} run_case;

static const run_case text_cases[] = {
    {"tiny-sd1", "txt2img_ddim_g1.0", "ddim", ASTRONAUT, NULL, 45, 2e-4, .cfg = 1},
    {"tiny-sd1", "txt2img_ddim_g7.5", "ddim", ASTRONAUT, NULL, 42, 1e-3, .cfg = 7.5},
    {"tiny-sd1", "txt2img_ddim_batch2_g7.5", "ddim", ASTRONAUT, NULL, -1, 1e-3, .cfg = 7.5},
    {"tiny-sd1", "txt2img_ddim_eta1_g3", "ddim", ASTRONAUT, NULL, 49, 5e-4, .cfg = 3, .eta = 1},
    {"tiny-sd1", "txt2img_ddim_neg_g5_nonsquare", "ddim", ASTRONAUT, BAD, 46, 8e-4, .cfg = 5},
    {"tiny-sd1", "txt2img_ddim_rescale0.7_g7.5", "ddim", ASTRONAUT, NULL, 52, 1e-3, .cfg = 7.5,
     .rescale = 0.7},
    {"tiny-sd1", "txt2img_dpmpp2m_karras_g7.5", "dpmpp_2m", ASTRONAUT, BAD, 47, 2e-3, .cfg = 7.5,
     .schedule = "karras", .spacing = SDIFF_SPACING_LINSPACE},
    {"tiny-sd1", "txt2img_euler_a_g7.5", "euler_a", ASTRONAUT, NULL, 48, 1e-3, .cfg = 7.5},
    {"tiny-sd1", "txt2img_euler_clipskip_g7.5", "euler", ASTRONAUT, NULL, 50, 1e-3, .cfg = 7.5,
     .clip_skip = 2},
    {"tiny-sd1", "txt2img_euler_neg_g7.5", "euler", ASTRONAUT, BAD, 43, 8e-4, .cfg = 7.5},
    {"tiny-sd1", "txt2img_pndm_g7.5", "pndm", ASTRONAUT, NULL, 44, 8e-4, .cfg = 7.5},
    {"tiny-sd2", "txt2img_ddim_g1.0", "ddim", ASTRONAUT, NULL, 208, 2e-4, .cfg = 1},
    {"tiny-sd2", "txt2img_ddim_g7.5", "ddim", ASTRONAUT, NULL, 205, 2e-4, .cfg = 7.5},
    {"tiny-sd2", "txt2img_ddim_neg_g5_nonsquare", "ddim", ASTRONAUT, BAD, 209, 2e-4, .cfg = 5},
    {"tiny-sd2", "txt2img_ddim_rescale0.7_g7.5", "ddim", ASTRONAUT, NULL, 215, 2e-4, .cfg = 7.5,
     .rescale = 0.7},
    {"tiny-sd2", "txt2img_dpmpp2m_karras_g7.5", "dpmpp_2m", ASTRONAUT, BAD, 210, 7e-4, .cfg = 7.5,
     .schedule = "karras", .spacing = SDIFF_SPACING_LINSPACE},
    {"tiny-sd2", "txt2img_euler_neg_g7.5", "euler", ASTRONAUT, BAD, 206, 2e-4, .cfg = 7.5},
    {"tiny-sd2", "txt2img_pndm_g7.5", "pndm", ASTRONAUT, NULL, 207, 5e-4, .cfg = 7.5},
};

#define CASTLE "a fantasy castle on a hill"
#define BENCH "a red bench in a park"
#define TIGERS "two tigers"

static const run_case picture_cases[] = {
    {"tiny-sd1", "img2img_ddim_s0.05", "ddim", CASTLE, "blurry", 142, 2e-4, .strength = 0.05,
     .steps = 20},
    {"tiny-sd1", "img2img_ddim_s0.5", "ddim", CASTLE, "blurry", 143, 2e-4, .strength = 0.5},
    {"tiny-sd1", "img2img_ddim_s1.0", "ddim", CASTLE, "blurry", 144, 8e-4, .strength = 1},
    {"tiny-sd1", "img2img_euler_s0.5", "euler", CASTLE, "blurry", 145, 2e-4, .strength = 0.5},
    {"tiny-sd1", "img2img_euler_s1.0", "euler", CASTLE, "blurry", 146, 1e-3, .strength = 1},
    {"tiny-sd1", "img2img_pndm_s0.5", "pndm", CASTLE, "blurry", 147, 3e-4, .strength = 0.5},
    {"tiny-sd1", "img2img_pndm_s1.0", "pndm", CASTLE, "blurry", 148, 8e-4, .strength = 1},
    {"tiny-sd2", "img2img_ddim_s0.5", "ddim", ASTRONAUT, BAD, 231, 2e-4, .strength = 0.5},
    {"tiny-sd2", "img2img_euler_s1.0", "euler", ASTRONAUT, BAD, 234, 4e-4, .strength = 1},
    {"tiny-sd1", "inpaint4_ddim_s0.6", "ddim", BENCH, "blurry", 321, 2e-4, .strength = 0.6},
    {"tiny-sd1", "inpaint4_ddim_s1.0", "ddim", BENCH, "blurry", 320, 1e-3, .strength = 1},
    {"tiny-inpaint", "inpaint_ddim_s0.6", "ddim", BENCH, "blurry", 311, 3e-4, .strength = 0.6},
    {"tiny-inpaint", "inpaint_ddim_s1.0", "ddim", BENCH, "blurry", 310, 2e-3, .strength = 1},
    {"tiny-inpaint", "inpaint_euler_s1.0", "euler", BENCH, "blurry", 312, 1e-3, .strength = 1},
    {"tiny-depth", "depth2img_ddim_s0.8", "ddim", TIGERS, "bad, deformed", 510, 3e-4,
     .strength = 0.8},
    {"tiny-depth", "depth2img_ddim_s1.0", "ddim", TIGERS, "bad, deformed", 511, 1e-3,
     .strength = 1},
    {"tiny-depth", "depth2img_pndm_s0.5", "pndm", TIGERS, "bad, deformed", 512, 4e-4,
     .strength = 0.5},
};

static void open_case(golden_run *r, parity *p, const run_case *c)
{
    char model[128];
    snprintf(model, sizeof model, "fixtures/%s", c->model);
    golden_open(r, p, model);
    r->request.prompt = c->prompt;
    r->request.negative_prompt = c->negative;
    r->request.sampler = c->sampler;
    r->request.schedule = c->schedule;
    r->request.steps = c->steps ? c->steps : 6;
    r->request.cfg_scale = c->cfg > 0 ? c->cfg : 7.5;
    r->request.cfg_rescale = c->rescale;
    r->request.eta = c->eta > 0 ? c->eta : -1;
    r->request.clip_skip = c->clip_skip;
    r->request.spacing = c->spacing;
    r->request.seed = c->seed;
    r->latent_tolerance = c->latents;
    r->image_tolerance = 2e-4;
}

static void open_golden(parity *p, const run_case *c)
{
    char golden[256];
    snprintf(golden, sizeof golden, "fixtures/%s/golden/%s.safetensors", c->model, c->golden);
    parity_open(p, golden);
}

/* Once from the stored draws, once from the seed that made them. */
static void check_both(golden_run *r)
{
    golden_check(r);
    if (r->request.seed < 0)
        return;
    r->from_seed = 1;
    golden_check(r);
}

static void test_txt2img_agrees(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof text_cases / sizeof text_cases[0]; i++) {
        parity p;
        golden_run r;
        open_golden(&p, &text_cases[i]);
        open_case(&r, &p, &text_cases[i]);
        check_both(&r);
        golden_close(&r);
        parity_close(&p);
    }
}

/* Picture, mask and depth map where the golden file has them. */
static void check_picture_case(const run_case *c)
{
    parity p;
    golden_run r;
    int64_t shape[4];
    open_golden(&p, c);
    open_case(&r, &p, c);
    float *image = parity_golden(&p, "in.image", NULL), *mask = NULL, *depth = NULL;
    if (strstr(c->golden, "inpaint"))
        mask = parity_golden(&p, "in.mask_image", NULL);
    if (strstr(c->golden, "depth")) {
        depth = parity_golden(&p, "in.depth_map", shape);
        r.request.depth_height = (int32_t)shape[1];
        r.request.depth_width = (int32_t)shape[2];
    }
    r.request.image = image;
    r.request.mask = mask;
    r.request.depth = depth;
    r.request.strength = c->strength;
    r.request.start_from_image = !mask; // of diffusers' pipelines only inpainting starts at noise
    r.request.keep_unmasked = 0;
    check_both(&r);
    golden_close(&r);
    parity_close(&p);
    free(image);
    free(mask);
    free(depth);
}

static void test_pictures_masks_and_depth_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof picture_cases / sizeof picture_cases[0]; i++)
        check_picture_case(&picture_cases[i]);
}

/* ---- the trained model ----------------------------------------------------------------------- */

typedef struct drawing {
    const char *golden, *prompt, *negative, *sampler;
    int32_t final_sigma_min; // the solver of diffusers 0.25 ended there
} drawing;

static const drawing drawings[] = {
    {"gray_cat", "a gray cat with green eyes on a white background", "", "ddim", 0},
    {"woman", "a woman with green eyes and red hair", "", "ddim", 0},
    {"apple", "a green apple with a stem", "", "ddim", 0},
    {"dog", "a brown dog with blue eyes on a green background", "", "ddim", 0},
    {"star", "a big purple star on a yellow background", "", "ddim", 0},
    {"cat_neg", "a cat", "a white background", "ddim", 0},
    {"gray_cat_dpmpp2m", "a gray cat with green eyes on a white background", "", "dpmpp_2m", 1},
};

typedef struct drawn {
    parity *p;
    float *latents, *timesteps;
    int64_t shape[4]; // [steps, c, h, w]
} drawn;

static int check_stacked_step(void *user, const sdiff_step *step)
{
    drawn *d = user;
    const int64_t count = d->shape[1] * d->shape[2] * d->shape[3];
    assert_true(step->step < d->shape[0]);
    assert_int_equal(d->timesteps[step->step], step->timestep);
    parity_check(d->p, "latents", step->latents, d->latents + step->step * count, count, 1e-3);
    return 0;
}

static void check_drawing(const drawing *g)
{
    char golden[128];
    parity p;
    golden_run r;
    int64_t shape[4];
    snprintf(golden, sizeof golden, "tinysd/golden/%s.safetensors", g->golden);
    parity_open(&p, golden);
    golden_open_model(&r, "tinysd/model");
    drawn d = {.p = &p, .latents = parity_golden(&p, "latents", NULL)};
    d.timesteps = parity_golden(&p, "timesteps", NULL);
    free(parity_golden(&p, "latents", d.shape));
    float *noise = parity_golden(&p, "noise", NULL), *want = parity_golden(&p, "image", shape);
    const int64_t count = shape[1] * shape[2] * shape[3];
    for (int64_t i = 0; i < count; i++)
        want[i] = want[i] * 0.5f + 0.5f; // these files hold pictures in [-1, 1]
    float *got = malloc((size_t)count * sizeof *got);
    r.request.prompt = g->prompt;
    r.request.negative_prompt = g->negative;
    r.request.sampler = g->sampler;
    r.request.final_sigma_min = g->final_sigma_min;
    r.request.cfg_scale = 5;
    r.request.init_latents = noise;
    r.request.on_step = check_stacked_step;
    r.request.step_user = &d;
    golden_generate(&r);
    sdiff_pipeline_result(r.pipeline, 0, NULL, got);
    parity_check(&p, "image", got, want, count, 2e-3);
    free(got);
    free(want);
    free(noise);
    free(d.latents);
    free(d.timesteps);
    golden_close(&r);
    parity_close(&p);
}

static void test_trained_model_draws_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof drawings / sizeof drawings[0]; i++)
        check_drawing(&drawings[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_txt2img_agrees),
        cmocka_unit_test(test_pictures_masks_and_depth_agree),
        cmocka_unit_test(test_trained_model_draws_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
