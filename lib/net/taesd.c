/* SPDX-License-Identifier: MIT
 *
 * A tiny autoencoder for latents: AutoencoderTiny of diffusers (EncoderTiny, DecoderTiny), which is
 * taesd.py of madebyollin/taesd. Both halves are one list of layers and are named by position.
 *
 *   encoder                                  decoder
 *   image in [-1, 1] -> [0, 1]               z -> 3 tanh(z / 3)
 *   conv 3x3, blocks                         conv 3x3, relu
 *   (conv 3x3 stride 2, blocks) x levels-1   (blocks, upsample 2x, conv 3x3) x levels-1
 *   conv 3x3 -> z                            blocks, conv 3x3 -> [0, 1] -> image in [-1, 1]
 *
 *   block: relu(conv.4(relu(conv.2(relu(conv.0 x)))) + x)       all 3x3
 *
 * Convolutions that change the size have no bias. Sizes: n images of h x w pixels with c channels.
 */
#include "net/taesd.h"

#include <stdio.h>

void sdi_taesd_config_init(sdi_taesd_config *config)
{
    *config = (sdi_taesd_config){.image_channels = 3,
                                 .latent_channels = 4,
                                 .levels = 4,
                                 .encoder_channels = {64, 64, 64, 64},
                                 .encoder_blocks = {1, 3, 3, 3},
                                 .decoder_channels = {64, 64, 64, 64},
                                 .decoder_blocks = {3, 3, 3, 1}};
}

/* AutoencoderTinyBlock; a 1x1 convolution is the shortcut where the channels change. */
static nn_tensor tiny_block(sdi_nn *n, nn_tensor x, int64_t out)
{
    nn_conv_options last = {
        .kernel = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
    const nn_conv_options skip = {.kernel = 1, .no_bias = 1};
    nn_tensor y = nn_act(n, nn_conv2d(n, "conv.0", x, out, 3), SDI_ACT_RELU); // [n, h, w, out]
    y = nn_act(n, nn_conv2d(n, "conv.2", y, out, 3), SDI_ACT_RELU);
    last.residual = x->c == out ? x : nn_conv2d_with(n, "skip", x, out, &skip);
    return nn_act(n, nn_conv2d_with(n, "conv.4", y, out, &last), SDI_ACT_RELU);
}

static nn_tensor tiny_blocks(sdi_nn *n, nn_tensor x, int32_t count, int64_t out, int32_t *index)
{
    for (int32_t i = 0; i < count; i++) {
        nn_enter(n, "%d", (int)(*index)++);
        x = tiny_block(n, x, out);
        nn_leave(n);
    }
    return x;
}

/* The next convolution of the list: halves the size (stride 2), doubles it (scale 2) or keeps it.
 */
static nn_tensor next_conv(sdi_nn *n, nn_tensor x, int64_t out, int32_t stride, int32_t scale,
                           int32_t *index)
{
    char name[16];
    snprintf(name, sizeof name, "%d", (int)(*index)++);
    const nn_conv_options options = {.kernel = 3,
                                     .stride = stride,
                                     .no_bias = stride != 1 || scale != 1,
                                     .pad_top = 1,
                                     .pad_left = 1,
                                     .pad_bottom = 1,
                                     .pad_right = 1,
                                     .up_h = scale * x->h,
                                     .up_w = scale * x->w};
    return nn_conv2d_with(n, name, x, out, &options);
}

void sdi_taesd_encoder_net(sdi_nn *n, const void *args)
{
    const sdi_taesd_args *a = args;
    const sdi_taesd_config *config = a->config;
    int32_t index = 0;
    nn_tensor x = nn_input_map(n, "image", a->b, config->image_channels, a->h, a->w, NN_EACH);
    x = nn_scale_shift(n, x, 0.5f, 0.5f); // [n, h, w, 3]
    nn_enter(n, "encoder.layers");
    for (int32_t i = 0; i < config->levels; i++) {
        const int64_t out = config->encoder_channels[i];
        x = next_conv(n, x, out, i ? 2 : 1, 1, &index); // [n, h >> i, w >> i, out]
        x = tiny_blocks(n, x, config->encoder_blocks[i], out, &index);
    }
    x = next_conv(n, x, config->latent_channels, 1, 1, &index); // [n, h/8, w/8, 4]
    nn_leave(n);
    nn_output_map(n, "z", x);
}

void sdi_taesd_decoder_net(sdi_nn *n, const void *args)
{
    const sdi_taesd_args *a = args;
    const sdi_taesd_config *config = a->config;
    int32_t index = 0;
    nn_tensor x = nn_input_map(n, "z", a->b, config->latent_channels, a->h, a->w, NN_EACH);
    x = nn_soft_clamp(n, x, 3); // [n, h, w, 4]
    nn_enter(n, "decoder.layers");
    x = nn_act(n, next_conv(n, x, config->decoder_channels[0], 1, 1, &index), SDI_ACT_RELU);
    index++; // the activation has a place in the list, and so has the upsampling below
    for (int32_t i = 0; i < config->levels; i++) {
        const int32_t last = i + 1 == config->levels;
        const int64_t out = last ? config->image_channels : config->decoder_channels[i];
        x = tiny_blocks(n, x, config->decoder_blocks[i], config->decoder_channels[i], &index);
        index += !last;
        x = next_conv(n, x, out, 1, last ? 1 : 2, &index); // [n, 2h, 2w, out]
    }
    nn_leave(n);
    nn_output_map(n, "image", nn_scale_shift(n, x, 2, -1));
}
