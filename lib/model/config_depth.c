/* SPDX-License-Identifier: MIT
 *
 * config.json of transformers' DPTForDepthEstimation with a BiT backbone, and
 * preprocessor_config.json of its feature extractor.
 */
#include "model/config.h"

#include <math.h>
#include <string.h>

enum { PATCH = 16 }; // pixels of a token's side, by the strides of the backbone

/* ---- backbone -------------------------------------------------------------------------------- */

static sdiff_status read_backbone(const sdi_env *env, const char *name, const json_t *json,
                                  sdi_dpt_config *c)
{
    static const sdi_word types[] = {{"bit", 0}}, layers[] = {{"bottleneck", 0}};
    static const sdi_word paddings[] = {{"same", 0}, {"SAME", 0}};
    int32_t ignored = 0, widths = c->stages, depths = c->stages;
    int32_t channels[SDI_DPT_MAX_STAGES] = {256, 512, 1024, 2048}; // BitConfig's own defaults
    if (!json || json_is_null(json))
        return SDIFF_OK;
    if (!json_is_object(json))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: 'backbone_config' is not an object", name);
    SDI_TRY(sdi_config_word(env, name, json, "model_type", types, 1, &ignored));
    SDI_TRY(sdi_config_word(env, name, json, "layer_type", layers, 1, &ignored));
    SDI_TRY(sdi_config_word(env, name, json, "global_padding", paddings, 2, &ignored));
    SDI_TRY(sdi_config_list(env, name, json, "hidden_sizes", 1, SDI_MAX_CHANNELS,
                            SDI_DPT_MAX_STAGES, channels, &widths));
    SDI_TRY(sdi_config_list(env, name, json, "depths", 1, SDI_MAX_LAYERS, SDI_DPT_MAX_STAGES,
                            c->stage_layers, &depths));
    SDI_TRY(sdi_config_int(env, name, json, "embedding_size", 1, SDI_MAX_CHANNELS,
                           &c->stem_channels));
    SDI_TRY(sdi_config_int(env, name, json, "num_groups", 1, SDI_MAX_CHANNELS, &c->norm_groups));
    c->stages = SDI_MIN(depths, widths);
    memcpy(c->stage_channels, channels, sizeof channels);
    return SDIFF_OK;
}

/* ---- transformer and neck -------------------------------------------------------------------- */

static sdiff_status read_transformer(const sdi_env *env, const char *name, const json_t *json,
                                     sdi_dpt_config *c)
{
    double eps = c->eps;
    int32_t image = c->position_side * PATCH;
    SDI_TRY(sdi_config_int(env, name, json, "num_channels", 1, 1024, &c->image_channels));
    SDI_TRY(sdi_config_int(env, name, json, "hidden_size", 1, SDI_MAX_CHANNELS, &c->hidden_size));
    SDI_TRY(sdi_config_int(env, name, json, "num_hidden_layers", 1, 256, &c->layers));
    SDI_TRY(sdi_config_int(env, name, json, "num_attention_heads", 1, 1024, &c->heads));
    SDI_TRY(sdi_config_int(env, name, json, "intermediate_size", 1, 4 * SDI_MAX_CHANNELS,
                           &c->intermediate_size));
    SDI_TRY(sdi_json_get_real(env, name, json, "layer_norm_eps", &eps));
    SDI_TRY(sdi_config_int(env, name, json, "image_size", PATCH, 1 << 14, &image));
    if (!(eps > 0 && eps < 1))
        return sdi_fail(env, SDIFF_ERROR_FORMAT,
                        "%s: 'layer_norm_eps' is %g, more than 0 and less than 1 was needed", name,
                        eps);
    c->eps = (float)eps;
    c->position_side = image / PATCH;
    return SDIFF_OK;
}

/* The last two of four indices count layers of the transformer; the first two are the backbone's
 * stages. */
static sdiff_status read_neck(const sdi_env *env, const char *name, const json_t *json,
                              sdi_dpt_config *c)
{
    int32_t taps[SDI_DPT_FEATURES] = {2, 5, c->taps[0], c->taps[1]};
    int32_t count = SDI_DPT_FEATURES, sizes = SDI_DPT_FEATURES;
    SDI_TRY(sdi_config_list(env, name, json, "backbone_out_indices", 0, 255, SDI_DPT_FEATURES,
                            taps, &count));
    SDI_TRY(sdi_config_list(env, name, json, "neck_hidden_sizes", 1, SDI_MAX_CHANNELS,
                            SDI_DPT_FEATURES, c->neck_channels, &sizes));
    SDI_TRY(sdi_config_int(env, name, json, "fusion_hidden_size", 1, SDI_MAX_CHANNELS,
                           &c->fusion_channels));
    if (count != SDI_DPT_FEATURES || sizes != SDI_DPT_FEATURES)
        return sdi_fail(env, SDIFF_ERROR_FORMAT,
                        "%s: 'backbone_out_indices' and 'neck_hidden_sizes' have %d and %d "
                        "numbers, %d were needed", name, (int)count, (int)sizes, SDI_DPT_FEATURES);
    c->taps[0] = taps[2];
    c->taps[1] = taps[3];
    return SDIFF_OK;
}

