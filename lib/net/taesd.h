/* SPDX-License-Identifier: MIT
 *
 * A tiny autoencoder that stands in for the large one: previews of every step, fast decoding.
 * AutoencoderTiny of diffusers (names), madebyollin/taesd of the original.
 */
#ifndef SDI_NET_TAESD_H
#define SDI_NET_TAESD_H

#include "nn/nn.h"

enum { SDI_TAESD_MAX_LEVELS = 8 };

typedef struct sdi_taesd_config {
    int32_t image_channels, latent_channels; // 3, 4
    int32_t levels;                          // images are 2^(levels-1) times the latents
    int32_t encoder_channels[SDI_TAESD_MAX_LEVELS], encoder_blocks[SDI_TAESD_MAX_LEVELS];
    int32_t decoder_channels[SDI_TAESD_MAX_LEVELS], decoder_blocks[SDI_TAESD_MAX_LEVELS];
} sdi_taesd_config;

void sdi_taesd_config_init(sdi_taesd_config *config);

typedef struct sdi_taesd_args {
    const sdi_taesd_config *config;
    int64_t b, h, w; // of the input: pixels for the encoder, latents for the decoder
} sdi_taesd_args;

/* "image" [b, 3, h, w] in [-1, 1] -> "z" [b, 4, h/8, w/8]: latents as the U-Net sees them, scaling
 * factor included. */
void sdi_taesd_encoder_net(sdi_nn *n, const void *args);
/* "z" [b, 4, h, w], latents as the U-Net sees them (not divided by the scaling factor) ->
 * "image" [b, 3, 8h, 8w] in about [-1, 1]. */
void sdi_taesd_decoder_net(sdi_nn *n, const void *args);

#endif
