/* SPDX-License-Identifier: MIT
 *
 * Declared parameters of the real-size networks against what the original classes hold: how many
 * tensors, how many numbers. Needs no weights and no fixtures.
 */
#include "support/support.h"

#include "net/class_embedder.h"
#include "net/clip_text.h"
#include "net/depth_dpt.h"
#include "net/taesd.h"
#include "net/unet.h"
#include "net/vae.h"
#include "nn/plan.h"

/* Declares a network after the others of the same weights. */
static void declare(const sdi_env *env, sdi_weights *weights, sdi_network_fn network,
                    const void *args)
{
    test_ok(env, sdi_nn_declare(env, weights, network, args));
}

static void check(sdi_network_fn first, sdi_network_fn second, const void *args, int32_t tensors,
                  uint64_t elements)
{
    sdi_env env = test_env_new();
    sdi_kernels kernels;
    sdi_weights weights;
    sdi_kernels_init(&kernels, 0, SDI_F32);
    sdi_weights_init(&weights, &env, &kernels);
    declare(&env, &weights, first, args);
    if (second)
        declare(&env, &weights, second, args);
    assert_int_equal(weights.count, tensors);
    assert_int_equal(sdi_weights_elements(&weights), elements);
    sdi_weights_free(&weights);
    test_env_free(&env);
}

static void check_unet(const sdi_unet_config *config, uint64_t elements)
{
    const sdi_unet_args args = {.config = config, .b = 1, .h = 8, .w = 8, .context_tokens = 77};
    check(sdi_unet_net, NULL, &args, 686, elements);
}

static sdi_unet_config sd2_config(void)
{
    sdi_unet_config config;
    sdi_unet_config_init(&config);
    config.cross_attention_dim = 1024;
    config.head_dim = 64;
    config.linear_projection = 1;
    return config;
}

static void test_unets_hold_what_the_originals_hold(void **state)
{
    sdi_unet_config config;
    (void)state;
    sdi_unet_config_init(&config);
    check_unet(&config, 859520964); // SD 1.5
    config.in_channels = 9;
    check_unet(&config, 859535364); // SD 1.5 inpainting
    config = sd2_config();
    check_unet(&config, 865910724); // SD 2.1
    config.in_channels = 5;
    check_unet(&config, 865913604); // SD 2 depth
    config.in_channels = 9;
    check_unet(&config, 865925124); // SD 2 inpainting
}

static void test_controlnets_hold_what_the_originals_hold(void **state)
{
    sdi_unet_config config;
    sdi_unet_args args = {.config = &config, .b = 1, .h = 8, .w = 8, .context_tokens = 77};
    (void)state;
    sdi_unet_config_init(&config);
    check(sdi_controlnet_net, NULL, &args, 340, 361279120);
    config = sd2_config();
    check(sdi_controlnet_net, NULL, &args, 340, 364228240);
}

static void test_ddpm_unet_holds_what_the_original_holds(void **state)
{
    (void)state;
    const sdi_unet_config config = {.in_channels = 3, // google/ddpm-cifar10-32
                                    .out_channels = 3,
                                    .levels = 4,
                                    .block_out_channels = {128, 256, 256, 256},
                                    .layers_per_block = {2, 2, 2, 2},
                                    .attention = {0, 1, 0, 0},
                                    .heads = {1, 1, 1, 1},
                                    .norm_groups = 32,
                                    .mid_attention = 1,
                                    .self_attention_only = 1};
    const sdi_unet_args args = {.config = &config, .b = 1, .h = 32, .w = 32};
    check(sdi_unet_net, NULL, &args, 328, 35746307);
}

static void test_autoencoders_hold_what_the_originals_hold(void **state)
{
    sdi_vae_config vae;
    sdi_taesd_config taesd;
    (void)state;
    sdi_vae_config_init(&vae);
    const sdi_vae_args args = {.config = &vae, .b = 1, .h = 8, .w = 8};
    check(sdi_vae_encoder_net, sdi_vae_decoder_net, &args, 248, 83653863);
    sdi_taesd_config_init(&taesd);
    const sdi_taesd_args tiny = {.config = &taesd, .b = 1, .h = 8, .w = 8};
    check(sdi_taesd_encoder_net, NULL, &tiny, 67, 1222532);
    check(sdi_taesd_decoder_net, NULL, &tiny, 67, 1222531);
}

static void test_text_encoders_hold_what_the_originals_hold(void **state)
{
    sdi_clip_config config;
    const sdi_clip_args args = {.config = &config, .b = 1, .t = 77};
    (void)state;
    sdi_clip_config_init(&config);
    check(sdi_clip_text_net, NULL, &args, 196, 123060480); // ViT-L/14
    config.hidden_size = 1024;
    config.intermediate_size = 4096;
    config.heads = 16;
    config.layers = 24; // ViT-H without text_projection and logit_scale
    config.penultimate = 1;
    check(sdi_clip_text_net, NULL, &args, 388, 352984064);
}

