/* SPDX-License-Identifier: MIT
 *
 * The U-Net and ControlNet in the names of ldm.modules.diffusionmodules.openaimodel.UNetModel and
 * cldm.cldm.ControlNet. The original numbers its blocks in one row:
 *
 *   input_blocks    0: conv_in, then for each level its layers and, but for the last, a downsampler
 *   middle_block    0: resnet, 1: attention, 2: resnet
 *   output_blocks   for each level from the last: its layers + 1, an upsampler in the last of them
 *
 * and inside of a block counts modules: 0 the resnet, 1 the attention, then the upsampler.
 */
#include "model/names.h"

#include <stdio.h>
#include <string.h>

static const sdi_rename resnet_words[] = {
    {"norm1.", "in_layers.0."},          {"conv1.", "in_layers.2."},
    {"time_emb_proj.", "emb_layers.1."}, {"norm2.", "out_layers.0."},
    {"conv2.", "out_layers.3."},         {"conv_shortcut.", "skip_connection."},
};

/* SpatialTransformer keeps its words in diffusers. */
static const sdi_rename transformer_words[] = {
    {"norm.", "norm."},
    {"proj_in.", "proj_in."},
    {"transformer_blocks.", "transformer_blocks."},
    {"proj_out.", "proj_out."},
};

/* AttentionBlock of models without cross-attention: q, k and v in one convolution. */
static const sdi_rename block_words[] = {{"group_norm.", "norm."},
                                         {"to_q.", "qkv."},
                                         {"to_k.", "qkv."},
                                         {"to_v.", "qkv."},
                                         {"to_out.0.", "proj_out."}};

static const sdi_rename outer_words[] = {
    {"time_embedding.linear_1.", "time_embed.0."},
    {"time_embedding.linear_2.", "time_embed.2."},
    {"class_embedding.", "label_emb."},
    {"conv_in.", "input_blocks.0.0."},
    {"conv_norm_out.", "out.0."},
    {"conv_out.", "out.2."},
    {"controlnet_cond_embedding.conv_in.", "input_hint_block.0."},
    {"controlnet_mid_block.", "middle_block_out.0."},
};

static int attention_name(const sdi_unet_config *config, int32_t level, const char *head,
                          const char *rest, sdi_alias *alias)
{
    if (!config->self_attention_only)
        return sdi_rename_rest(alias, head, rest, transformer_words, SDI_COUNT(transformer_words));
    if (strncmp(rest, "to_q.", 5) == 0 || strncmp(rest, "to_k.", 5) == 0 ||
        strncmp(rest, "to_v.", 5) == 0) {
        const int32_t width = config->head_dim;
        alias->piece = rest[3] == 'q' ? 0 : rest[3] == 'k' ? 1 : 2;
        alias->pieces = 3; // for each head its q, k and v rows
        alias->heads = width ? config->block_out_channels[level] / width : config->heads[level];
    }
    return sdi_rename_rest(alias, head, rest, block_words, SDI_COUNT(block_words));
}

/* What is inside of block `number`; module numbers count from `first`. */
static int module_name(const sdi_unet_config *config, int32_t level, const char *block,
                       int32_t number, const char *rest, sdi_alias *alias)
{
    char head[64];
    int32_t i = 0;
    if (sdi_take_index(&rest, "resnets.", &i)) {
        snprintf(head, sizeof head, "%s.%d.0.", block, (int)(number + i));
        return sdi_rename_rest(alias, head, rest, resnet_words, SDI_COUNT(resnet_words));
    }
    if (sdi_take_index(&rest, "attentions.", &i)) {
        snprintf(head, sizeof head, "%s.%d.1.", block, (int)(number + i));
        return attention_name(config, level, head, rest, alias);
    }
    return 0;
}

static int down_name(const sdi_unet_config *config, int32_t level, const char *rest,
                     sdi_alias *alias)
{
    static const sdi_rename same[] = {{"", ""}};
    int32_t number = 1; // of the level's first layer
    for (int32_t i = 0; i < level; i++)
        number += config->layers_per_block[i] + 1;
    if (!sdi_take(&rest, "downsamplers.0.conv."))
        return module_name(config, level, "input_blocks", number, rest, alias);
    char head[64];
    snprintf(head, sizeof head, "input_blocks.%d.0.op.",
             (int)(number + config->layers_per_block[level]));
    return sdi_rename_rest(alias, head, rest, same, 1);
}

static int up_name(const sdi_unet_config *config, int32_t index, const char *rest,
                   sdi_alias *alias)
{
    static const sdi_rename same[] = {{"", ""}};
    const int32_t level = config->levels - 1 - index;
    int32_t number = 0;
    for (int32_t i = config->levels - 1; i > level; i--)
        number += config->layers_per_block[i] + 1;
    if (!sdi_take(&rest, "upsamplers.0.conv."))
        return module_name(config, level, "output_blocks", number, rest, alias);
    char head[64];
    snprintf(head, sizeof head, "output_blocks.%d.%d.conv.",
             (int)(number + config->layers_per_block[level]), config->attention[level] ? 2 : 1);
    return sdi_rename_rest(alias, head, rest, same, 1);
}

static int mid_name(const sdi_unet_config *config, const char *rest, sdi_alias *alias)
{
    char head[64];
    int32_t i = 0;
    if (sdi_take_index(&rest, "resnets.", &i)) {
        snprintf(head, sizeof head, "middle_block.%d.", (int)(config->mid_attention ? 2 * i : i));
        return sdi_rename_rest(alias, head, rest, resnet_words, SDI_COUNT(resnet_words));
    }
    if (sdi_take_index(&rest, "attentions.", &i) && i == 0)
        return attention_name(config, config->levels - 1, "middle_block.1.", rest, alias);
    return 0;
}

/* ControlNet's own parts: the hint network, where activations count as modules too, and the
 * convolutions on the way out. */
static int control_name(const sdi_unet_config *config, const char *param, sdi_alias *alias)
{
    static const sdi_rename same[] = {{"", ""}};
    char head[64];
    int32_t i = 0;
    if (sdi_take_index(&param, "controlnet_down_blocks.", &i))
        snprintf(head, sizeof head, "zero_convs.%d.0.", (int)i);
    else if (sdi_take_index(&param, "controlnet_cond_embedding.blocks.", &i))
        snprintf(head, sizeof head, "input_hint_block.%d.", (int)(2 * i + 2));
    else if (sdi_take(&param, "controlnet_cond_embedding.conv_out."))
        snprintf(head, sizeof head, "input_hint_block.%d.", (int)(4 * config->hint_levels - 2));
    else
        return 0;
    return sdi_rename_rest(alias, head, param, same, 1);
}

int sdi_name_ldm_unet(const sdi_unet_config *config, const char *param, sdi_alias *alias)
{
    int32_t i = 0;
    if (sdi_rename_rest(alias, "", param, outer_words, SDI_COUNT(outer_words)))
        return 1;
    if (sdi_take_index(&param, "down_blocks.", &i))
        return i < config->levels && down_name(config, i, param, alias);
    if (sdi_take_index(&param, "up_blocks.", &i))
        return i < config->levels && up_name(config, i, param, alias);
    if (sdi_take(&param, "mid_block."))
        return mid_name(config, param, alias);
    return control_name(config, param, alias);
}
