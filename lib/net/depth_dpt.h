/* SPDX-License-Identifier: MIT
 *
 * The depth estimator of SD 2 depth-to-image: MiDaS 3.0 DPT-hybrid. DPTForDepthEstimation of
 * transformers with a BiT backbone (names), ldm.modules.midas of the original.
 */
#ifndef SDI_NET_DEPTH_DPT_H
#define SDI_NET_DEPTH_DPT_H

#include "nn/nn.h"

enum { SDI_DPT_MAX_STAGES = 4, SDI_DPT_FEATURES = 4 };

typedef struct sdi_dpt_config {
    int32_t image_channels;                     // 3
    int32_t stem_channels;                      // 64
    int32_t stages;                             // 3
    int32_t stage_channels[SDI_DPT_MAX_STAGES]; // 256, 512, 1024
    int32_t stage_layers[SDI_DPT_MAX_STAGES];   // 3, 4, 9
    int32_t norm_groups;                        // 32, of the backbone
    int32_t hidden_size, layers, heads, intermediate_size; // 768, 12, 12, 3072
    float eps;              // layer norms: 1e-12 in transformers' configuration, 1e-6 in MiDaS
    int32_t position_side;  // the position table is for so many tokens in a row: 384 / 16 = 24
    int32_t taps[2];        // the neck takes the tokens after these layers (from 0): 8, 11
    int32_t neck_channels[SDI_DPT_FEATURES]; // 256, 512, 768, 768
    int32_t fusion_channels;                 // 256
    int32_t head_channels;                   // 32
} sdi_dpt_config;

void sdi_dpt_config_init(sdi_dpt_config *config); // dpt-hybrid-midas

typedef struct sdi_dpt_args {
    const sdi_dpt_config *config;
    int64_t b, h, w; // pixels; multiples of 32, 384 is what it was trained on
    int32_t intermediates;
} sdi_dpt_args;

/* "pixel_values" [b, 3, h, w], (x - 0.5) / 0.5 of pixels in [0, 1] -> "depth" [b, 1, h, w]: inverse
 * depth (near is large) on no particular scale, not negative.
 * Files hold tensors that nothing reads: dpt.layernorm.* and
 * neck.fusion_stage.layers.0.residual_layer1.*. */
void sdi_dpt_net(sdi_nn *n, const void *args);

#endif
