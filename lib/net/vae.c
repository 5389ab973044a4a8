/* SPDX-License-Identifier: MIT
 *
 * The autoencoders of latent diffusion (Rombach et al. 2022; Esser et al. 2021): AutoencoderKL and
 * VQModel of diffusers, those of ldm.models.autoencoder with the Encoder and Decoder of
 * ldm.modules.diffusionmodules.model.
 *
 *   encoder                                     decoder
 *   image [n, h, w, 3]                          z [n, h/8, w/8, 4]
 *   conv_in                                     post_quant_conv 1x1, conv_in
 *   down_blocks.i: layers x resnet              mid_block: resnet, attention, resnet
 *                  downsample (not the last)    up_blocks.i: (layers + 1) x resnet
 *   mid_block: resnet, attention, resnet                     upsample (not the last)
 *   conv_norm_out, silu, conv_out               conv_norm_out, silu, conv_out
 *   quant_conv 1x1                              image [n, h, w, 3]
 *   moments [n, h/8, w/8, 2*4]
 *
 * VQModel: half as many channels behind the encoder, and the decoder starts by replacing each pixel
 * of z by the nearest row of a table (quantize.embedding).
 *
 * Every group norm has eps 1e-6. Sizes: n images of h x w pixels with c channels.
 */
#include "net/vae.h"

#include "net/blocks.h"

#include <stdio.h>

#define NORM_EPS 1e-6f

void sdi_vae_config_init(sdi_vae_config *config)
{
    *config = (sdi_vae_config){.image_channels = 3,
                               .latent_channels = 4,
                               .levels = 4,
                               .block_out_channels = {128, 256, 512, 512},
                               .layers_per_block = 2,
                               .norm_groups = 32,
                               .mid_attention = 1,
                               .quant_conv = 1,
                               .scaling_factor = 0.18215};
}

static nn_tensor resnet(sdi_nn *n, const sdi_vae_config *config, const char *name, nn_tensor x,
                        int64_t out)
{
    const sdi_resnet block = {.out = out, .groups = config->norm_groups, .eps = NORM_EPS};
    nn_enter(n, "%s", name);
    x = sdi_net_resnet(n, x, &block);
    nn_leave(n);
    return x;
}

/* One head as wide as the channels. */
static nn_tensor attention(sdi_nn *n, const sdi_vae_config *config, int32_t index, nn_tensor x)
{
    nn_enter(n, "attentions.%d", (int)index);
    x = sdi_net_attention(n, x, 1, config->norm_groups, NORM_EPS);
    nn_leave(n);
    return x;
}

/* The layers of a level, on its way down or up. */
static nn_tensor layers(sdi_nn *n, const sdi_vae_config *config, int32_t level, int32_t count,
                        nn_tensor x)
{
    for (int32_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "resnets.%d", (int)i);
        x = resnet(n, config, name, x, config->block_out_channels[level]); // [n, h, w, out]
        if (config->attention[level])
            x = attention(n, config, i, x);
    }
    return x;
}

static nn_tensor mid_block(sdi_nn *n, const sdi_vae_args *a, nn_tensor x)
{
    nn_enter(n, "mid_block");
    x = resnet(n, a->config, "resnets.0", x, x->c);
    if (a->config->mid_attention) {
        x = attention(n, a->config, 0, x);
        sdi_net_probe(n, a->intermediates, x, "mid_block.attentions.0");
    }
    x = resnet(n, a->config, "resnets.1", x, x->c);
    nn_leave(n);
    sdi_net_probe(n, a->intermediates, x, "mid_block");
    return x;
}

static nn_tensor head(sdi_nn *n, const sdi_vae_args *a, nn_tensor x, int64_t out)
{
    x = nn_group_norm_silu(n, "conv_norm_out", x, a->config->norm_groups, NORM_EPS);
    return nn_conv2d(n, "conv_out", x, out, 3); // [n, h, w, out]
}

/* ---- encoder --------------------------------------------------------------------------------- */

static nn_tensor down_block(sdi_nn *n, const sdi_vae_args *a, int32_t level, nn_tensor x)
{
    const sdi_vae_config *config = a->config;
    nn_enter(n, "down_blocks.%d", (int)level);
    x = layers(n, config, level, config->layers_per_block, x);
    if (level + 1 < config->levels) // zeros at the right and the bottom only: [n, h/2, w/2, out]
        x = sdi_net_downsample(n, "downsamplers.0.conv", x, x->c, 0);
    nn_leave(n);
    sdi_net_probe(n, a->intermediates, x, "down_blocks.%d", (int)level);
    return x;
}

void sdi_vae_encoder_net(sdi_nn *n, const void *args)
{
    const sdi_vae_args *a = args;
    const sdi_vae_config *config = a->config;
    const int64_t moments = (config->codebook ? 1 : 2) * config->latent_channels;
    const int32_t stem =
        config->stem_channels ? config->stem_channels : config->block_out_channels[0];
    nn_tensor x = nn_input_map(n, "image", a->b, config->image_channels, a->h, a->w, NN_EACH);
    nn_enter(n, "encoder");
    x = nn_conv2d(n, "conv_in", x, stem, 3); // [n, h, w, c]
    sdi_net_probe(n, a->intermediates, x, "conv_in");
    for (int32_t i = 0; i < config->levels; i++)
        x = down_block(n, a, i, x);
    x = mid_block(n, a, x);
    x = head(n, a, x, moments); // [n, h/8, w/8, 8]
    nn_leave(n);
    sdi_net_probe(n, a->intermediates, x, "encoder");
    if (config->quant_conv)
        x = nn_conv2d(n, "quant_conv", x, moments, 1);
    nn_output_map(n, config->codebook ? "z" : "moments", x); // no log variance is clamped yet
}

/* ---- decoder --------------------------------------------------------------------------------- */

static nn_tensor up_block(sdi_nn *n, const sdi_vae_args *a, int32_t index, nn_tensor x)
{
    const sdi_vae_config *config = a->config;
    nn_enter(n, "up_blocks.%d", (int)index);
    x = layers(n, config, config->levels - 1 - index, config->layers_per_block + 1, x);
    if (index + 1 < config->levels)
        x = sdi_net_upsample(n, "upsamplers.0.conv", x, x->c, 2 * x->h, 2 * x->w);
    nn_leave(n);
    sdi_net_probe(n, a->intermediates, x, "up_blocks.%d", (int)index);
    return x;
}

void sdi_vae_decoder_net(sdi_nn *n, const void *args)
{
    const sdi_vae_args *a = args;
    const sdi_vae_config *config = a->config;
    nn_tensor x = nn_input_map(n, "z", a->b, config->latent_channels, a->h, a->w, NN_EACH);
    if (config->codebook)
        x = nn_nearest_rows(n, "quantize.embedding", x, config->codebook);
    if (config->quant_conv)
        x = nn_conv2d(n, "post_quant_conv", x, config->latent_channels, 1); // [n, h, w, 4]
    nn_enter(n, "decoder");
    x = nn_conv2d(n, "conv_in", x, config->block_out_channels[config->levels - 1], 3);
    sdi_net_probe(n, a->intermediates, x, "conv_in");
    x = mid_block(n, a, x);
    for (int32_t i = 0; i < config->levels; i++)
        x = up_block(n, a, i, x);
    x = head(n, a, x, config->image_channels); // [n, 8h, 8w, 3]
    nn_leave(n);
    nn_output_map(n, "image", x);
}
