/* SPDX-License-Identifier: MIT
 *
 * MiDaS 3.0 DPT-hybrid (Ranftl et al. 2021): a BiT ResNet (Kolesnikov et al. 2020) under a vision
 * transformer (Dosovitskiy et al. 2021), and a convolutional decoder that fuses four of their
 * feature maps. DPTForDepthEstimation and BitBackbone of transformers.
 *
 *   pixel_values [n, h, w, 3]
 *     backbone   7x7 stride 2, norm, relu, max-pool           stem     1/4
 *                bottlenecks                                  stage 1  1/4  --------> features 0
 *                bottlenecks, the first with stride 2         stage 2  1/8  --------> features 1
 *                bottlenecks, the first with stride 2         stage 3  1/16
 *     embeddings 1x1 projection, class token in front, + positions
 *     encoder    layers x { attention, feed-forward }         after layer 8  -------> features 2
 *                                                             after layer 11 -------> features 3
 *     reassemble features 2, 3: [token | class token] -> linear, gelu -> map, 1x1   1/16
 *                features 3: 3x3 stride 2                                            1/32
 *     neck       convs.i 3x3 -> fusion channels
 *     fusion     from the last to the first: x (+ residual unit of the features),
 *                residual unit, twice the size, 1x1                                  1/2
 *     head       3x3, twice the size, 3x3, relu, 1x1, relu    depth [n, h, w, 1]
 *
 * All convolutions of the backbone are weight-standardised, without bias, and padded as TensorFlow
 * does ("SAME"). Sizes: n images of h x w pixels with c channels; b = n rows of t tokens of d.
 */
#include "net/depth_dpt.h"

#include "net/blocks.h"

#include <stdio.h>

void sdi_dpt_config_init(sdi_dpt_config *config)
{
    *config = (sdi_dpt_config){.image_channels = 3,
                               .stem_channels = 64,
                               .stages = 3,
                               .stage_channels = {256, 512, 1024},
                               .stage_layers = {3, 4, 9},
                               .norm_groups = 32,
                               .hidden_size = 768,
                               .layers = 12,
                               .heads = 12,
                               .intermediate_size = 3072,
                               .eps = 1e-12f,
                               .position_side = 24,
                               .taps = {8, 11},
                               .neck_channels = {256, 512, 768, 768},
                               .fusion_channels = 256,
                               .head_channels = 32};
}

/* ---- backbone -------------------------------------------------------------------------------- */

/* WeightStandardizedConv2d: "SAME" padding puts the odd zero behind. */
static nn_tensor standard_conv(sdi_nn *n, const char *name, nn_tensor x, int64_t out,
                               int32_t kernel, int32_t stride)
{
    const int64_t oh = (x->h + stride - 1) / stride, ow = (x->w + stride - 1) / stride;
    const int32_t pad_h = (int32_t)SDI_MAX((oh - 1) * stride + kernel - x->h, 0);
    const int32_t pad_w = (int32_t)SDI_MAX((ow - 1) * stride + kernel - x->w, 0);
    const nn_conv_options options = {.kernel = kernel,
                                     .stride = stride,
                                     .no_bias = 1,
                                     .pad_top = pad_h / 2,
                                     .pad_left = pad_w / 2,
                                     .pad_bottom = pad_h - pad_h / 2,
                                     .pad_right = pad_w - pad_w / 2,
                                     .standardize = 1};
    return nn_conv2d_with(n, name, x, out, &options); // [n, oh, ow, out]
}

static nn_tensor norm(sdi_nn *n, const sdi_dpt_config *config, const char *name, nn_tensor x)
{
    return nn_group_norm(n, name, x, config->norm_groups, 1e-5f);
}

static nn_tensor norm_relu(sdi_nn *n, const sdi_dpt_config *config, const char *name, nn_tensor x)
{
    return nn_act(n, norm(n, config, name, x), SDI_ACT_RELU);
}

/* A quarter, rounded to a multiple of 8 and not below 8 nor a tenth too small. */
static int64_t bottleneck_width(int64_t channels)
{
    const int64_t width = SDI_MAX((channels / 4 + 4) / 8 * 8, 8);
    return 10 * width < 9 * (channels / 4) ? width + 8 : width;
}

/* BitBottleneckLayer: the stride is in the 3x3 convolution, norms follow the convolutions. */
static nn_tensor bottleneck(sdi_nn *n, const sdi_dpt_config *config, nn_tensor x, int64_t out,
                            int32_t stride, int first)
{
    const int64_t middle = bottleneck_width(out);
    nn_tensor skip = x;
    if (first) {
        skip = standard_conv(n, "downsample.conv", x, out, 1, stride);
        skip = norm(n, config, "downsample.norm", skip); // [n, h/stride, w/stride, out]
    }
    x = norm_relu(n, config, "norm1", standard_conv(n, "conv1", x, middle, 1, 1));
    x = norm_relu(n, config, "norm2", standard_conv(n, "conv2", x, middle, 3, stride));
    x = norm(n, config, "norm3", standard_conv(n, "conv3", x, out, 1, 1));
    return nn_act(n, nn_add(n, x, skip), SDI_ACT_RELU);
}

