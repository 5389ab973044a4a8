/* SPDX-License-Identifier: MIT
 *
 * config.json of diffusers' UNet2DConditionModel and UNet2DModel, and what ControlNetModel has in
 * common with them.
 */
#include "model/config.h"

#include <string.h>

/* Members whose other values make another network. */
typedef struct fixed {
    const char *key;
    const char *word;  // the only string allowed, or
    double number;     // the only number, where word is NULL and `numeric`
    int32_t numeric;   // else: null or false only
} fixed;

static sdiff_status check_fixed(const sdi_env *env, const char *name, const json_t *json,
                                const fixed *f)
{
    const json_t *item = json_object_get(json, f->key);
    if (!item || json_is_null(item))
        return SDIFF_OK;
    if (f->word && json_is_string(item) && strcmp(json_string_value(item), f->word) == 0)
        return SDIFF_OK;
    if (f->numeric && json_is_number(item) && json_number_value(item) == f->number)
        return SDIFF_OK;
    if (!f->word && !f->numeric && json_is_false(item))
        return SDIFF_OK;
    if (f->word)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED, "%s: '%s' is not '%s', which is all that is "
                        "supported", name, f->key, f->word);
    if (f->numeric)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED, "%s: '%s' is not %g, which is all that is "
                        "supported", name, f->key, f->number);
    return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED, "%s: '%s' is set, which is not supported", name,
                    f->key);
}

static sdiff_status check_all_fixed(const sdi_env *env, const char *name, const json_t *json)
{
    static const fixed members[] = {
        {"addition_embed_type", NULL, 0, 0}, // SDXL
        {"class_embed_type", NULL, 0, 0},
        {"class_embeddings_concat", NULL, 0, 0},
        {"center_input_sample", NULL, 0, 0},
        {"cross_attention_norm", NULL, 0, 0},
        {"dual_cross_attention", NULL, 0, 0},
        {"encoder_hid_dim", NULL, 0, 0},
        {"encoder_hid_dim_type", NULL, 0, 0},
        {"mid_block_only_cross_attention", NULL, 0, 0},
        {"num_attention_heads", NULL, 0, 0},
        {"resnet_skip_time_act", NULL, 0, 0},
        {"reverse_transformer_layers_per_block", NULL, 0, 0},
        {"time_cond_proj_dim", NULL, 0, 0}, // distilled guidance
        {"time_embedding_act_fn", NULL, 0, 0},
        {"time_embedding_dim", NULL, 0, 0},
        {"timestep_post_act", NULL, 0, 0},
        {"attention_type", "default", 0, 0},
        {"resnet_time_scale_shift", "default", 0, 0},
        {"time_embedding_type", "positional", 0, 0},
        {"downsample_type", "conv", 0, 0},
        {"upsample_type", "conv", 0, 0},
        {"conv_in_kernel", NULL, 3, 1},
        {"conv_out_kernel", NULL, 3, 1},
        {"mid_block_scale_factor", NULL, 1, 1},
        {"resnet_out_scale_factor", NULL, 1, 1},
    };
    static const sdi_word activations[] = {{"silu", 0}, {"swish", 0}};
    int32_t ignored = 0;
    for (size_t i = 0; i < SDI_COUNT(members); i++)
        SDI_TRY(check_fixed(env, name, json, &members[i]));
    return sdi_config_word(env, name, json, "act_fn", activations, SDI_COUNT(activations),
                           &ignored);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

typedef struct blocks {
    const char *key, *plain, *attending;
} blocks;

/* Reads one list of block types into 1 (with attention) and 0, from the pixels' side if `down`. */
static sdiff_status read_blocks(const sdi_env *env, const char *name, const json_t *json,
                                const blocks *b, int32_t levels, int32_t *attention)
{
    const json_t *list = json_object_get(json, b->key);
    if (!list || json_is_null(list))
        return SDIFF_OK;
    if (!json_is_array(list) || (int64_t)json_array_size(list) != levels)
        return sdi_fail(env, SDIFF_ERROR_FORMAT,
                        "%s: '%s' must be a list of %d names, one for each of 'block_out_channels'",
                        name, b->key, (int)levels);
    for (int32_t i = 0; i < levels; i++) {
        const char *word = json_string_value(json_array_get(list, (size_t)i));
        if (!word)
            return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: '%s' holds something that is no string",
                            name, b->key);
        attention[i] = strcmp(word, b->attending) == 0;
        if (!attention[i] && strcmp(word, b->plain) != 0)
            return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                            "%s: '%s' holds '%.60s', %s or %s was needed", name, b->key, word,
                            b->plain, b->attending);
    }
    return SDIFF_OK;
}

