/* SPDX-License-Identifier: MIT
 *
 * The autoencoders of latent diffusion: AutoencoderKL and VQModel of diffusers,
 * ldm.models.autoencoder.AutoencoderKL and VQModelInterface of the original; names are diffusers'.
 */
#ifndef SDI_NET_VAE_H
#define SDI_NET_VAE_H

#include "nn/nn.h"

enum { SDI_VAE_MAX_LEVELS = 8 };

typedef struct sdi_vae_config {
    double scaling_factor;   // 0.18215
    double shift_factor;     // 0
    int32_t image_channels;  // 3
    int32_t latent_channels; // 4
    int32_t levels;          // images are 2^(levels-1) times the latents
    int32_t block_out_channels[SDI_VAE_MAX_LEVELS];
    int32_t layers_per_block;
    int32_t norm_groups; // 32
    int32_t mid_attention; // 1
    int32_t quant_conv;    // 1: quant_conv and post_quant_conv are there
    int32_t stem_channels; // of the encoder's conv_in; 0: as the first level (LDM's ch, where
                           // ch_mult does not begin with 1)
    int32_t attention[SDI_VAE_MAX_LEVELS]; // 1: after each resnet of the encoder's level and of the
                                           // decoder's level of the same size
    int32_t codebook; // > 0: VQModel, latents are rows of a table of so many; no moments
} sdi_vae_config;

void sdi_vae_config_init(sdi_vae_config *config);

typedef struct sdi_vae_args {
    const sdi_vae_config *config;
    int64_t b, h, w; // of the input: pixels for the encoder, latents for the decoder
    int32_t intermediates;
} sdi_vae_args;

/* "image" [b, 3, h, w] in [-1, 1] -> "moments" [b, 2*latent_channels, …]: mean, log variance. With
 * a codebook -> "z" [b, latent_channels, …], not yet looked up in it. */
void sdi_vae_encoder_net(sdi_nn *n, const void *args);
/* "z" [b, 4, h, w], already divided by the scaling factor -> "image" [b, 3, …] in about [-1, 1]. */
void sdi_vae_decoder_net(sdi_nn *n, const void *args);

#endif