static void test_class_embedder_holds_what_the_original_holds(void **state)
{
    const sdi_class_embedder_args args = {.classes = 1001, .width = 512, .b = 1}; // cin256
    (void)state;
    check(sdi_class_embedder_net, NULL, &args, 1, 512512);
}

/* MiDaS less what nothing reads: the classifier, the last norm, refinenet4.resConfUnit1. */
static void test_depth_estimator_holds_what_the_original_holds(void **state)
{
    sdi_dpt_config config;
    const sdi_dpt_args args = {.config = &config, .b = 1, .h = 384, .w = 384};
    (void)state;
    sdi_dpt_config_init(&config);
    check(sdi_dpt_net, NULL, &args, 360 + 2 * 24, 121196289); // q, k, v are one tensor in MiDaS
}

/* ---- lack of memory ------------------------------------------------------------------------ */

static sdiff_status build(const sdi_env *env, sdi_weights *weights, sdi_network_fn network,
                          const void *args, sdi_plan **plan)
{
    SDI_TRY(sdi_nn_declare(env, weights, network, args));
    SDI_TRY(sdi_weights_allocate(env, weights));
    return sdi_plan_new(env, weights, network, args, 2, plan);
}

/* Every allocation fails once: a status, a sentence, no leak. */
static void starve(sdi_network_fn network, const void *args)
{
    sdiff_status status = SDIFF_ERROR_NO_MEMORY;
    for (uint64_t n = 1; status != SDIFF_OK; n++) {
        const sdi_mem_params params = {.fail_at = n};
        sdi_env env = test_env_with(&params);
        sdi_kernels kernels;
        sdi_weights weights;
        sdi_plan *plan = NULL;
        sdi_kernels_init(&kernels, 0, SDI_F32);
        sdi_weights_init(&weights, &env, &kernels);
        status = build(&env, &weights, network, args, &plan);
        if (status != SDIFF_OK) {
            assert_int_equal(status, SDIFF_ERROR_NO_MEMORY);
            assert_true(test_error(&env)[0] != '\0');
        }
        sdi_plan_free(&env, plan);
        sdi_weights_free(&weights);
        test_env_free(&env);
        assert_true(n < 20000);
    }
}

static void test_networks_survive_lack_of_memory(void **state)
{
    (void)state;
    const sdi_unet_config unet = {.in_channels = 4,
                                  .out_channels = 4,
                                  .levels = 2,
                                  .block_out_channels = {8, 8},
                                  .layers_per_block = {1, 1},
                                  .attention = {1, 0},
                                  .heads = {2, 2},
                                  .transformer_layers = {1, 1},
                                  .cross_attention_dim = 8,
                                  .norm_groups = 4,
                                  .norm_eps = 1e-5f,
                                  .mid_attention = 1,
                                  .conditioning_channels = 3,
                                  .hint_channels = {4, 4},
                                  .hint_levels = 2};
    const sdi_unet_args unet_args = {.config = &unet, .b = 1, .h = 4, .w = 4, .context_tokens = 3};
    const sdi_dpt_config dpt = {.image_channels = 3,
                                .stem_channels = 8,
                                .stages = 3,
                                .stage_channels = {8, 8, 8},
                                .stage_layers = {1, 1, 1},
                                .norm_groups = 4,
                                .hidden_size = 8,
                                .layers = 2,
                                .heads = 2,
                                .intermediate_size = 8,
                                .position_side = 2,
                                .taps = {0, 1},
                                .neck_channels = {8, 8, 8, 8},
                                .fusion_channels = 8,
                                .head_channels = 4};
    const sdi_dpt_args dpt_args = {.config = &dpt, .b = 1, .h = 64, .w = 32};
    starve(sdi_unet_net, &unet_args);
    starve(sdi_controlnet_net, &unet_args);
    starve(sdi_dpt_net, &dpt_args);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unets_hold_what_the_originals_hold),
        cmocka_unit_test(test_controlnets_hold_what_the_originals_hold),
        cmocka_unit_test(test_ddpm_unet_holds_what_the_original_holds),
        cmocka_unit_test(test_autoencoders_hold_what_the_originals_hold),
        cmocka_unit_test(test_text_encoders_hold_what_the_originals_hold),
        cmocka_unit_test(test_class_embedder_holds_what_the_original_holds),
        cmocka_unit_test(test_depth_estimator_holds_what_the_original_holds),
        cmocka_unit_test(test_networks_survive_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