static sdiff_status read_attention(const sdi_env *env, const char *name, const json_t *json,
                                   sdi_unet_config *config)
{
    const int plain = config->self_attention_only;
    const blocks down = {"down_block_types", "DownBlock2D",
                         plain ? "AttnDownBlock2D" : "CrossAttnDownBlock2D"};
    const blocks up = {"up_block_types", "UpBlock2D",
                       plain ? "AttnUpBlock2D" : "CrossAttnUpBlock2D"};
    int32_t mirror[SDI_UNET_MAX_LEVELS];
    const int32_t levels = config->levels;
    for (int32_t i = 0; i < levels; i++) // the defaults of both classes
        config->attention[i] = plain ? i > 0 : i + 1 < levels;
    SDI_TRY(read_blocks(env, name, json, &down, levels, config->attention));
    for (int32_t i = 0; i < levels; i++)
        mirror[i] = config->attention[levels - 1 - i];
    SDI_TRY(read_blocks(env, name, json, &up, levels, mirror));
    for (int32_t i = 0; i < levels; i++)
        if (mirror[levels - 1 - i] != config->attention[i])
            return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                            "%s: attention at level %d is in only one of 'down_block_types' and "
                            "'up_block_types'", name, (int)i);
    return SDIFF_OK;
}

/* Whether attn1 sees the prompt too: true, false, or a list for the levels. */
static sdiff_status read_only_cross(const sdi_env *env, const char *name, const json_t *json,
                                    sdi_unet_config *config)
{
    const json_t *item = json_object_get(json, "only_cross_attention");
    if (!item || json_is_null(item))
        return SDIFF_OK;
    const int list = json_is_array(item);
    if (list && (int64_t)json_array_size(item) != config->levels)
        return sdi_fail(env, SDIFF_ERROR_FORMAT,
                        "%s: 'only_cross_attention' has %zu members, %d were needed", name,
                        json_array_size(item), (int)config->levels);
    for (int32_t i = 0; i < config->levels; i++) {
        const json_t *value = list ? json_array_get(item, (size_t)i) : item;
        if (!json_is_boolean(value))
            return sdi_fail(env, SDIFF_ERROR_FORMAT,
                            "%s: 'only_cross_attention' is not true or false", name);
        config->only_cross_attention[i] = json_is_true(value);
    }
    return SDIFF_OK;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

/* In UNet2DConditionModel attention_head_dim is the number of heads, whatever its name says; in
 * UNet2DModel it is a head's width, and null means one head. */
static sdiff_status read_heads(const sdi_env *env, const char *name, const json_t *json,
                               sdi_unet_config *config)
{
    if (!config->self_attention_only)
        return sdi_config_levels(env, name, json, "attention_head_dim", 1, SDI_MAX_CHANNELS,
                                 config->levels, config->heads);
    const json_t *item = json_object_get(json, "attention_head_dim");
    config->head_dim = item && json_is_null(item) ? 0 : 8;
    for (int32_t i = 0; i < config->levels; i++)
        config->heads[i] = 1;
    return sdi_config_int(env, name, json, "attention_head_dim", 1, SDI_MAX_CHANNELS,
                          &config->head_dim);
}

static sdiff_status read_context(const sdi_env *env, const char *name, const json_t *json,
                                 sdi_unet_config *config)
{
    int32_t widths[SDI_UNET_MAX_LEVELS], count = 0;
    if (config->self_attention_only) {
        config->cross_attention_dim = 0;
        return SDIFF_OK;
    }
    config->cross_attention_dim = 1280;
    SDI_TRY(sdi_config_list(env, name, json, "cross_attention_dim", 1, SDI_MAX_CHANNELS,
                            SDI_UNET_MAX_LEVELS, widths, &count));
    for (int32_t i = 0; i < count; i++)
        if (widths[i] != widths[0])
            return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                            "%s: 'cross_attention_dim' differs between blocks", name);
    if (count)
        config->cross_attention_dim = widths[0];
    return SDIFF_OK;
}

