/* SPDX-License-Identifier: MIT
 *
 * The blocks that the networks of latent diffusion share. Each adds its own branch to x and returns
 * the sum; names of parameters are relative to the builder's place (nn_enter) and are diffusers'.
 */
#ifndef SDI_NET_BLOCKS_H
#define SDI_NET_BLOCKS_H

#include "nn/nn.h"

/* ResnetBlock2D (openaimodel.ResBlock, model.ResnetBlock). */
typedef struct sdi_resnet {
    int64_t out; // channels of the result
    int32_t groups;
    float eps;
    nn_tensor time; // silu(time embedding) [n, 1, 1, d]; NULL: none (autoencoders)
} sdi_resnet;

nn_tensor sdi_net_resnet(sdi_nn *n, nn_tensor x, const sdi_resnet *block);

/* Transformer2DModel (SpatialTransformer): self-attention, cross-attention, feed-forward. */
typedef struct sdi_transformer {
    int32_t layers, heads, groups;
    int32_t linear_projection; // proj_in and proj_out are linear layers, not 1x1 convolutions
    int32_t only_cross;        // attn1 looks at the prompt too (SD x4 upscaler)
    nn_tensor context;         // the prompt [b, 1, t, d]
    const char *probe;         // tests: name of this module, or NULL
} sdi_transformer;

nn_tensor sdi_net_transformer(sdi_nn *n, nn_tensor x, const sdi_transformer *block);

/* Attention over the pixels of a feature map (AttnBlock, AttentionBlock; no feed-forward). */
nn_tensor sdi_net_attention(sdi_nn *n, nn_tensor x, int32_t heads, int32_t groups, float eps);

/* A 3x3 convolution of stride 2. `padding` 1: one zero on each side; 0: none at top and left, one
 * at bottom and right. */
nn_tensor sdi_net_downsample(sdi_nn *n, const char *name, nn_tensor x, int64_t out,
                             int32_t padding);
/* Nearest-neighbour resize to h x w, then a 3x3 convolution. */
nn_tensor sdi_net_upsample(sdi_nn *n, const char *name, nn_tensor x, int64_t out, int64_t h,
                           int64_t w);

/* Where `on`, makes x an output of the plan under this name, for tests of intermediate values. */
void sdi_net_probe(sdi_nn *n, int32_t on, nn_tensor x, const char *format, ...) SDI_PRINTF(4, 5);

#endif
