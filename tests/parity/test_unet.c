/* SPDX-License-Identifier: MIT
 *
 * The U-Nets of SD 1.x, SD 2.x, inpainting and depth against outputs and intermediate values of
 * the original.
 */
#include "net/unet.h"
#include "parity.h"
#include "unet_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double absolute = 1e-4, relative = 1e-4;

typedef struct fixture {
    parity p;
    sdi_unet_config config;
    sdi_weights weights;
    float *context;
    sdi_unet_args args;
} fixture;

static void open_fixture(fixture *f, const char *model)
{
    char path[128];
    int64_t shape[4];
    memset(f, 0, sizeof *f);
    snprintf(path, sizeof path, "fixtures/%s/golden/unet.safetensors", model);
    parity_open(&f->p, path);
    snprintf(path, sizeof path, "fixtures/%s/unet/config.json", model);
    parity_unet_config(&f->config, path);
    f->context = parity_golden(&f->p, "ctx", shape);
    f->args = (sdi_unet_args){
        .config = &f->config, .b = shape[0], .h = 8, .w = 8, .context_tokens = shape[1]};
    snprintf(path, sizeof path, "fixtures/%s/unet/diffusion_pytorch_model.safetensors", model);
    parity_load(&f->p, &f->weights, path, sdi_unet_net, &f->args);
}

static void close_fixture(fixture *f)
{
    free(f->context);
    sdi_weights_free(&f->weights);
    parity_close(&f->p);
}

/* One case of the file: plans for its size and gives it sample and context. */
static void plan_case(fixture *f, parity_run *r, const char *letter)
{
    char name[32];
    int64_t shape[4];
    snprintf(name, sizeof name, "%s.sample", letter);
    float *sample = parity_golden(&f->p, name, shape);
    f->args.h = shape[2];
    f->args.w = shape[3];
    parity_plan(&f->p, r, &f->weights, sdi_unet_net, &f->args);
    parity_set(&f->p, r, "sample", sample);
    parity_set(&f->p, r, "context", f->context);
    free(sample);
}

static void set_timestep(fixture *f, parity_run *r, float first, float second)
{
    const float t[2] = {first, second};
    assert_int_equal(f->args.b, 2);
    parity_set(&f->p, r, "timestep", t);
}

static void check_timesteps(fixture *f, const char *letter, const int *timesteps, int count)
{
    parity_run r;
    char name[32];
    plan_case(f, &r, letter);
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s.t%d.out", letter, timesteps[i]);
        set_timestep(f, &r, (float)timesteps[i], (float)timesteps[i]);
        parity_go(&f->p, &r);
        parity_compare(&f->p, &r, "out", name, absolute, relative);
    }
    parity_end(&f->p, &r);
}

/* A different timestep for each image of the batch. */
static void check_mixed_timesteps(fixture *f, const char *letter)
{
    parity_run r;
    char name[32];
    snprintf(name, sizeof name, "%s.tvec", letter);
    float *t = parity_golden(&f->p, name, NULL);
    plan_case(f, &r, letter);
    set_timestep(f, &r, t[0], t[1]);
    parity_go(&f->p, &r);
    snprintf(name, sizeof name, "%s.tvec.out", letter);
    parity_compare(&f->p, &r, "out", name, absolute, relative);
    parity_end(&f->p, &r);
    free(t);
}

/* The golden value is the branch alone; the plan has the sum after it and the one before. */
static void check_branch(fixture *f, parity_run *r, const char *before, const char *after,
                         const char *golden)
{
    int64_t shape[4], given[4];
    char name[128];
    snprintf(name, sizeof name, "down_blocks.0.attentions.0.%s", before);
    float *x = parity_output(&f->p, r, name, shape);
    snprintf(name, sizeof name, "down_blocks.0.attentions.0.%s", after);
    float *y = parity_output(&f->p, r, name, shape);
    snprintf(name, sizeof name, "A.t1.down_blocks.0.attentions.0.transformer_blocks.0.%s", golden);
    float *want = parity_golden(&f->p, name, given);
    const int64_t count = given[0] * given[1] * given[2]; // the first images
    assert_int_equal(given[1], shape[1]);
    assert_int_equal(given[2], shape[2]);
    for (int64_t i = 0; i < count; i++)
        y[i] -= x[i];
    parity_check(&f->p, name, y, want, count, absolute);
    free(x);
    free(y);
    free(want);
}