static sdiff_status check_kind(const sdi_env *env, const char *name, const json_t *json)
{
    static const sdi_word acts[] = {{"gelu", 0}}, readouts[] = {{"project", 0}};
    int hybrid = 0, norm = 0, projection = 0;
    int32_t ignored = 0;
    if (!json_is_object(json))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: is not a JSON object", name);
    SDI_TRY(sdi_json_get_bool(env, name, json, "is_hybrid", &hybrid));
    SDI_TRY(sdi_json_get_bool(env, name, json, "use_batch_norm_in_fusion_residual", &norm));
    SDI_TRY(sdi_json_get_bool(env, name, json, "add_projection", &projection));
    SDI_TRY(sdi_config_word(env, name, json, "hidden_act", acts, 1, &ignored));
    SDI_TRY(sdi_config_word(env, name, json, "readout_type", readouts, 1, &ignored));
    if (!hybrid || norm || projection)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                        "%s: '%s' is %s: a DPT-hybrid as in Stable Diffusion 2 depth was needed",
                        name, !hybrid ? "is_hybrid"
                              : norm  ? "use_batch_norm_in_fusion_residual" : "add_projection",
                        !hybrid ? "not set" : "set");
    return SDIFF_OK;
}

sdiff_status sdi_config_dpt(const sdi_env *env, const char *name, const json_t *json,
                            sdi_dpt_config *c)
{
    sdi_dpt_config_init(c);
    SDI_TRY(check_kind(env, name, json));
    SDI_TRY(read_backbone(env, name, json_object_get(json, "backbone_config"), c));
    SDI_TRY(read_transformer(env, name, json, c));
    SDI_TRY(read_neck(env, name, json, c));
    return sdi_config_check_dpt(env, name, c);
}

/* ---- what the network needs ------------------------------------------------------------------ */

sdiff_status sdi_config_check_dpt(const sdi_env *env, const char *name, const sdi_dpt_config *c)
{
    int32_t bad = c->stem_channels % c->norm_groups;
    for (int32_t i = 0; i < c->stages; i++)
        bad |= c->stage_channels[i] % c->norm_groups;
    if (bad || c->stages != 3)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                        "%s: the depth estimator's backbone has %d stages and %d norm groups; 3 "
                        "stages, whose channels are multiples of the groups, were needed", name,
                        (int)c->stages, (int)c->norm_groups);
    if (c->heads < 1 || c->hidden_size % c->heads != 0)
        return sdi_fail(env, SDIFF_ERROR_FORMAT,
                        "%s: the depth estimator's %d channels do not divide into %d attention "
                        "heads", name, (int)c->hidden_size, (int)c->heads);
    if (c->taps[0] >= c->layers || c->taps[1] >= c->layers || c->taps[0] < 0 || c->taps[1] < 0)
        return sdi_fail(env, SDIFF_ERROR_FORMAT,
                        "%s: the depth estimator has %d layers, its neck takes numbers %d and %d "
                        "('backbone_out_indices', from 0)", name, (int)c->layers, (int)c->taps[0],
                        (int)c->taps[1]);
    if (c->fusion_channels < 2 || c->position_side < 1)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: the depth estimator's sizes are too small",
                        name);
    return SDIFF_OK;
}

/* ---- preparation of pictures ----------------------------------------------------------------- */

void sdi_depth_input_init(sdi_depth_input *input, const sdi_dpt_config *config, int32_t original)
{
    const int32_t side = config->position_side * PATCH;
    *input = (sdi_depth_input){.width = side, .height = side, .multiple = original ? 32 : 1,
                               .keep_aspect = original, .mean = {0.5, 0.5, 0.5},
                               .deviation = {0.5, 0.5, 0.5}};
}

static sdiff_status read_three(const sdi_env *env, const char *name, const json_t *json,
                               const char *key, double low, double *out)
{
    const json_t *list = json_object_get(json, key);
    if (!list || json_is_null(list))
        return SDIFF_OK;
    for (size_t i = 0; i < 3; i++) {
        const json_t *item = json_array_get(list, i);
        const double value = json_number_value(item);
        if (!json_is_number(item) || json_array_size(list) != 3 || !isfinite(value) || value < low)
            return sdi_fail(env, SDIFF_ERROR_FORMAT,
                            "%s: '%s' must be a list of 3 numbers from %g on", name, key, low);
        out[i] = value;
    }
    return SDIFF_OK;
}

sdiff_status sdi_config_depth_input(const sdi_env *env, const char *name, const json_t *json,
                                    sdi_depth_input *input)
{
    const json_t *size = json_object_get(json, "size");
    int keep = 0;
    if (!json_is_object(json))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: is not a JSON object", name);
    if (json_is_integer(size)) { // before transformers 4.26
        SDI_TRY(sdi_config_int(env, name, json, "size", 32, 4096, &input->width));
        input->height = input->width;
    } else if (size) {
        SDI_TRY(sdi_config_int(env, name, size, "width", 32, 4096, &input->width));
        SDI_TRY(sdi_config_int(env, name, size, "height", 32, 4096, &input->height));
    }
    SDI_TRY(sdi_json_get_bool(env, name, json, "keep_aspect_ratio", &keep));
    SDI_TRY(sdi_config_int(env, name, json, "ensure_multiple_of", 1, 4096, &input->multiple));
    input->keep_aspect = keep;
    SDI_TRY(read_three(env, name, json, "image_mean", -1e3, input->mean));
    return read_three(env, name, json, "image_std", 1e-3, input->deviation);
}
