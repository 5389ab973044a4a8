/* SPDX-License-Identifier: MIT
 *
 * The blocks that the networks of latent diffusion share: diffusers' ResnetBlock2D,
 * Transformer2DModel and Attention, which are ResBlock, SpatialTransformer and AttentionBlock of
 * ldm/modules (Rombach et al. 2022; the attention of Vaswani et al. 2017; GEGLU of Shazeer 2020).
 *
 *   resnet                                 transformer (tokens = pixels)
 *
 *   x --+--------------------------.       x --+-------------------------------------------.
 *       norm1, silu, conv1 3x3     |           norm, proj_in                               |
 *       + linear(silu(time))  conv_shortcut    x += attn1(norm1 x)            \            |
 *       norm2, silu, conv2 3x3     | (if the   x += attn2(norm2 x, context)    > layers    |
 *       + <------------------------' channels  x += ff(norm3 x)               /            |
 *       |                            change)   proj_out + <--------------------------------'
 *
 * Sizes: n images of h x w pixels with c channels; b = n rows of t = h*w tokens of d = c numbers.
 */
#include "net/blocks.h"

#include <stdarg.h>
#include <stdio.h>

void sdi_net_probe(sdi_nn *n, int32_t on, nn_tensor x, const char *format, ...)
{
    char name[160];
    va_list arguments;
    if (!on)
        return;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    nn_output_map(n, name, x);
}

