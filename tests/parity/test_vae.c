/* SPDX-License-Identifier: MIT
 *
 * The autoencoder, both ways, against outputs and intermediate values of the original.
 */
#include "net/vae.h"
#include "parity.h"

#include <stdlib.h>

static const double tolerance = 1e-4;

static sdi_vae_config read_config(const char *file)
{
    sdi_vae_config config;
    sdi_vae_config_init(&config);
    json_t *json = parity_config(file);
    config.levels = parity_config_ints(json, "block_out_channels", config.block_out_channels,
                                       SDI_VAE_MAX_LEVELS);
    parity_config_ints(json, "layers_per_block", &config.layers_per_block, 1);
    parity_config_ints(json, "norm_num_groups", &config.norm_groups, 1);
    json_decref(json);
    return config;
}

/* Moments are [mean | log variance]; the golden log variance is clamped to [-30, 20]. */
static void check_moments(parity *p, parity_run *r, const char *mean, const char *logvar)
{
    int64_t shape[4];
    float *moments = parity_output(p, r, "moments", shape);
    float *want_mean = parity_golden(p, mean, NULL), *want_logvar = parity_golden(p, logvar, NULL);
    const int64_t half = shape[1] / 2 * shape[2] * shape[3];
    for (int64_t i = 0; i < shape[0]; i++) {
        float *of_image = moments + i * 2 * half;
        for (int64_t k = half; k < 2 * half; k++)
            of_image[k] = of_image[k] < -30 ? -30 : of_image[k] > 20 ? 20 : of_image[k];
        parity_check(p, mean, of_image, want_mean + i * half, half, tolerance);
        parity_check(p, logvar, of_image + half, want_logvar + i * half, half, tolerance);
    }
    free(moments);
    free(want_mean);
    free(want_logvar);
}

/* One plan, with its single input set from the golden file. */
static void run(parity *p, parity_run *r, sdi_weights *weights, sdi_network_fn network,
                sdi_vae_args *args, const char *input, const char *golden)
{
    int64_t shape[4];
    float *values = parity_golden(p, golden, shape);
    args->b = shape[0];
    args->h = shape[2];
    args->w = shape[3];
    parity_plan(p, r, weights, network, args);
    parity_set(p, r, input, values);
    parity_go(p, r);
    free(values);
}

static void compare_all(parity *p, parity_run *r, const char *const (*names)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        parity_compare(p, r, names[i][0], names[i][1], tolerance, 0);
}

static void check_encoder(parity *p, const sdi_vae_config *config)
{
    static const char *const names[][2] = {
        {"conv_in", "A.encoder.conv_in.ch0_3"},       {"down_blocks.0", "A.encoder.down_blocks.0"},
        {"down_blocks.1", "A.encoder.down_blocks.1"}, {"down_blocks.2", "A.encoder.down_blocks.2"},
        {"down_blocks.3", "A.encoder.down_blocks.3"}, {"mid_block", "A.encoder.mid_block"},
        {"encoder", "A.encoder_(before_quant_conv)"},
    };
    sdi_vae_args args = {.config = config, .b = 1, .h = 64, .w = 64};
    sdi_weights weights;
    parity_run r;
    parity_load(p, &weights, "fixtures/tiny-sd1/vae/diffusion_pytorch_model.safetensors",
                sdi_vae_encoder_net, &args);
    run(p, &r, &weights, sdi_vae_encoder_net, &args, "image", "A.image");
    check_moments(p, &r, "A.mean", "A.logvar");
    parity_end(p, &r);
    run(p, &r, &weights, sdi_vae_encoder_net, &args, "image", "B.image");
    check_moments(p, &r, "B.mean", "B.logvar");
    parity_end(p, &r);
    args.intermediates = 1;
    run(p, &r, &weights, sdi_vae_encoder_net, &args, "image", "A.image");
    compare_all(p, &r, names, SDI_COUNT(names));
    parity_end(p, &r);
    sdi_weights_free(&weights);
}

static void check_decoder(parity *p, const sdi_vae_config *config)
{
    static const char *const names[][2] = {
        {"conv_in", "A.decoder.conv_in"},
        {"mid_block.attentions.0", "A.decoder.mid_block.attentions.0"},
        {"mid_block", "A.decoder.mid_block"},
        {"up_blocks.0", "A.decoder.up_blocks.0"},
        {"up_blocks.1", "A.decoder.up_blocks.1"},
        {"up_blocks.2", "A.decoder.up_blocks.2.ch0_3"},
        {"up_blocks.3", "A.decoder.up_blocks.3.ch0_3"},
    };
    sdi_vae_args args = {.config = config, .b = 1, .h = 8, .w = 8};
    sdi_weights weights;
    parity_run r;
    parity_load(p, &weights, "fixtures/tiny-sd1/vae/diffusion_pytorch_model.safetensors",
                sdi_vae_decoder_net, &args);
    run(p, &r, &weights, sdi_vae_decoder_net, &args, "z", "A.z");
    parity_compare(p, &r, "image", "A.decoded", tolerance, 0);
    parity_end(p, &r);
    run(p, &r, &weights, sdi_vae_decoder_net, &args, "z", "B.z");
    parity_compare(p, &r, "image", "B.decoded", tolerance, 0);
    parity_end(p, &r);
    args.intermediates = 1;
    run(p, &r, &weights, sdi_vae_decoder_net, &args, "z", "A.z");
    compare_all(p, &r, names, SDI_COUNT(names));
    parity_end(p, &r);
    sdi_weights_free(&weights);
}

static void test_autoencoder_agrees(void **state)
{
    parity p;
    (void)state;
    parity_open(&p, "fixtures/tiny-sd1/golden/vae.safetensors");
    const sdi_vae_config config = read_config("fixtures/tiny-sd1/vae/config.json");
    check_encoder(&p, &config);
    check_decoder(&p, &config);
    parity_close(&p);
}

/* ---- VQModel ------------------------------------------------------------------------------- */

static const char vq_file[] = "data/networks/vq_autoencoder.safetensors";

/* Latents from a table, and attention at a level. Measured float32 against float64: 1.3e-6. */
static void test_vq_autoencoder_agrees(void **state)
{
    static const sdi_vae_config config = {.image_channels = 3,
                                          .latent_channels = 3,
                                          .levels = 2,
                                          .block_out_channels = {8, 16},
                                          .layers_per_block = 1,
                                          .norm_groups = 4,
                                          .mid_attention = 1,
                                          .quant_conv = 1,
                                          .attention = {0, 1},
                                          .codebook = 64};
    sdi_vae_args args = {.config = &config, .b = 1, .h = 8, .w = 8};
    sdi_weights weights;
    parity p;
    parity_run r;
    (void)state;
    parity_open(&p, vq_file);
    parity_load(&p, &weights, vq_file, sdi_vae_encoder_net, &args);
    run(&p, &r, &weights, sdi_vae_encoder_net, &args, "image", "golden.image");
    parity_compare(&p, &r, "z", "golden.latents", 2e-5, 0);
    parity_end(&p, &r);
    sdi_weights_free(&weights);
    parity_load(&p, &weights, vq_file, sdi_vae_decoder_net, &args);
    run(&p, &r, &weights, sdi_vae_decoder_net, &args, "z", "golden.z");
    parity_compare(&p, &r, "image", "golden.decoded", 2e-5, 0);
    parity_end(&p, &r);
    sdi_weights_free(&weights);
    parity_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_autoencoder_agrees),
        cmocka_unit_test(test_vq_autoencoder_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