/* Returns the last stage; features[0] and [1] are the first two. */
static nn_tensor backbone(sdi_nn *n, const sdi_dpt_args *a, nn_tensor x, nn_tensor *features)
{
    const sdi_dpt_config *config = a->config;
    nn_enter(n, "backbone.bit");
    nn_enter(n, "embedder");
    x = standard_conv(n, "convolution", x, config->stem_channels, 7, 2); // [n, h/2, w/2, c]
    x = norm_relu(n, config, "norm", x);
    x = nn_max_pool_same(n, x, 3, 2); // [n, h/4, w/4, c]
    nn_leave(n);
    sdi_net_probe(n, a->intermediates, x, "stem");
    for (int32_t s = 0; s < config->stages; s++) {
        for (int32_t i = 0; i < config->stage_layers[s]; i++) {
            nn_enter(n, "encoder.stages.%d.layers.%d", (int)s, (int)i);
            x = bottleneck(n, config, x, config->stage_channels[s], s && !i ? 2 : 1, !i);
            nn_leave(n);
        }
        sdi_net_probe(n, a->intermediates, x, "stage%d", (int)s + 1);
        if (s < 2)
            features[s] = x;
    }
    nn_leave(n);
    return x; // [n, h/16, w/16, c]
}

/* ---- vision transformer -------------------------------------------------------------------- */

/* The position table for h x w tokens: the class token's as it is, the grid resized. */
static nn_tensor positions(sdi_nn *n, const sdi_dpt_config *config, int64_t h, int64_t w)
{
    const int64_t side = config->position_side;
    nn_tensor table = nn_parameter(n, "position_embeddings", side * side + 1, config->hidden_size);
    if (h == side && w == side)
        return table;
    nn_tensor grid = nn_map(n, nn_pick_tokens(n, table, 1, 1, side * side), side, side);
    grid = nn_resize_bilinear(n, grid, h, w, 0); // [1, h, w, d]
    return nn_join_tokens(n, nn_pick_tokens(n, table, 0, 1, 1), grid);
}

/* DPTViTHybridEmbeddings: also the two maps of the backbone that go to the neck. */
static nn_tensor embeddings(sdi_nn *n, const sdi_dpt_args *a, nn_tensor *features)
{
    const sdi_dpt_config *config = a->config;
    nn_tensor x = nn_input_map(n, "pixel_values", a->b, config->image_channels, a->h, a->w,
                               NN_EACH); // [n, h, w, 3]
    nn_enter(n, "embeddings");
    x = backbone(n, a, x, features); // [n, h/16, w/16, c]
    nn_tensor table = positions(n, config, x->h, x->w);
    features[2] = features[3] = x; // until the encoder replaces them: their height and width
    x = nn_conv2d(n, "projection", x, config->hidden_size, 1);
    x = nn_join_tokens(n, nn_parameter(n, "cls_token", 1, config->hidden_size), x);
    x = nn_add(n, x, table); // [b, 1, 1 + t, d]
    nn_leave(n);
    return x;
}

/* DPTViTLayer: x += attention(norm x); x += feed-forward(norm x). */
static nn_tensor encoder_layer(sdi_nn *n, const sdi_dpt_config *config, nn_tensor x)
{
    static const char *const names[] = {"attention.attention.query", "attention.attention.key",
                                        "attention.attention.value"};
    const int64_t d = config->hidden_size;
    nn_tensor y = nn_layer_norm(n, "layernorm_before", x, config->eps); // [b, 1, t, d]
    y = nn_linear_fused(n, names, 3, y, d, 1);                          // [b, 1, t, 3d]
    y = nn_attention(n, nn_columns(n, y, 0, d), nn_columns(n, y, d, d), nn_columns(n, y, 2 * d, d),
                     config->heads, 0);
    x = nn_linear_add(n, "attention.output.dense", y, d, x);
    y = nn_layer_norm(n, "layernorm_after", x, config->eps);
    y = nn_linear_act(n, "intermediate.dense", y, config->intermediate_size, SDI_ACT_GELU);
    return nn_linear_add(n, "output.dense", y, d, x);
}

static void encoder(sdi_nn *n, const sdi_dpt_args *a, nn_tensor x, nn_tensor taps[2])
{
    const sdi_dpt_config *config = a->config;
    for (int32_t i = 0; i < config->layers; i++) {
        nn_enter(n, "encoder.layer.%d", (int)i);
        x = encoder_layer(n, config, x);
        nn_leave(n);
        for (int32_t k = 0; k < 2; k++)
            if (config->taps[k] == i)
                taps[k] = x;
    }
}

/* ---- neck ---------------------------------------------------------------------------------- */

