/* SPDX-License-Identifier: MIT
 *
 * The tiny autoencoder, both ways. Weights and golden values are in tests/data/networks.
 */
#include "net/taesd.h"
#include "parity.h"

#include <stdlib.h>

static const char file[] = "data/networks/tiny_autoencoder.safetensors";

/* Measured float32 against float64: 7.1e-7 of outputs up to 3. */
static const double tolerance = 1e-5;

static void check(parity *p, const sdi_taesd_config *config, sdi_network_fn network,
                  const char *names[2], const char *golden[2])
{
    sdi_weights weights;
    parity_run r;
    int64_t shape[4];
    float *input = parity_golden(p, golden[0], shape);
    const sdi_taesd_args args = {.config = config, .b = shape[0], .h = shape[2], .w = shape[3]};
    parity_load(p, &weights, file, network, &args);
    parity_plan(p, &r, &weights, network, &args);
    parity_set(p, &r, names[0], input);
    parity_go(p, &r);
    parity_compare(p, &r, names[1], golden[1], tolerance, 0);
    parity_end(p, &r);
    sdi_weights_free(&weights);
    free(input);
}

static void test_tiny_autoencoder_agrees(void **state)
{
    static const sdi_taesd_config config = {.image_channels = 3,
                                            .latent_channels = 4,
                                            .levels = 3,
                                            .encoder_channels = {8, 8, 8},
                                            .encoder_blocks = {1, 2, 1},
                                            .decoder_channels = {8, 8, 8},
                                            .decoder_blocks = {2, 1, 1}};
    const char *encoder[] = {"image", "z"}, *decoder[] = {"z", "image"};
    const char *latents[] = {"golden.image", "golden.latents"};
    const char *decoded[] = {"golden.z", "golden.decoded"};
    parity p;
    (void)state;
    parity_open(&p, file);
    check(&p, &config, sdi_taesd_encoder_net, encoder, latents);
    check(&p, &config, sdi_taesd_decoder_net, decoder, decoded);
    parity_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny_autoencoder_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
