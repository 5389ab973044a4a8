/* SPDX-License-Identifier: MIT
 *
 * The U-Nets from before and beside Stable Diffusion: unconditional in pixel space, by class, and
 * the upscaler's. Weights and golden values are in tests/data/networks.
 */
#include "net/unet.h"
#include "parity.h"

#include <stdlib.h>

/* Measured float32 against float64: 1.2e-6 of outputs below 3 (ddpm, classes), 1.7e-6 (upscaler).
 */
static const double tolerance = 2e-5;

static const sdi_unet_config base = {.transformer_layers = {1, 1, 1, 1},
                                     .norm_groups = 4,
                                     .norm_eps = 1e-5f,
                                     .mid_attention = 1,
                                     .flip_sin_to_cos = 1};

static void check(const char *file, const sdi_unet_config *config)
{
    parity p;
    sdi_weights weights;
    parity_run r;
    int64_t shape[4], tokens[4] = {0, 1, 0, 0};
    parity_open(&p, file);
    float *sample = parity_golden(&p, "golden.sample", shape);
    float *timestep = parity_golden(&p, "golden.timestep", NULL);
    float *context = NULL;
    if (config->cross_attention_dim)
        context = parity_golden(&p, "golden.context", tokens);
    const sdi_unet_args args = {
        .config = config, .b = shape[0], .h = shape[2], .w = shape[3], .context_tokens = tokens[1]};
    parity_load(&p, &weights, file, sdi_unet_net, &args);
    parity_plan(&p, &r, &weights, sdi_unet_net, &args);
    parity_set(&p, &r, "sample", sample);
    parity_set(&p, &r, "timestep", timestep);
    if (context)
        parity_set(&p, &r, "context", context);
    if (config->class_embeddings) {
        int32_t *labels = parity_golden_ids(&p, "golden.class_labels", NULL);
        parity_set(&p, &r, "class_labels", labels);
        free(labels);
    }
    assert_int_equal(sdi_plan_has_input(r.plan, "context"), context != NULL);
    parity_go(&p, &r);
    parity_compare(&p, &r, "out", "golden.out", tolerance, 0);
    parity_end(&p, &r);
    free(sample);
    free(timestep);
    free(context);
    sdi_weights_free(&weights);
    parity_close(&p);
}

static void test_unconditional_unet_in_pixel_space_agrees(void **state)
{
    (void)state;
    sdi_unet_config config = base;
    config.in_channels = config.out_channels = 3;
    config.levels = 3;
    for (int32_t i = 0; i < 3; i++) {
        config.block_out_channels[i] = i ? 16 : 8;
        config.layers_per_block[i] = 1;
        config.attention[i] = i == 1;
    }
    config.head_dim = 4;
    config.self_attention_only = 1;
    config.norm_eps = 1e-6f;
    config.flip_sin_to_cos = 0;
    config.freq_shift = 1;
    config.asymmetric_downsample = 1;
    check("data/networks/ddpm.safetensors", &config);
}

static void test_class_conditional_unet_agrees(void **state)
{
    (void)state;
    sdi_unet_config config = base;
    config.in_channels = config.out_channels = 4;
    config.levels = 2;
    for (int32_t i = 0; i < 2; i++) {
        config.block_out_channels[i] = 8;
        config.layers_per_block[i] = 2;
        config.attention[i] = i == 1;
        config.heads[i] = 1;
    }
    config.self_attention_only = 1;
    config.class_embeddings = 5;
    check("data/networks/class_conditional.safetensors", &config);
}

static void test_upscaler_unet_agrees(void **state)
{
    static const int32_t layers[] = {1, 2, 1};
    (void)state;
    sdi_unet_config config = base;
    config.in_channels = 7;
    config.out_channels = 4;
    config.levels = 3;
    for (int32_t i = 0; i < 3; i++) {
        config.block_out_channels[i] = i == 2 ? 16 : 8;
        config.layers_per_block[i] = layers[i];
        config.transformer_layers[i] = layers[i];
        config.attention[i] = i > 0;
        config.only_cross_attention[i] = i < 2;
        config.heads[i] = 2 * layers[i];
    }
    config.cross_attention_dim = 12;
    config.linear_projection = 1;
    config.class_embeddings = 6;
    check("data/networks/upscaler.safetensors", &config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unconditional_unet_in_pixel_space_agrees),
        cmocka_unit_test(test_class_conditional_unet_agrees),
        cmocka_unit_test(test_upscaler_unet_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
