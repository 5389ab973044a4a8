/* SPDX-License-Identifier: MIT
 *
 * A single file's U-Net configuration from its names and shapes. The original numbers the blocks in
 * one row, so the levels are found by walking it: a downsampler ends a level.
 */
#include "model/load.h"

#include <stdio.h>
#include <string.h>

typedef struct walk {
    const sdi_env *env;
    const sdi_tensor_file *file;
    const char *name, *prefix;
    sdi_unet_config *config;
} walk;

static sdiff_status channels_of(const walk *w, int32_t axis, const char *tensor, int32_t *out)
{
    const sdi_tensor_info *info = sdi_probe(w->file, w->prefix, "%s", tensor);
    if (!info)
        return sdi_fail(w->env, SDIFF_ERROR_MISMATCH, "%s: the U-Net's tensor '%s%s' is missing",
                        w->name, w->prefix, tensor);
    return sdi_dimension(w->env, w->name, info, axis, SDI_MAX_CHANNELS, out);
}

/* Layers of the transformer at "input_blocks.1.1" or the like. */
static int32_t transformer_layers(const walk *w, const char *place)
{
    int32_t depth = 0;
    while (depth < SDI_MAX_LAYERS &&
           sdi_probe(w->file, w->prefix, "%s.transformer_blocks.%d.norm1.weight", place,
                      (int)depth))
        depth++;
    return SDI_MAX(depth, 1);
}

/* What stands beside the resnet in input block n. */
static void read_attention(const walk *w, int32_t n, int32_t level)
{
    char place[32];
    snprintf(place, sizeof place, "input_blocks.%d.1", (int)n);
    if (!sdi_probe(w->file, w->prefix, "%s.norm.weight", place))
        return;
    w->config->attention[level] = 1;
    w->config->transformer_layers[level] = transformer_layers(w, place);
}

static sdiff_status read_blocks(const walk *w)
{
    sdi_unet_config *c = w->config;
    int32_t level = 0;
    for (int32_t n = 1; n < SDI_UNET_MAX_LEVELS * SDI_MAX_LAYERS; n++) {
        if (sdi_probe(w->file, w->prefix, "input_blocks.%d.0.op.weight", (int)n)) {
            if (++level == SDI_UNET_MAX_LEVELS)
                return sdi_fail(w->env, SDIFF_ERROR_LIMIT, "%s: the U-Net has more than %d levels",
                                w->name, SDI_UNET_MAX_LEVELS);
            continue;
        }
        const sdi_tensor_info *conv =
            sdi_probe(w->file, w->prefix, "input_blocks.%d.0.in_layers.2.weight", (int)n);
        if (!conv)
            break;
        SDI_TRY(sdi_dimension(w->env, w->name, conv, 0, SDI_MAX_CHANNELS,
                              &c->block_out_channels[level]));
        c->layers_per_block[level]++;
        read_attention(w, n, level);
    }
    c->levels = level + 1;
    for (int32_t i = 0; i < c->levels; i++)
        if (c->layers_per_block[i] == 0)
            return sdi_fail(w->env, SDIFF_ERROR_MISMATCH,
                            "%s: the U-Net's level %d has no layers (%sinput_blocks)", w->name,
                            (int)i, w->prefix);
    return SDIFF_OK;
}

static sdiff_status read_middle(const walk *w)
{
    sdi_unet_config *c = w->config;
    const sdi_tensor_info *in = sdi_probe(w->file, w->prefix, "middle_block.1.proj_in.weight");
    c->mid_attention = sdi_probe(w->file, w->prefix, "middle_block.1.norm.weight") != NULL;
    c->self_attention_only =
        sdi_probe(w->file, w->prefix, "middle_block.1.qkv.weight") != NULL;
    c->cross_attention_dim = 0;
    c->linear_projection = in && in->rank == 2;
    if (!c->attention[c->levels - 1]) // then this number is the middle's alone
        c->transformer_layers[c->levels - 1] = transformer_layers(w, "middle_block.1");
    if (c->mid_attention && !c->self_attention_only)
        return channels_of(w, 1, "middle_block.1.transformer_blocks.0.attn2.to_k.weight",
                           &c->cross_attention_dim);
    return SDIFF_OK;
}

sdiff_status sdi_infer_unet(const sdi_env *env, const sdi_tensor_file *file, const char *name,
                            const char *prefix, sdi_unet_config *config)
{
    const walk w = {env, file, name, prefix, config};
    sdi_unet_config_init(config);
    memset(config->layers_per_block, 0, sizeof config->layers_per_block);
    memset(config->attention, 0, sizeof config->attention);
    SDI_TRY(channels_of(&w, 1, "input_blocks.0.0.weight", &config->in_channels));
    if (sdi_probe(file, prefix, "out.2.weight")) // not in ControlNets
        SDI_TRY(channels_of(&w, 0, "out.2.weight", &config->out_channels));
    SDI_TRY(read_blocks(&w));
    SDI_TRY(read_middle(&w));
    const sdi_tensor_info *labels = sdi_probe(file, prefix, "label_emb.weight");
    if (labels)
        return sdi_dimension(env, name, labels, 0, 1 << 20, &config->class_embeddings);
    return SDIFF_OK;
}
