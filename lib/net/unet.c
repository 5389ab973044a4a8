/* SPDX-License-Identifier: MIT
 *
 * The noise predictor (Ho et al. 2020; Dhariwal & Nichol 2021; Rombach et al. 2022):
 * UNet2DConditionModel, UNet2DModel and ControlNetModel of diffusers, openaimodel.UNetModel and
 * cldm.ControlNet of the originals.
 *
 *   timestep -> sinusoids -> time_embedding (linear, silu, linear) [+ class_embedding] -> time
 *
 *   sample -> conv_in -----------------------------------------------------> skip 0
 *      down_blocks.i   i = 0 … levels-1                                        |
 *          layers x { resnet, attention } ---------------------------------> skips
 *          downsample (but not the last level) ----------------------------> skip
 *      mid_block       resnet, attention, resnet                               |
 *      up_blocks.j     j = 0 … levels-1, for level levels-1-j                  |
 *          (layers + 1) x { concatenate a skip <---------------------------- last in, first out
 *                           resnet, attention }
 *          upsample to the size of the next skip (but not the last)
 *   conv_norm_out, silu, conv_out -> out
 *
 * An attention is a transformer with cross-attention (CrossAttnDownBlock2D …), plain
 * self-attention (AttnDownBlock2D …) or nothing (DownBlock2D …), by level.
 *
 * A ControlNet is the same network down to mid_block, with a picture (hint) added behind conv_in;
 * each skip and the middle leave it through a 1x1 convolution and are added to those of the U-Net:
 *
 *   hint -> conv_in, silu, blocks x { conv, silu, conv stride 2, silu }, conv_out -> + conv_in's
 *   skip N -> controlnet_down_blocks.N -> down.N          middle -> controlnet_mid_block -> mid
 *
 * Sizes: n images of h x w pixels (of latents) with c channels; b = n rows of t tokens of d
 * numbers.
 */
#include "net/unet.h"

#include "net/blocks.h"

#include <stdio.h>

void sdi_unet_config_init(sdi_unet_config *config)
{
    *config = (sdi_unet_config){.in_channels = 4,
                                .out_channels = 4,
                                .levels = 4,
                                .block_out_channels = {320, 640, 1280, 1280},
                                .layers_per_block = {2, 2, 2, 2},
                                .attention = {1, 1, 1, 0},
                                .heads = {8, 8, 8, 8},
                                .transformer_layers = {1, 1, 1, 1},
                                .cross_attention_dim = 768,
                                .norm_groups = 32,
                                .norm_eps = 1e-5f,
                                .mid_attention = 1,
                                .flip_sin_to_cos = 1,
                                .sample_size = 64,
                                .conditioning_channels = 3,
                                .hint_channels = {16, 32, 96, 256},
                                .hint_levels = 4};
}

int32_t sdi_unet_skips(const sdi_unet_config *config)
{
    int32_t skips = config->levels; // conv_in and levels - 1 downsamplers
    for (int32_t i = 0; i < config->levels; i++)
        skips += config->layers_per_block[i];
    return skips;
}

/* One pass over the builder. */
typedef struct unet {
    sdi_nn *n;
    const sdi_unet_args *args;
    const sdi_unet_config *config;
    nn_tensor time;    // silu(time embedding) [n, 1, 1, 4 * first channels]
    nn_tensor context; // [b, 1, t, d], NULL without cross-attention
    nn_tensor skips[SDI_UNET_MAX_SKIPS];
    int32_t skip_count;
} unet;

static void push(unet *u, nn_tensor x)
{
    u->skips[u->skip_count++] = x;
}

/* ---- parts ---------------------------------------------------------------------------------- */

/* TimestepEmbedding: all that a resnet block sees of the timestep and the class. */
static nn_tensor time_embedding(unet *u)
{
    sdi_nn *n = u->n;
    const int64_t width = u->config->block_out_channels[0], d = 4 * width;
    nn_tensor t = nn_input_tokens(n, "timestep", u->args->b, 1, 1, NN_EACH); // [n, 1, 1, 1]
    t = nn_timestep_embedding(n, t, width, u->config->flip_sin_to_cos, u->config->freq_shift);
    nn_enter(n, "time_embedding");
    t = nn_linear_act(n, "linear_1", t, d, SDI_ACT_SILU);
    t = nn_linear(n, "linear_2", t, d); // [n, 1, 1, d]
    nn_leave(n);
    sdi_net_probe(n, u->args->intermediates, t, "time_embedding");
    if (u->config->class_embeddings) {
        nn_tensor labels = nn_input_ids(n, "class_labels", u->args->b, 1, NN_ONCE);
        labels = nn_embedding(n, "class_embedding", labels, u->config->class_embeddings, d);
        t = nn_add(n, t, labels);
    }
    return nn_act(n, t, SDI_ACT_SILU); // once, instead of in each resnet block
}

