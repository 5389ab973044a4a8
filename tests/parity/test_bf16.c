/* SPDX-License-Identifier: MIT
 *
 * The networks with bf16 operands, and with split ones, against float32 goldens: how far shorter
 * numbers lead away. Relative L2 of the whole output; the measured figures are printed. The bound
 * for bf16 is a first one. A product of rounded numbers is off by 2^-7 of itself, one of split
 * numbers by 2^-15, hence the second bound.
 */
#include "net/clip_text.h"
#include "net/unet.h"
#include "net/vae.h"
#include "parity.h"
#include "unet_config.h"

#include <stdlib.h>

typedef struct arithmetic {
    int split;
    double bound;
} arithmetic;

static arithmetic bf16 = {0, 3e-2}, bf16x3 = {1, 3e-2 / 256};

static void open_with(parity *p, const char *golden, const arithmetic *a)
{
    parity_open(p, golden);
    uint32_t mask = SDI_SET_ALL;
    const char *sets = getenv("SDIFF_KERNELS");
    if (sets)
        test_ok(&p->env, sdi_kernel_sets_parse(&p->env, sets, &mask));
    sdi_kernels_init(&p->kernels, mask, a->split ? SDI_F32 : SDI_BF16);
    if (a->split)
        sdi_kernels_split(&p->kernels, mask);
    if (a->split && !p->kernels.split) {
        parity_close(p);
        print_message("NOT RUN: no kernel set for bf16x3 here\n");
        skip();
    }
}

static void compare(parity *p, parity_run *r, const char *output, const char *golden,
                    const arithmetic *a)
{
    const double error = parity_relative_l2(p, r, output, golden);
    print_message("%s: '%s' in %s: relative L2 %.2e\n", p->name, golden,
                  sdi_kernels_compute(&p->kernels), error);
    assert_true(error <= a->bound);
    p->worst = SDI_MAX(p->worst, error / a->bound);
}

static void run_unet(parity *p, sdi_weights *weights, sdi_unet_args *args, const char *letter,
                     const arithmetic *a)
{
    char name[32];
    int64_t shape[4];
    const float t[2] = {500, 500};
    parity_run r;
    snprintf(name, sizeof name, "%s.sample", letter);
    float *sample = parity_golden(p, name, shape), *context = parity_golden(p, "ctx", NULL);
    args->h = shape[2];
    args->w = shape[3];
    parity_plan(p, &r, weights, sdi_unet_net, args);
    parity_set(p, &r, "sample", sample);
    parity_set(p, &r, "context", context);
    parity_set(p, &r, "timestep", t);
    parity_go(p, &r);
    snprintf(name, sizeof name, "%s.t500.out", letter);
    compare(p, &r, "out", name, a);
    parity_end(p, &r);
    free(sample);
    free(context);
}

static void check_unet(const char *golden, const char *config_file, const char *weights_file,
                       const arithmetic *a)
{
    parity p;
    sdi_weights weights;
    sdi_unet_config config;
    open_with(&p, golden, a);
    parity_unet_config(&config, config_file);
    sdi_unet_args args = {.config = &config, .b = 2, .h = 8, .w = 8, .context_tokens = 77};
    parity_load(&p, &weights, weights_file, sdi_unet_net, &args);
    run_unet(&p, &weights, &args, "A", a);
    run_unet(&p, &weights, &args, "B", a);
    sdi_weights_free(&weights);
    parity_close(&p);
}

static void test_unets_stay_near(void **state)
{
    check_unet("fixtures/tiny-sd1/golden/unet.safetensors", "fixtures/tiny-sd1/unet/config.json",
               "fixtures/tiny-sd1/unet/diffusion_pytorch_model.safetensors", *state);
    check_unet("fixtures/tiny-sd2/golden/unet.safetensors", "fixtures/tiny-sd2/unet/config.json",
               "fixtures/tiny-sd2/unet/diffusion_pytorch_model.safetensors", *state);
}

static void test_decoder_stays_near(void **state)
{
    parity p;
    parity_run r;
    sdi_weights weights;
    sdi_vae_config config;
    int64_t shape[4];
    open_with(&p, "fixtures/tiny-sd1/golden/vae.safetensors", *state);
    sdi_vae_config_init(&config);
    config.norm_groups = 8;
    for (int32_t i = 0; i < 4; i++) {
        static const int32_t channels[] = {16, 24, 32, 48};
        config.block_out_channels[i] = channels[i];
    }
    float *z = parity_golden(&p, "A.z", shape);
    const sdi_vae_args args = {.config = &config, .b = shape[0], .h = shape[2], .w = shape[3]};
    parity_load(&p, &weights, "fixtures/tiny-sd1/vae/diffusion_pytorch_model.safetensors",
                sdi_vae_decoder_net, &args);
    parity_plan(&p, &r, &weights, sdi_vae_decoder_net, &args);
    parity_set(&p, &r, "z", z);
    parity_go(&p, &r);
    compare(&p, &r, "image", "A.decoded", *state);
    parity_end(&p, &r);
    free(z);
    sdi_weights_free(&weights);
    parity_close(&p);
}

static void test_text_encoder_stays_near(void **state)
{
    parity p;
    parity_run r;
    sdi_weights weights;
    sdi_clip_config config;
    int64_t shape[4];
    open_with(&p, "fixtures/tiny-sd1/golden/text_encoder.safetensors", *state);
    sdi_clip_config_init(&config);
    config.hidden_size = 32;
    config.intermediate_size = 128;
    config.layers = 3;
    config.heads = 4;
    int32_t *ids = parity_golden_ids(&p, "input_ids", shape);
    const sdi_clip_args args = {.config = &config, .b = shape[0], .t = shape[1]};
    parity_load(&p, &weights, "fixtures/tiny-sd1/text_encoder/model.safetensors", sdi_clip_text_net,
                &args);
    parity_plan(&p, &r, &weights, sdi_clip_text_net, &args);
    parity_set(&p, &r, "input_ids", ids);
    parity_go(&p, &r);
    compare(&p, &r, "context", "last_hidden_state", *state);
    parity_end(&p, &r);
    free(ids);
    sdi_weights_free(&weights);
    parity_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_unets_stay_near, &bf16),
        cmocka_unit_test_prestate(test_decoder_stays_near, &bf16),
        cmocka_unit_test_prestate(test_text_encoder_stays_near, &bf16),
        cmocka_unit_test_prestate(test_unets_stay_near, &bf16x3),
        cmocka_unit_test_prestate(test_decoder_stays_near, &bf16x3),
        cmocka_unit_test_prestate(test_text_encoder_stays_near, &bf16x3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