nn_tensor sdi_net_resnet(sdi_nn *n, nn_tensor x, const sdi_resnet *block)
{
    nn_conv_options first = {
        .kernel = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
    nn_conv_options second = first;
    if (block->time)
        first.channel_add = nn_linear(n, "time_emb_proj", block->time, block->out);

    nn_tensor h = nn_group_norm_silu(n, "norm1", x, block->groups, block->eps); // [n, h, w, c]
    h = nn_conv2d_with(n, "conv1", h, block->out, &first);                      // [n, h, w, out]
    h = nn_group_norm_silu(n, "norm2", h, block->groups, block->eps);
    // Identity when the channels stay, in the autoencoder and in the U-Net alike.
    second.residual = x->c == block->out ? x : nn_conv2d(n, "conv_shortcut", x, block->out, 1);
    return nn_conv2d_with(n, "conv2", h, block->out, &second); // [n, h, w, out]
}

/* x + to_out(attention(q, k, v of y)), one head after the other: the head width is c / heads. */
static nn_tensor attend_to_itself(sdi_nn *n, nn_tensor x, nn_tensor y, int32_t heads, int bias)
{
    static const char *const names[] = {"to_q", "to_k", "to_v"};
    const int64_t d = y->c;
    nn_tensor qkv = nn_linear_fused(n, names, 3, y, d, bias); // [b, 1, t, 3d]
    y = nn_attention(n, nn_columns(n, qkv, 0, d), nn_columns(n, qkv, d, d),
                     nn_columns(n, qkv, 2 * d, d), heads, 0); // [b, 1, t, d]
    return nn_linear_add(n, "to_out.0", y, d, x);
}

/* The same with keys and values of the prompt, which are computed once for all steps. */
static nn_tensor attend_to_context(sdi_nn *n, nn_tensor x, nn_tensor y, nn_tensor context,
                                   int32_t heads)
{
    static const char *const names[] = {"to_q", "to_k", "to_v"};
    const int64_t d = y->c;
    nn_tensor q = nn_linear_fused(n, names, 1, y, d, 0);            // [b, 1, t, d]
    nn_tensor kv = nn_linear_fused(n, names + 1, 2, context, d, 0); // [b, 1, tokens, 2d]
    y = nn_attention(n, q, nn_columns(n, kv, 0, d), nn_columns(n, kv, d, d), heads, 0);
    return nn_linear_add(n, "to_out.0", y, d, x);
}

static void probe_tokens(sdi_nn *n, const sdi_transformer *block, nn_tensor x, const char *what)
{
    char name[160];
    if (!block->probe)
        return;
    snprintf(name, sizeof name, "%s.%s", block->probe, what);
    nn_output_tokens(n, name, x);
}

/* BasicTransformerBlock: x is [b, 1, t, d], layer norms with eps 1e-5. */
static nn_tensor transformer_layer(sdi_nn *n, nn_tensor x, const sdi_transformer *block)
{
    const int64_t d = x->c;
    nn_tensor y = nn_layer_norm(n, "norm1", x, 1e-5f);
    nn_enter(n, "attn1");
    x = block->only_cross ? attend_to_context(n, x, y, block->context, block->heads)
                          : attend_to_itself(n, x, y, block->heads, 0);
    nn_leave(n);
    probe_tokens(n, block, x, "after_attn1");

    y = nn_layer_norm(n, "norm2", x, 1e-5f);
    nn_enter(n, "attn2");
    x = attend_to_context(n, x, y, block->context, block->heads);
    nn_leave(n);
    probe_tokens(n, block, x, "after_attn2");

    y = nn_layer_norm(n, "norm3", x, 1e-5f);
    y = nn_geglu(n, "ff.net.0.proj", y, 4 * d); // [b, 1, t, 4d], exact GELU
    x = nn_linear_add(n, "ff.net.2", y, d, x);
    probe_tokens(n, block, x, "after_ff");
    return x;
}

nn_tensor sdi_net_transformer(sdi_nn *n, nn_tensor x, const sdi_transformer *block)
{
    const nn_conv_options out = {.kernel = 1, .residual = x};
    // eps is 1e-6 here and 1e-5 in the resnet blocks around it.
    nn_tensor y = nn_group_norm(n, "norm", x, block->groups, 1e-6f); // [n, h, w, c]
    y = block->linear_projection ? nn_linear(n, "proj_in", nn_tokens(n, y), x->c)
                                 : nn_tokens(n, nn_conv2d(n, "proj_in", y, x->c, 1));
    probe_tokens(n, block, y, "proj_in");
    for (int32_t i = 0; i < block->layers; i++) { // [n, 1, h*w, c]
        nn_enter(n, "transformer_blocks.%d", (int)i);
        y = transformer_layer(n, y, block);
        nn_leave(n);
    }
    if (!block->linear_projection)
        return nn_conv2d_with(n, "proj_out", nn_map(n, y, x->h, x->w), x->c, &out);
    y = nn_linear_add(n, "proj_out", y, x->c, nn_tokens(n, x));
    return nn_map(n, y, x->h, x->w); // [n, h, w, c]
}

nn_tensor sdi_net_attention(sdi_nn *n, nn_tensor x, int32_t heads, int32_t groups, float eps)
{
    nn_tensor y = nn_group_norm(n, "group_norm", x, groups, eps); // [n, h, w, c]
    y = attend_to_itself(n, nn_tokens(n, x), nn_tokens(n, y), heads, 1);
    return nn_map(n, y, x->h, x->w);
}

nn_tensor sdi_net_downsample(sdi_nn *n, const char *name, nn_tensor x, int64_t out, int32_t padding)
{
    const nn_conv_options options = {.kernel = 3,
                                     .stride = 2,
                                     .pad_top = padding,
                                     .pad_left = padding,
                                     .pad_bottom = 1,
                                     .pad_right = 1};
    return nn_conv2d_with(n, name, x, out, &options);
}

nn_tensor sdi_net_upsample(sdi_nn *n, const char *name, nn_tensor x, int64_t out, int64_t h,
                           int64_t w)
{
    const nn_conv_options options = {.kernel = 3,
                                     .pad_top = 1,
                                     .pad_left = 1,
                                     .pad_bottom = 1,
                                     .pad_right = 1,
                                     .up_h = h,
                                     .up_w = w};
    return nn_conv2d_with(n, name, x, out, &options); // [n, h, w, out]
}
