/* SPDX-License-Identifier: MIT
 *
 * The autoencoder in the names of ldm.modules.diffusionmodules.model, whose decoder counts its
 * levels from the pixels and not from the latents, and the text encoder in those of open_clip.
 */
#include "model/names.h"

#include <stdio.h>
#include <string.h>

/* ---- autoencoder ----------------------------------------------------------------------------- */

static const sdi_rename resnet_words[] = {{"norm1.", "norm1."},
                                          {"conv1.", "conv1."},
                                          {"norm2.", "norm2."},
                                          {"conv2.", "conv2."},
                                          {"conv_shortcut.", "nin_shortcut."}};

static const sdi_rename attention_words[] = {{"group_norm.", "norm."},
                                             {"to_q.", "q."},
                                             {"to_k.", "k."},
                                             {"to_v.", "v."},
                                             {"to_out.0.", "proj_out."}};

static const sdi_rename half_words[] = {
    {"conv_in.", "conv_in."}, {"conv_norm_out.", "norm_out."}, {"conv_out.", "conv_out."}};

static int level_name(const char *half, const char *way, int32_t level, const char *rest,
                      sdi_alias *alias)
{
    static const sdi_rename samplers[] = {{"downsamplers.0.conv.", "downsample.conv."},
                                          {"upsamplers.0.conv.", "upsample.conv."}};
    char head[64];
    int32_t i = 0;
    if (sdi_take_index(&rest, "resnets.", &i)) {
        snprintf(head, sizeof head, "%s%s.%d.block.%d.", half, way, (int)level, (int)i);
        return sdi_rename_rest(alias, head, rest, resnet_words, SDI_COUNT(resnet_words));
    }
    snprintf(head, sizeof head, "%s%s.%d.", half, way, (int)level);
    return sdi_rename_rest(alias, head, rest, samplers, SDI_COUNT(samplers));
}

static int middle_name(const char *half, const char *rest, sdi_alias *alias)
{
    char head[64];
    int32_t i = 0;
    if (sdi_take_index(&rest, "resnets.", &i)) {
        snprintf(head, sizeof head, "%smid.block_%d.", half, (int)(i + 1));
        return sdi_rename_rest(alias, head, rest, resnet_words, SDI_COUNT(resnet_words));
    }
    if (!sdi_take_index(&rest, "attentions.", &i))
        return 0;
    snprintf(head, sizeof head, "%smid.attn_%d.", half, (int)(i + 1));
    return sdi_rename_rest(alias, head, rest, attention_words, SDI_COUNT(attention_words));
}

int sdi_name_ldm_vae(int32_t levels, const char *param, sdi_alias *alias)
{
    static const sdi_rename quant[] = {{"quant_conv.", "quant_conv."},
                                       {"post_quant_conv.", "post_quant_conv."}};
    int32_t i = 0;
    if (sdi_rename_rest(alias, "", param, quant, SDI_COUNT(quant)))
        return 1;
    const char *half = param[0] == 'e' ? "encoder." : "decoder.";
    if (!sdi_take(&param, half))
        return 0;
    if (sdi_take(&param, "mid_block."))
        return middle_name(half, param, alias);
    if (sdi_take_index(&param, "down_blocks.", &i))
        return level_name(half, "down", i, param, alias);
    if (sdi_take_index(&param, "up_blocks.", &i))
        return i < levels && level_name(half, "up", levels - 1 - i, param, alias);
    return sdi_rename_rest(alias, half, param, half_words, SDI_COUNT(half_words));
}

/* ---- text encoder ---------------------------------------------------------------------------- */

static int layer_name(int32_t index, const char *rest, sdi_alias *alias)
{
    static const sdi_rename words[] = {
        {"layer_norm1.", "ln_1."},
        {"layer_norm2.", "ln_2."},
        {"mlp.fc1.", "mlp.c_fc."},
        {"mlp.fc2.", "mlp.c_proj."},
        {"self_attn.out_proj.", "attn.out_proj."},
        {"self_attn.q_proj.", "attn.in_proj_"}, // torch.nn.MultiheadAttention: q, k, v in one
        {"self_attn.k_proj.", "attn.in_proj_"},
        {"self_attn.v_proj.", "attn.in_proj_"},
    };
    char head[64];
    const char *projection = rest;
    if (sdi_take(&projection, "self_attn.") && strncmp(projection + 1, "_proj.", 6) == 0) {
        alias->piece = projection[0] == 'q' ? 0 : projection[0] == 'k' ? 1 : 2;
        alias->pieces = 3;
    }
    snprintf(head, sizeof head, "transformer.resblocks.%d.", (int)index);
    return sdi_rename_rest(alias, head, rest, words, SDI_COUNT(words));
}

int sdi_name_openclip(const char *param, sdi_alias *alias)
{
    static const sdi_rename words[] = {
        {"embeddings.token_embedding.", "token_embedding."},
        {"embeddings.position_embedding.weight", "positional_embedding"},
        {"final_layer_norm.", "ln_final."}};
    int32_t i = 0;
    if (!sdi_take(&param, "text_model."))
        return 0;
    if (sdi_take_index(&param, "encoder.layers.", &i))
        return layer_name(i, param, alias);
    return sdi_rename_rest(alias, "", param, words, SDI_COUNT(words));
}
