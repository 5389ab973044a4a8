/* SPDX-License-Identifier: MIT
 *
 * The depth estimator of a single file, from names and shapes. Files that hold only pieces of one
 * (made smaller by hand) count as files without.
 */
#include "model/load.h"

#include <stdio.h>
#include <string.h>

static const char *const midas_prefixes[] = {"depth_model.model.", "depth_model.", "model.", ""};

static int is_whole(const sdi_tensor_file *file, const char *prefix)
{
    static const char *const names[] = {
        "pretrained.model.cls_token",
        "pretrained.model.pos_embed",
        "pretrained.model.patch_embed.backbone.stem.conv.weight",
        "pretrained.model.patch_embed.backbone.stages.0.blocks.0.conv3.weight",
        "pretrained.model.blocks.0.mlp.fc1.weight",
        "pretrained.act_postprocess4.4.weight",
        "scratch.layer1_rn.weight",
        "scratch.output_conv.2.weight"};
    for (size_t i = 0; i < SDI_COUNT(names); i++)
        if (!sdi_probe(file, prefix, "%s", names[i]))
            return 0;
    return 1;
}

sdi_found sdi_find_depth(const sdi_tensor_file *file)
{
    static const char *const prefixes[] = {"depth_estimator.", ""};
    for (size_t i = 0; i < SDI_COUNT(midas_prefixes); i++)
        if (is_whole(file, midas_prefixes[i]))
            return (sdi_found){SDI_LAYOUT_LDM, midas_prefixes[i]};
    for (size_t i = 0; i < SDI_COUNT(prefixes); i++)
        if (sdi_probe(file, prefixes[i], "dpt.embeddings.backbone.bit.embedder.norm.weight") &&
            sdi_probe(file, prefixes[i], "neck.convs.0.weight"))
            return (sdi_found){SDI_LAYOUT_DIFFUSERS, prefixes[i]};
    return (sdi_found){SDI_LAYOUT_LDM, NULL};
}

/* ---- sizes ----------------------------------------------------------------------------------- */

typedef struct walk {
    const sdi_env *env;
    const sdi_tensor_file *file;
    const char *name;
    sdi_naming naming;
} walk;

static const sdi_tensor_info *tensor_of(const walk *w, const char *param)
{
    sdi_alias alias;
    if (!sdi_name_in_file(&w->naming, param, 0, &alias))
        return NULL;
    const int32_t index = sdi_tensor_file_find(w->file, alias.name);
    return index < 0 ? NULL : sdi_tensor_file_info(w->file, index);
}

static sdiff_status size_of(const walk *w, const char *param, int32_t axis, int32_t *out)
{
    const sdi_tensor_info *info = tensor_of(w, param);
    if (!info)
        return sdi_fail(w->env, SDIFF_ERROR_MISMATCH, "%s: the depth estimator's '%s' is missing",
                        w->name, param);
    return sdi_dimension(w->env, w->name, info, axis, 1 << 17, out);
}

/* How many there are of a numbered thing: `format` has one number. */
static int32_t count_of(const walk *w, const char *before, const char *behind, int32_t most)
{
    char param[128];
    for (int32_t i = 0; i < most; i++) {
        snprintf(param, sizeof param, "%s%d%s", before, (int)i, behind);
        if (!tensor_of(w, param))
            return i;
    }
    return most;
}

static sdiff_status infer_backbone(const walk *w, sdi_dpt_config *c)
{
    static const char bit[] = "dpt.embeddings.backbone.bit.";
    char head[96], param[128];
    snprintf(param, sizeof param, "%sembedder.convolution.weight", bit);
    SDI_TRY(size_of(w, param, 0, &c->stem_channels));
    SDI_TRY(size_of(w, param, 1, &c->image_channels));
    snprintf(head, sizeof head, "%sencoder.stages.", bit);
    c->stages = count_of(w, head, ".layers.0.conv3.weight", SDI_DPT_MAX_STAGES);
    for (int32_t i = 0; i < c->stages; i++) {
        snprintf(head, sizeof head, "%sencoder.stages.%d.layers.", bit, (int)i);
        c->stage_layers[i] = count_of(w, head, ".conv3.weight", SDI_MAX_LAYERS);
        snprintf(param, sizeof param, "%s0.conv3.weight", head);
        SDI_TRY(size_of(w, param, 0, &c->stage_channels[i]));
    }
    return SDIFF_OK;
}

static sdiff_status infer_transformer(const walk *w, sdi_dpt_config *c)
{
    int32_t positions = 0, side = 1;
    SDI_TRY(size_of(w, "dpt.embeddings.cls_token", 2, &c->hidden_size));
    SDI_TRY(size_of(w, "dpt.embeddings.position_embeddings", 1, &positions));
    SDI_TRY(size_of(w, "dpt.encoder.layer.0.intermediate.dense.weight", 0, &c->intermediate_size));
    while ((side + 1) * (side + 1) < positions)
        side++;
    c->position_side = side;
    c->layers = count_of(w, "dpt.encoder.layer.", ".layernorm_before.weight", 256);
    c->heads = c->hidden_size % 64 == 0 ? c->hidden_size / 64 : 12;
    // ViT-B/16 of 12 layers has its taps after numbers 8 and 11
    c->taps[0] = SDI_MAX(c->layers * 3 / 4 - 1, 0);
    c->taps[1] = SDI_MAX(c->layers - 1, 0);
    c->eps = w->naming.layout == SDI_LAYOUT_LDM ? 1e-6f : 1e-12f;
    return SDIFF_OK;
}

static sdiff_status infer_neck(const walk *w, sdi_dpt_config *c)
{
    for (int32_t i = 0; i < 2; i++)
        c->neck_channels[i] = c->stage_channels[i];
    SDI_TRY(size_of(w, "neck.reassemble_stage.layers.2.projection.weight", 0,
                    &c->neck_channels[2]));
    SDI_TRY(size_of(w, "neck.reassemble_stage.layers.3.projection.weight", 0,
                    &c->neck_channels[3]));
    SDI_TRY(size_of(w, "neck.convs.0.weight", 0, &c->fusion_channels));
    return size_of(w, "head.head.2.weight", 0, &c->head_channels);
}

sdiff_status sdi_infer_depth(const sdi_env *env, const sdi_tensor_file *file, const char *name,
                             const sdi_naming *naming, sdi_model_config *config)
{
    const walk w = {env, file, name, *naming};
    sdi_dpt_config_init(&config->depth);
    SDI_TRY(infer_backbone(&w, &config->depth));
    SDI_TRY(infer_transformer(&w, &config->depth));
    SDI_TRY(infer_neck(&w, &config->depth));
    sdi_depth_input_init(&config->depth_input, &config->depth, naming->layout == SDI_LAYOUT_LDM);
    return SDIFF_OK;
}
