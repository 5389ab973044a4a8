/* SPDX-License-Identifier: MIT
 *
 * The noise predictor of Stable Diffusion 1.x and 2.x and of the models before it:
 * UNet2DConditionModel, UNet2DModel and ControlNetModel of diffusers,
 * ldm.modules.diffusionmodules.openaimodel.UNetModel of the original; names are diffusers'.
 */
#ifndef SDI_NET_UNET_H
#define SDI_NET_UNET_H

#include "nn/nn.h"

enum {
    SDI_UNET_MAX_LEVELS = 8,
    SDI_UNET_MAX_LAYERS = 16, // layers_per_block: what reads configurations refuses more
    SDI_UNET_MAX_SKIPS = 1 + SDI_UNET_MAX_LEVELS * (SDI_UNET_MAX_LAYERS + 1)
};

typedef struct sdi_unet_config {
    int32_t in_channels, out_channels;
    int32_t levels;
    int32_t block_out_channels[SDI_UNET_MAX_LEVELS];
    int32_t layers_per_block[SDI_UNET_MAX_LEVELS];
    int32_t attention[SDI_UNET_MAX_LEVELS];    // 1: the level's down and up blocks have attention
    int32_t heads[SDI_UNET_MAX_LEVELS];        // number of heads (not their width)
    int32_t head_dim;                          // > 0: width of a head; overrides heads
    int32_t transformer_layers[SDI_UNET_MAX_LEVELS];
    int32_t cross_attention_dim;               // 0: no cross-attention (unconditional models)
    int32_t linear_projection;                 // SD2: proj_in/out are linear layers
    int32_t norm_groups;                       // 32
    float norm_eps;                            // 1e-5
    int32_t mid_attention;
    int32_t flip_sin_to_cos;                   // 1
    float freq_shift;                          // 0
    int32_t class_embeddings;                  // > 0: table of labels added to the time embedding
    int32_t self_attention_only;               // AttnDownBlock2D (no transformer): DDPM-type models
    int32_t sample_size;                       // latents' usual height and width
    int32_t conditioning_channels;             // ControlNet: channels of the hint (3)
    int32_t hint_channels[SDI_UNET_MAX_LEVELS]; // ControlNet: 16, 32, 96, 256
    int32_t hint_levels;
    int32_t only_cross_attention[SDI_UNET_MAX_LEVELS]; // attn1 sees the prompt too (SD x4 upscaler)
    int32_t asymmetric_downsample; // downsample_padding 0: pixel-space DDPM models
} sdi_unet_config;

void sdi_unet_config_init(sdi_unet_config *config); // SD 1.5

/* Skip connections of this configuration: the number of "down_residual.N" and "down.N". */
int32_t sdi_unet_skips(const sdi_unet_config *config);

/* Plan arguments. Inputs: "sample" [b, c, h, w], "timestep" [b, 1, 1], "context" [b, t, d]
 * (NN_ONCE), "class_labels" [b, 1] ids where configured; with `residuals` also "down_residual.N"
 * and "mid_residual" (ControlNet's). Output: "out". */
typedef struct sdi_unet_args {
    const sdi_unet_config *config;
    int64_t b, h, w, context_tokens;
    int32_t residuals;
    int32_t intermediates; // tests: outputs named as the original modules
} sdi_unet_args;

void sdi_unet_net(sdi_nn *n, const void *args /* sdi_unet_args */);

/* ControlNet: the encoder half and the hint network ("controlnet_cond_embedding"). Inputs as above
 * and "hint" [b, 3, 8h, 8w] (NN_ONCE); outputs "down.N" and "mid". */
void sdi_controlnet_net(sdi_nn *n, const void *args /* sdi_unet_args */);

#endif