/* Readout "project": each token hears the class token, then the tokens become a map of h x w. */
static nn_tensor reassemble(sdi_nn *n, const sdi_dpt_config *config, int32_t index, nn_tensor x,
                            int64_t h, int64_t w)
{
    char name[32];
    nn_tensor tokens = nn_pick_tokens(n, x, 1, 1, h * w); // [b, 1, t, d]
    tokens = nn_concat(n, tokens, nn_pick_tokens(n, x, 0, 0, h * w));
    snprintf(name, sizeof name, "readout_projects.%d.0", (int)index);
    tokens = nn_linear_act(n, name, tokens, config->hidden_size, SDI_ACT_GELU);
    nn_enter(n, "layers.%d", (int)index);
    x = nn_conv2d(n, "projection", nn_map(n, tokens, h, w), config->neck_channels[index], 1);
    if (index == 3) // [n, h/2, w/2, c]
        x = sdi_net_downsample(n, "resize", x, x->c, 1);
    nn_leave(n);
    return x;
}

/* DPTPreActResidualLayer: x + conv(relu(conv(relu x))). */
static nn_tensor residual_unit(sdi_nn *n, const char *name, nn_tensor x)
{
    const nn_conv_options second = {
        .kernel = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1, .residual = x};
    nn_enter(n, "%s", name);
    nn_tensor y = nn_conv2d(n, "convolution1", nn_act(n, x, SDI_ACT_RELU), x->c, 3);
    y = nn_conv2d_with(n, "convolution2", nn_act(n, y, SDI_ACT_RELU), x->c, &second);
    nn_leave(n);
    return y;
}

/* DPTFeatureFusionLayer; x is NULL for the first, whose residual_layer1 exists in files unused. */
static nn_tensor fuse(sdi_nn *n, nn_tensor x, nn_tensor features)
{
    if (x) { // sizes differ only where the image is no multiple of 32
        features = nn_resize_bilinear(n, features, x->h, x->w, 0);
        features = nn_add(n, x, residual_unit(n, "residual_layer1", features));
    }
    x = residual_unit(n, "residual_layer2", features);
    x = nn_resize_bilinear(n, x, 2 * x->h, 2 * x->w, 1);
    return nn_conv2d(n, "projection", x, x->c, 1); // [n, 2h, 2w, c]
}

static nn_tensor neck(sdi_nn *n, const sdi_dpt_args *a, nn_tensor *features)
{
    const nn_conv_options conv = {
        .kernel = 3, .no_bias = 1, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
    nn_tensor x = NULL;
    for (int32_t i = 0; i < SDI_DPT_FEATURES; i++) {
        char name[24];
        snprintf(name, sizeof name, "convs.%d", (int)i);
        features[i] = nn_conv2d_with(n, name, features[i], a->config->fusion_channels, &conv);
    }
    for (int32_t i = 0; i < SDI_DPT_FEATURES; i++) {
        nn_enter(n, "fusion_stage.layers.%d", (int)i);
        x = fuse(n, x, features[SDI_DPT_FEATURES - 1 - i]); // [n, h/16 << i, w/16 << i, c]
        nn_leave(n);
        sdi_net_probe(n, a->intermediates, x, "fusion.%d", (int)i);
    }
    return x; // [n, h/2, w/2, c]
}

/* ---- all of it ----------------------------------------------------------------------------- */

void sdi_dpt_net(sdi_nn *n, const void *args)
{
    const sdi_dpt_args *a = args;
    const sdi_dpt_config *config = a->config;
    nn_tensor features[SDI_DPT_FEATURES];
    nn_enter(n, "dpt");
    nn_tensor x = embeddings(n, a, features); // [b, 1, 1 + t, d]
    nn_tensor taps[2] = {x, x};
    encoder(n, a, x, taps);
    nn_leave(n);
    if (a->intermediates) {
        nn_output_tokens(n, "embeddings", x);
        nn_output_tokens(n, "vit.a", taps[0]);
        nn_output_tokens(n, "vit.b", taps[1]);
    }

    nn_enter(n, "neck");
    nn_enter(n, "reassemble_stage");
    for (int32_t i = 2; i < SDI_DPT_FEATURES; i++) {
        features[i] = reassemble(n, config, i, taps[i - 2], features[i]->h, features[i]->w);
        sdi_net_probe(n, a->intermediates, features[i], "reassemble.%d", (int)i);
    }
    nn_leave(n);
    x = neck(n, a, features);
    nn_leave(n);

    nn_enter(n, "head.head");
    x = nn_conv2d(n, "0", x, x->c / 2, 3); // [n, h/2, w/2, c/2]
    x = nn_resize_bilinear(n, x, 2 * x->h, 2 * x->w, 1);
    x = nn_act(n, nn_conv2d(n, "2", x, config->head_channels, 3), SDI_ACT_RELU);
    x = nn_act(n, nn_conv2d(n, "4", x, 1, 1), SDI_ACT_RELU); // [n, h, w, 1]
    nn_leave(n);
    nn_output_map(n, "depth", x);
}