static sdiff_status read_sizes(const sdi_env *env, const char *name, const json_t *json,
                               sdi_unet_config *c)
{
    int32_t size[2] = {c->sample_size, 0}, sizes = 0;
    SDI_TRY(sdi_config_list(env, name, json, "block_out_channels", 1, SDI_MAX_CHANNELS,
                            SDI_UNET_MAX_LEVELS, c->block_out_channels, &c->levels));
    SDI_TRY(sdi_config_int(env, name, json, "in_channels", 1, 1024, &c->in_channels));
    SDI_TRY(sdi_config_int(env, name, json, "out_channels", 1, 1024, &c->out_channels));
    SDI_TRY(sdi_config_levels(env, name, json, "layers_per_block", 1, SDI_MAX_LAYERS, c->levels,
                              c->layers_per_block));
    SDI_TRY(sdi_config_levels(env, name, json, "transformer_layers_per_block", 1, SDI_MAX_LAYERS,
                              c->levels, c->transformer_layers));
    SDI_TRY(sdi_config_int(env, name, json, "norm_num_groups", 1, SDI_MAX_CHANNELS,
                           &c->norm_groups));
    SDI_TRY(sdi_config_int(env, name, json, "num_class_embeds", 1, 1 << 20, &c->class_embeddings));
    SDI_TRY(sdi_config_list(env, name, json, "sample_size", 1, 1 << 20, 2, size, &sizes));
    c->sample_size = size[0];
    return SDIFF_OK;
}

static sdiff_status read_embedding(const sdi_env *env, const char *name, const json_t *json,
                                   sdi_unet_config *c)
{
    double eps = c->norm_eps, shift = c->freq_shift;
    int flip = c->flip_sin_to_cos, linear = 0, attention = 1;
    int32_t padding = 1;
    SDI_TRY(sdi_json_get_real(env, name, json, "norm_eps", &eps));
    SDI_TRY(sdi_json_get_real(env, name, json, "freq_shift", &shift));
    SDI_TRY(sdi_json_get_bool(env, name, json, "flip_sin_to_cos", &flip));
    SDI_TRY(sdi_json_get_bool(env, name, json, "use_linear_projection", &linear));
    SDI_TRY(sdi_json_get_bool(env, name, json, "add_attention", &attention));
    SDI_TRY(sdi_config_int(env, name, json, "downsample_padding", 0, 1, &padding));
    if (!(eps > 0 && eps < 1))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: 'norm_eps' is %g, more than 0 and less than "
                        "1 was needed", name, eps);
    c->norm_eps = (float)eps;
    c->freq_shift = (float)shift;
    c->flip_sin_to_cos = flip;
    c->linear_projection = linear;
    c->mid_attention = attention;
    c->asymmetric_downsample = padding == 0;
    return SDIFF_OK;
}

/* A member that is null although the network needs it: transformers' way of leaving things away. */
static sdiff_status check_not_null(const sdi_env *env, const char *name, const json_t *json)
{
    static const char *const keys[] = {"norm_num_groups", "mid_block_type"};
    for (size_t i = 0; i < SDI_COUNT(keys); i++)
        if (json_is_null(json_object_get(json, keys[i])))
            return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                            "%s: '%s' is null, networks without it are not supported", name,
                            keys[i]);
    return SDIFF_OK;
}

sdiff_status sdi_config_unet(const sdi_env *env, const char *name, const json_t *json,
                             sdi_unet_config *config)
{
    static const sdi_word classes[] = {
        {"UNet2DConditionModel", 0}, {"ControlNetModel", 0}, {"UNet2DModel", 1}};
    static const sdi_word middles[] = {{"UNetMidBlock2DCrossAttn", 0}, {"UNetMidBlock2D", 1}};
    int32_t plain = 0;
    if (!json_is_object(json))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: is not a JSON object", name);
    SDI_TRY(sdi_config_word(env, name, json, "_class_name", classes, SDI_COUNT(classes), &plain));
    int32_t middle = plain;
    SDI_TRY(sdi_config_word(env, name, json, "mid_block_type", middles, 2, &middle));
    if (middle != plain)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                        "%s: 'mid_block_type' is '%s', %s was needed", name, middles[middle].word,
                        middles[plain].word);
    sdi_unet_config_init(config);
    config->self_attention_only = plain;
    SDI_TRY(check_not_null(env, name, json));
    SDI_TRY(check_all_fixed(env, name, json));
    SDI_TRY(read_sizes(env, name, json, config));
    SDI_TRY(read_heads(env, name, json, config));
    SDI_TRY(read_context(env, name, json, config));
    SDI_TRY(read_attention(env, name, json, config));
    SDI_TRY(read_only_cross(env, name, json, config));
    SDI_TRY(read_embedding(env, name, json, config));
    return sdi_config_check_unet(env, name, config);
}