static nn_tensor resnet(unet *u, nn_tensor x, int64_t out)
{
    const sdi_resnet block = {
        .out = out, .groups = u->config->norm_groups, .eps = u->config->norm_eps, .time = u->time};
    return sdi_net_resnet(u->n, x, &block);
}

static nn_tensor attention(unet *u, int32_t level, nn_tensor x, int32_t only_cross,
                           const char *probe)
{
    const sdi_unet_config *c = u->config;
    const int32_t heads = c->head_dim ? (int32_t)(x->c / c->head_dim) : c->heads[level];
    const sdi_transformer block = {.layers = c->transformer_layers[level],
                                   .heads = heads,
                                   .groups = c->norm_groups,
                                   .linear_projection = c->linear_projection,
                                   .only_cross = only_cross,
                                   .context = u->context,
                                   .probe = probe};
    if (c->self_attention_only)
        return sdi_net_attention(u->n, x, heads, c->norm_groups, c->norm_eps);
    return sdi_net_transformer(u->n, x, &block);
}

/* One layer of a down or up block: resnet, then attention where the level has it. */
static nn_tensor layer(unet *u, int32_t level, int32_t index, nn_tensor x, const char *block)
{
    const int32_t probe = u->args->intermediates && index == 0;
    char name[64];
    nn_enter(u->n, "resnets.%d", (int)index);
    x = resnet(u, x, u->config->block_out_channels[level]); // [n, h, w, channels of the level]
    nn_leave(u->n);
    sdi_net_probe(u->n, probe, x, "%s.resnets.0", block);
    if (!u->config->attention[level])
        return x;
    snprintf(name, sizeof name, "%s.attentions.0", block);
    nn_enter(u->n, "attentions.%d", (int)index);
    x = attention(u, level, x, u->config->only_cross_attention[level], probe ? name : NULL);
    nn_leave(u->n);
    sdi_net_probe(u->n, probe, x, "%s", name);
    return x;
}

static nn_tensor down_block(unet *u, int32_t level, nn_tensor x)
{
    const sdi_unet_config *c = u->config;
    char name[32];
    snprintf(name, sizeof name, "down_blocks.%d", (int)level);
    nn_enter(u->n, "%s", name);
    for (int32_t i = 0; i < c->layers_per_block[level]; i++) {
        x = layer(u, level, i, x, name);
        push(u, x);
    }
    if (level + 1 < c->levels) { // [n, ceil(h/2), ceil(w/2), c]
        x = sdi_net_downsample(u->n, "downsamplers.0.conv", x, x->c, !c->asymmetric_downsample);
        push(u, x);
    }
    nn_leave(u->n);
    sdi_net_probe(u->n, u->args->intermediates, x, "%s", name);
    return x;
}

static nn_tensor mid_block(unet *u, nn_tensor x)
{
    const int32_t last = u->config->levels - 1;
    nn_enter(u->n, "mid_block");
    nn_enter(u->n, "resnets.0");
    x = resnet(u, x, x->c);
    nn_leave(u->n);
    if (u->config->mid_attention) { // never only_cross, also where all levels are
        nn_enter(u->n, "attentions.0");
        x = attention(u, last, x, 0, NULL);
        nn_leave(u->n);
    }
    nn_enter(u->n, "resnets.1");
    x = resnet(u, x, x->c);
    nn_leave(u->n);
    nn_leave(u->n);
    sdi_net_probe(u->n, u->args->intermediates, x, "mid_block");
    return x;
}

static nn_tensor up_block(unet *u, int32_t index, nn_tensor x)
{
    const int32_t level = u->config->levels - 1 - index;
    char name[32];
    snprintf(name, sizeof name, "up_blocks.%d", (int)index);
    nn_enter(u->n, "%s", name);
    for (int32_t i = 0; i <= u->config->layers_per_block[level]; i++) {
        x = nn_concat(u->n, x, u->skips[--u->skip_count]); // [n, h, w, c + skip's c]
        x = layer(u, level, i, x, name);
    }
    if (level > 0) {
        // Twice the size only if the downsampler did not round up: the skip tells.
        nn_tensor next = u->skips[u->skip_count - 1];
        x = sdi_net_upsample(u->n, "upsamplers.0.conv", x, x->c, next->h, next->w);
    }
    nn_leave(u->n);
    sdi_net_probe(u->n, u->args->intermediates, x, "%s", name);
    return x;
}

/* ---- the encoder half ------------------------------------------------------------------------ */

