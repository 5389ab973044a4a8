/* SPDX-License-Identifier: MIT
 *
 * The depth estimator in the names of MiDaS 3.0 (ldm.modules.midas), where the vision transformer
 * and the residual network are timm's; and the tiny autoencoder in those of its first repository,
 * whose two halves are bare lists of layers.
 */
#include "model/names.h"

#include <stdio.h>
#include <string.h>

/* ---- depth estimator ------------------------------------------------------------------------- */

static int layer_name(int32_t index, const char *rest, sdi_alias *alias)
{
    static const sdi_rename words[] = {
        {"layernorm_before.", "norm1."},
        {"layernorm_after.", "norm2."},
        {"attention.attention.query.", "attn.qkv."}, // one linear layer: q, k, v
        {"attention.attention.key.", "attn.qkv."},
        {"attention.attention.value.", "attn.qkv."},
        {"attention.output.dense.", "attn.proj."},
        {"intermediate.dense.", "mlp.fc1."},
        {"output.dense.", "mlp.fc2."},
    };
    char head[64];
    const char *projection = rest;
    if (sdi_take(&projection, "attention.attention.")) {
        alias->piece = projection[0] == 'q' ? 0 : projection[0] == 'k' ? 1 : 2;
        alias->pieces = 3;
    }
    snprintf(head, sizeof head, "pretrained.model.blocks.%d.", (int)index);
    return sdi_rename_rest(alias, head, rest, words, SDI_COUNT(words));
}

static int backbone_name(const char *rest, sdi_alias *alias)
{
    static const sdi_rename stem[] = {{"embedder.convolution.", "stem.conv."},
                                      {"embedder.norm.", "stem.norm."}};
    static const sdi_rename same[] = {{"", ""}};
    static const char path[] = "pretrained.model.patch_embed.backbone.";
    char head[96];
    int32_t stage = 0, block = 0;
    if (!sdi_take_index(&rest, "encoder.stages.", &stage))
        return sdi_rename_rest(alias, path, rest, stem, SDI_COUNT(stem));
    if (!sdi_take_index(&rest, "layers.", &block))
        return 0;
    snprintf(head, sizeof head, "%sstages.%d.blocks.%d.", path, (int)stage, (int)block);
    return sdi_rename_rest(alias, head, rest, same, 1);
}

/* Reassembling: positions in the list that MiDaS makes of each tap. */
static int reassemble_name(const char *rest, sdi_alias *alias)
{
    static const sdi_rename readout[] = {{"0.", "0.project.0."}};
    static const sdi_rename layer[] = {{"projection.", "3."}, {"resize.", "4."}};
    char head[64];
    int32_t i = 0;
    const int projects = sdi_take_index(&rest, "readout_projects.", &i);
    if (!projects && !sdi_take_index(&rest, "layers.", &i))
        return 0;
    snprintf(head, sizeof head, "pretrained.act_postprocess%d.", (int)(i + 1));
    return projects ? sdi_rename_rest(alias, head, rest, readout, 1)
                    : sdi_rename_rest(alias, head, rest, layer, SDI_COUNT(layer));
}

/* Fusion layers count from the smallest map here, from the largest there. */
static int neck_name(const char *rest, sdi_alias *alias)
{
    static const sdi_rename conv[] = {{"weight", "weight"}};
    static const sdi_rename fusion[] = {{"projection.", "out_conv."},
                                        {"residual_layer1.convolution", "resConfUnit1.conv"},
                                        {"residual_layer2.convolution", "resConfUnit2.conv"}};
    char head[64];
    int32_t i = 0;
    if (sdi_take(&rest, "reassemble_stage."))
        return reassemble_name(rest, alias);
    if (sdi_take_index(&rest, "convs.", &i)) {
        snprintf(head, sizeof head, "scratch.layer%d_rn.", (int)(i + 1));
        return sdi_rename_rest(alias, head, rest, conv, 1);
    }
    if (!sdi_take_index(&rest, "fusion_stage.layers.", &i) || i > 3)
        return 0;
    snprintf(head, sizeof head, "scratch.refinenet%d.", (int)(4 - i));
    return sdi_rename_rest(alias, head, rest, fusion, SDI_COUNT(fusion));
}

int sdi_name_midas(const char *param, sdi_alias *alias)
{
    static const sdi_rename embeddings[] = {
        {"cls_token", "pretrained.model.cls_token"},
        {"position_embeddings", "pretrained.model.pos_embed"},
        {"projection.", "pretrained.model.patch_embed.proj."}};
    static const sdi_rename head[] = {{"head.head.", "scratch.output_conv."}};
    int32_t i = 0;
    if (sdi_take(&param, "neck."))
        return neck_name(param, alias);
    if (!sdi_take(&param, "dpt."))
        return sdi_rename_rest(alias, "", param, head, 1);
    if (sdi_take_index(&param, "encoder.layer.", &i))
        return layer_name(i, param, alias);
    if (sdi_take(&param, "embeddings.backbone.bit."))
        return backbone_name(param, alias);
    return sdi_take(&param, "embeddings.") &&
           sdi_rename_rest(alias, "", param, embeddings, SDI_COUNT(embeddings));
}

/* ---- tiny autoencoder ------------------------------------------------------------------------ */

/* The decoder's list there begins with the clamp of its input. */
int sdi_name_taesd(const char *param, sdi_alias *alias)
{
    static const sdi_rename same[] = {{"", ""}};
    char head[32];
    int32_t i = 0;
    const int decoder = param[0] == 'd';
    if (!sdi_take_index(&param, decoder ? "decoder.layers." : "encoder.layers.", &i))
        return 0;
    snprintf(head, sizeof head, "%d.", (int)(decoder ? i + 1 : i));
    return sdi_rename_rest(alias, head, param, same, 1);
}