static void check_intermediates(fixture *f)
{
    static const char *const names[] = {"time_embedding",
                                        "conv_in",
                                        "down_blocks.0.resnets.0",
                                        "down_blocks.0.attentions.0",
                                        "down_blocks.0",
                                        "down_blocks.1",
                                        "down_blocks.2",
                                        "down_blocks.3",
                                        "mid_block",
                                        "up_blocks.0",
                                        "up_blocks.1",
                                        "up_blocks.2",
                                        "up_blocks.3",
                                        "conv_norm_out_silu",
                                        "out"};
    parity_run r;
    f->args.intermediates = 1;
    plan_case(f, &r, "A");
    set_timestep(f, &r, 1, 1);
    parity_go(&f->p, &r);
    for (size_t i = 0; i < SDI_COUNT(names); i++) {
        char golden[64];
        snprintf(golden, sizeof golden, "A.t1.%s", names[i]);
        parity_compare(&f->p, &r, names[i], golden, absolute, relative);
    }
    check_branch(f, &r, "proj_in", "after_attn1", "attn1");
    check_branch(f, &r, "after_attn1", "after_attn2", "attn2");
    check_branch(f, &r, "after_attn2", "after_ff", "ff");
    parity_end(&f->p, &r);

    plan_case(f, &r, "B");
    set_timestep(f, &r, 1, 1);
    parity_go(&f->p, &r);
    parity_compare(&f->p, &r, "down_blocks.0", "B.t1.down_blocks.0", absolute, relative);
    parity_compare(&f->p, &r, "mid_block", "B.t1.mid_block", absolute, relative);
    parity_end(&f->p, &r);
    f->args.intermediates = 0;
}

static void check_stable_diffusion(const char *model)
{
    static const int timesteps[] = {1, 500, 981};
    fixture f;
    open_fixture(&f, model);
    check_timesteps(&f, "A", timesteps, 3);
    check_timesteps(&f, "B", timesteps, 3);
    check_mixed_timesteps(&f, "A");
    check_intermediates(&f);
    close_fixture(&f);
}

static void test_unet_of_sd1_agrees(void **state)
{
    (void)state;
    check_stable_diffusion("tiny-sd1");
}

/* Linear projections, heads by level, and sizes that do not halve evenly. */
static void test_unet_of_sd2_agrees(void **state)
{
    (void)state;
    check_stable_diffusion("tiny-sd2");
}

static void check_more_channels(const char *model)
{
    static const int timesteps[] = {1, 601};
    fixture f;
    open_fixture(&f, model);
    check_timesteps(&f, "A", timesteps, 2);
    check_mixed_timesteps(&f, "A");
    close_fixture(&f);
}

static void test_unet_with_9_channels_agrees(void **state)
{
    (void)state;
    check_more_channels("tiny-inpaint");
}

static void test_unet_with_5_channels_agrees(void **state)
{
    (void)state;
    check_more_channels("tiny-depth");
}

/* ---- timestep embedding -------------------------------------------------------------------- */

typedef struct timestep_args {
    int64_t b, dim;
} timestep_args;

static void timestep_net(sdi_nn *n, const void *args)
{
    const timestep_args *a = args;
    nn_tensor t = nn_input_tokens(n, "t", a->b, 1, 1, NN_EACH);
    nn_output_tokens(n, "embedding", nn_timestep_embedding(n, t, a->dim, 1, 0));
}

/* Tolerance by timestep: the argument of the sine is a float, rounded at t * 2^-24. */
static void check_sinusoids(parity *p, const char *timesteps, const char *golden)
{
    int64_t shape[4];
    float *t = parity_golden(p, timesteps, NULL);
    float *want = parity_golden(p, golden, shape);
    const timestep_args args = {.b = shape[0], .dim = shape[1]};
    sdi_weights weights;
    parity_run r;
    sdi_weights_init(&weights, &p->env, &p->kernels);
    parity_plan(p, &r, &weights, timestep_net, &args);
    parity_set(p, &r, "t", t);
    parity_go(p, &r);
    float *got = parity_output(p, &r, "embedding", shape);
    for (int64_t i = 0; i < args.b; i++)
        parity_check(p, golden, got + i * args.dim, want + i * args.dim, args.dim,
                     t[i] <= 100 ? 2e-6 : 1e-4);
    parity_end(p, &r);
    sdi_weights_free(&weights);
    free(t);
    free(want);
    free(got);
}

static void test_timestep_embedding_agrees(void **state)
{
    parity p;
    (void)state;
    parity_open(&p, "fixtures/tiny-sd1/golden/timestep_embedding.safetensors");
    check_sinusoids(&p, "timesteps", "emb32");
    check_sinusoids(&p, "timesteps", "emb320");
    check_sinusoids(&p, "timesteps_f", "emb320_f");
    parity_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timestep_embedding_agrees),
        cmocka_unit_test(test_unet_of_sd1_agrees),
        cmocka_unit_test(test_unet_of_sd2_agrees),
        cmocka_unit_test(test_unet_with_9_channels_agrees),
        cmocka_unit_test(test_unet_with_5_channels_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