/* From the inputs to the middle; `hint` [n, h, w, c] is added behind conv_in, or NULL. */
static nn_tensor encode(unet *u, nn_tensor hint)
{
    const sdi_unet_config *c = u->config;
    const sdi_unet_args *a = u->args;
    const nn_conv_options in = {.kernel = 3,
                                .pad_top = 1,
                                .pad_left = 1,
                                .pad_bottom = 1,
                                .pad_right = 1,
                                .residual = hint};
    u->time = time_embedding(u);
    if (!c->self_attention_only && c->cross_attention_dim)
        u->context = nn_input_tokens(u->n, "context", a->b, a->context_tokens,
                                     c->cross_attention_dim, NN_ONCE);

    nn_tensor x = nn_input_map(u->n, "sample", a->b, c->in_channels, a->h, a->w, NN_EACH);
    x = nn_conv2d_with(u->n, "conv_in", x, c->block_out_channels[0], &in); // [n, h, w, c]
    sdi_net_probe(u->n, a->intermediates, x, "conv_in");
    push(u, x);
    for (int32_t i = 0; i < c->levels; i++)
        x = down_block(u, i, x);
    return mid_block(u, x);
}

/* ---- U-Net ----------------------------------------------------------------------------------- */

/* What ControlNets say, already weighted and summed: the skips get it, and the middle, but not the
 * encoder itself. */
static nn_tensor add_residuals(unet *u, nn_tensor middle)
{
    char name[32];
    for (int32_t i = 0; i < u->skip_count; i++) {
        nn_tensor x = u->skips[i];
        snprintf(name, sizeof name, "down_residual.%d", (int)i);
        u->skips[i] = nn_add(u->n, x, nn_input_map(u->n, name, x->n, x->c, x->h, x->w, NN_EACH));
    }
    return nn_add(
        u->n, middle,
        nn_input_map(u->n, "mid_residual", middle->n, middle->c, middle->h, middle->w, NN_EACH));
}

void sdi_unet_net(sdi_nn *n, const void *args)
{
    const sdi_unet_args *a = args;
    const sdi_unet_config *c = a->config;
    unet u = {.n = n, .args = a, .config = c};
    nn_tensor x = encode(&u, NULL);
    if (a->residuals)
        x = add_residuals(&u, x);
    for (int32_t i = 0; i < c->levels; i++)
        x = up_block(&u, i, x);
    x = nn_group_norm_silu(n, "conv_norm_out", x, c->norm_groups, c->norm_eps); // [n, h, w, c]
    sdi_net_probe(n, a->intermediates, x, "conv_norm_out_silu");
    nn_output_map(n, "out", nn_conv2d(n, "conv_out", x, c->out_channels, 3));
}

/* ---- ControlNet ------------------------------------------------------------------------------ */

/* ControlNetConditioningEmbedding: from pixels in [0, 1] to the first feature map, once a run. */
static nn_tensor hint_network(unet *u)
{
    const sdi_unet_config *c = u->config;
    const int64_t scale = (int64_t)1 << (c->hint_levels - 1);
    sdi_nn *n = u->n;
    nn_tensor x = nn_input_map(n, "hint", u->args->b, c->conditioning_channels, u->args->h * scale,
                               u->args->w * scale, NN_ONCE);
    nn_enter(n, "controlnet_cond_embedding");
    x = nn_act(n, nn_conv2d(n, "conv_in", x, c->hint_channels[0], 3), SDI_ACT_SILU);
    nn_enter(n, "blocks");
    for (int32_t i = 0; i + 1 < c->hint_levels; i++) { // [n, 8h, 8w, 16] … [n, h, w, 256]
        char same[16], half[16];
        snprintf(same, sizeof same, "%d", (int)(2 * i));
        snprintf(half, sizeof half, "%d", (int)(2 * i + 1));
        x = nn_act(n, nn_conv2d(n, same, x, x->c, 3), SDI_ACT_SILU);
        x = nn_act(n, sdi_net_downsample(n, half, x, c->hint_channels[i + 1], 1), SDI_ACT_SILU);
    }
    nn_leave(n);
    x = nn_conv2d(n, "conv_out", x, c->block_out_channels[0], 3); // [n, h, w, c]
    nn_leave(n);
    sdi_net_probe(n, u->args->intermediates, x, "cond_embedding");
    return x;
}

void sdi_controlnet_net(sdi_nn *n, const void *args)
{
    const sdi_unet_args *a = args;
    unet u = {.n = n, .args = a, .config = a->config};
    nn_tensor x = encode(&u, hint_network(&u));
    for (int32_t i = 0; i < u.skip_count; i++) {
        char parameter[40], output[24];
        snprintf(parameter, sizeof parameter, "controlnet_down_blocks.%d", (int)i);
        snprintf(output, sizeof output, "down.%d", (int)i);
        nn_output_map(n, output, nn_conv2d(n, parameter, u.skips[i], u.skips[i]->c, 1));
    }
    nn_output_map(n, "mid", nn_conv2d(n, "controlnet_mid_block", x, x->c, 1));
}
