/* SPDX-License-Identifier: MIT
 *
 * The flat JSON form of a single file's configuration, in the words of the original yaml:
 *
 *   {"kind": "sd1", "unet": {"model_channels": …, "channel_mult": […], "num_heads": …},
 *    "vae": {"ch": …, "ch_mult": […]}, "text": {…}, "scale_factor": 0.18215, "prediction": "eps"}
 *
 * Every member is optional and overrides what was inferred from the file. Also decides which form
 * a configuration has.
 */
#include "model/config.h"

#include "base/memory.h"
#include "io/source.h"

#include <string.h>

/* ---- U-Net ----------------------------------------------------------------------------------- */

/* `keys` name width and multipliers; the width is 0 where neither text nor file had one. */
static sdiff_status multiply_channels(const sdi_env *env, const char *name, const char *const *keys,
                                      int32_t width, const int32_t *multipliers, int32_t levels,
                                      int32_t *channels)
{
    if (levels > 0 && width < 1)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: '%s' needs '%s' beside it", name, keys[1],
                        keys[0]);
    for (int32_t i = 0; i < levels; i++) {
        if (multipliers[i] > SDI_MAX_CHANNELS / width)
            return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: %d '%s' times %d in '%s' is beyond %d",
                            name, (int)width, keys[0], (int)multipliers[i], keys[1],
                            SDI_MAX_CHANNELS);
        channels[i] = width * multipliers[i];
    }
    return SDIFF_OK;
}

static sdiff_status unet_channels(const sdi_env *env, const char *name, const json_t *json,
                                  sdi_unet_config *c)
{
    int32_t multipliers[SDI_UNET_MAX_LEVELS], levels = 0, width = c->block_out_channels[0];
    SDI_TRY(sdi_config_int(env, name, json, "model_channels", 1, SDI_MAX_CHANNELS, &width));
    SDI_TRY(sdi_config_list(env, name, json, "channel_mult", 1, SDI_MAX_CHANNELS,
                            SDI_UNET_MAX_LEVELS, multipliers, &levels));
    if (levels == 0) {
        if (json_object_get(json, "model_channels") && width != c->block_out_channels[0])
            return sdi_fail(env, SDIFF_ERROR_FORMAT,
                            "%s: 'model_channels' without 'channel_mult' beside it", name);
        return SDIFF_OK;
    }
    static const char *const keys[] = {"model_channels", "channel_mult"};
    SDI_TRY(multiply_channels(env, name, keys, width, multipliers, levels, c->block_out_channels));
    for (int32_t i = c->levels; i < levels; i++) { // levels that the file did not have
        c->layers_per_block[i] = c->layers_per_block[0];
        c->heads[i] = c->heads[0];
        c->transformer_layers[i] = 1;
    }
    c->levels = levels;
    return SDIFF_OK;
}

/* attention_resolutions are factors of reduction: 1, 2, 4, 8 for levels 0, 1, 2, 3. */
static sdiff_status unet_attention(const sdi_env *env, const char *name, const json_t *json,
                                   sdi_unet_config *c)
{
    int32_t factors[SDI_UNET_MAX_LEVELS], count = 0;
    const json_t *list = json_object_get(json, "attention_resolutions");
    if (!list)
        return SDIFF_OK;
    if (json_is_array(list) && json_array_size(list) == 0) {
        memset(c->attention, 0, sizeof c->attention);
        return SDIFF_OK;
    }
    SDI_TRY(sdi_config_list(env, name, json, "attention_resolutions", 1, 1 << 20,
                            SDI_UNET_MAX_LEVELS, factors, &count));
    for (int32_t i = 0; i < c->levels; i++) {
        c->attention[i] = 0;
        for (int32_t j = 0; j < count; j++)
            c->attention[i] |= factors[j] == 1 << i;
    }
    return SDIFF_OK;
}

static sdiff_status unet_heads(const sdi_env *env, const char *name, const json_t *json,
                               sdi_model_config *config)
{
    sdi_unet_config *c = &config->unet;
    int32_t heads = -1, width = -1; // -1 is the original's "not set"
    SDI_TRY(sdi_config_int(env, name, json, "num_heads", -1, SDI_MAX_CHANNELS, &heads));
    SDI_TRY(sdi_config_int(env, name, json, "num_head_channels", -1, SDI_MAX_CHANNELS, &width));
    if (heads == 0 || width == 0)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: 'num_heads' and 'num_head_channels' cannot "
                        "be 0", name);
    if (heads < 0 && width < 0)
        return SDIFF_OK;
    config->heads_from = SDI_FROM_CONFIG;
    c->head_dim = width > 0 ? width : 0;
    for (int32_t i = 0; i < SDI_UNET_MAX_LEVELS && heads > 0; i++)
        c->heads[i] = heads;
    return SDIFF_OK;
}

static sdiff_status flat_unet(const sdi_env *env, const char *name, const json_t *json,
                              sdi_model_config *config)
{
    sdi_unet_config *c = &config->unet;
    int linear = c->linear_projection, transformer = !c->self_attention_only;
    int32_t context = c->cross_attention_dim, contexts = 0;
    int32_t contexts_found[SDI_UNET_MAX_LEVELS];
    SDI_TRY(unet_channels(env, name, json, c));
    SDI_TRY(sdi_config_int(env, name, json, "in_channels", 1, 1024, &c->in_channels));
    SDI_TRY(sdi_config_int(env, name, json, "out_channels", 1, 1024, &c->out_channels));
    SDI_TRY(sdi_config_levels(env, name, json, "num_res_blocks", 1, SDI_MAX_LAYERS, c->levels,
                              c->layers_per_block));
    SDI_TRY(sdi_config_levels(env, name, json, "transformer_depth", 1, SDI_MAX_LAYERS, c->levels,
                              c->transformer_layers));
    SDI_TRY(unet_attention(env, name, json, c));
    SDI_TRY(unet_heads(env, name, json, config));
    SDI_TRY(sdi_config_list(env, name, json, "context_dim", 1, SDI_MAX_CHANNELS,
                            SDI_UNET_MAX_LEVELS, contexts_found, &contexts));
    if (contexts)
        context = contexts_found[0];
    SDI_TRY(sdi_config_int(env, name, json, "num_classes", 1, 1 << 20, &c->class_embeddings));
    SDI_TRY(sdi_config_int(env, name, json, "norm_groups", 1, SDI_MAX_CHANNELS, &c->norm_groups));
    SDI_TRY(sdi_json_get_bool(env, name, json, "use_linear_in_transformer", &linear));
    SDI_TRY(sdi_json_get_bool(env, name, json, "use_spatial_transformer", &transformer));
    c->linear_projection = linear;
    c->self_attention_only = !transformer;
    c->cross_attention_dim = transformer ? context : 0;
    return SDIFF_OK;
}

/* ---- autoencoder ----------------------------------------------------------------------------- */

static sdiff_status flat_vae(const sdi_env *env, const char *name, const json_t *json,
                             sdi_vae_config *c)
{
    int32_t multipliers[SDI_VAE_MAX_LEVELS], levels = 0, width = c->block_out_channels[0];
    int32_t embed = 0;
    int twice = 1;
    SDI_TRY(sdi_config_int(env, name, json, "ch", 1, SDI_MAX_CHANNELS, &width));
    SDI_TRY(sdi_config_list(env, name, json, "ch_mult", 1, SDI_MAX_CHANNELS, SDI_VAE_MAX_LEVELS,
                            multipliers, &levels));
    static const char *const keys[] = {"ch", "ch_mult"};
    SDI_TRY(multiply_channels(env, name, keys, width, multipliers, levels, c->block_out_channels));
    if (levels) {
        c->levels = levels;
        c->stem_channels = multipliers[0] == 1 ? 0 : width;
    }
    SDI_TRY(sdi_config_int(env, name, json, "num_res_blocks", 1, SDI_MAX_LAYERS,
                           &c->layers_per_block));
    SDI_TRY(sdi_config_int(env, name, json, "in_channels", 1, 1024, &c->image_channels));
    SDI_TRY(sdi_config_int(env, name, json, "z_channels", 1, 1024, &c->latent_channels));
    SDI_TRY(sdi_config_int(env, name, json, "norm_groups", 1, SDI_MAX_CHANNELS, &c->norm_groups));
    embed = c->latent_channels;
    SDI_TRY(sdi_config_int(env, name, json, "embed_dim", 1, 1024, &embed));
    SDI_TRY(sdi_json_get_bool(env, name, json, "double_z", &twice));
    const json_t *attention = json_object_get(json, "attn_resolutions");
    if (embed != c->latent_channels || !twice || json_array_size(attention) > 0)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                        "%s: an autoencoder with other 'embed_dim' than 'z_channels', without "
                        "'double_z' or with 'attn_resolutions' is not supported", name);
    return SDIFF_OK;
}

/* ---- text encoder ---------------------------------------------------------------------------- */

/* The words of transformers, then those of open_clip. */
static sdiff_status text_sizes(const sdi_env *env, const char *name, const json_t *json,
                               sdi_clip_config *c)
{
    static const char *const width[] = {"hidden_size", "width"};
    static const char *const layers[] = {"num_hidden_layers", "layers"};
    static const char *const heads[] = {"num_attention_heads", "heads"};
    static const char *const positions[] = {"max_position_embeddings", "context_length"};
    const int32_t before = c->hidden_size;
    for (int i = 0; i < 2; i++) {
        SDI_TRY(sdi_config_int(env, name, json, width[i], 1, SDI_MAX_CHANNELS, &c->hidden_size));
        SDI_TRY(sdi_config_int(env, name, json, layers[i], 1, 256, &c->layers));
        SDI_TRY(sdi_config_int(env, name, json, heads[i], 1, 1024, &c->heads));
        SDI_TRY(sdi_config_int(env, name, json, positions[i], 3, 1 << 16, &c->positions));
    }
    SDI_TRY(sdi_config_int(env, name, json, "vocab_size", 3, 1 << 24, &c->vocab_size));
    if (c->hidden_size != before)
        c->intermediate_size = 4 * c->hidden_size;
    return sdi_config_int(env, name, json, "intermediate_size", 1, 4 * SDI_MAX_CHANNELS,
                          &c->intermediate_size);
}

static sdiff_status flat_text(const sdi_env *env, const char *name, const json_t *json,
                              sdi_clip_config *c)
{
    static const sdi_word acts[] = {{"quick_gelu", SDI_ACT_QUICK_GELU}, {"gelu", SDI_ACT_GELU}};
    static const sdi_word kinds[] = {{"openclip", 1}, {"clip", 0}};
    static const sdi_word layers[] = {{"last", 0}, {"penultimate", 1}, {"hidden", 2}};
    int32_t act = c->act, openclip = 0, layer = c->penultimate, index = -2;
    SDI_TRY(text_sizes(env, name, json, c));
    SDI_TRY(sdi_config_word(env, name, json, "arch", kinds, 2, &openclip));
    if (openclip)
        act = SDI_ACT_GELU;
    SDI_TRY(sdi_config_word(env, name, json, "act", acts, 2, &act));
    SDI_TRY(sdi_config_word(env, name, json, "hidden_act", acts, 2, &act));
    SDI_TRY(sdi_config_word(env, name, json, "layer", layers, 3, &layer));
    SDI_TRY(sdi_config_int(env, name, json, "layer_idx", -256, 256, &index));
    if (layer == 2 && index != -2)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                        "%s: 'layer_idx' is %d, only -2 is supported", name, (int)index);
    c->act = (sdi_act)act;
    c->penultimate = layer != 0;
    c->bos_token = c->vocab_size - 2;
    c->eos_token = c->vocab_size - 1;
    if (c->pad_token != 0)
        c->pad_token = c->eos_token;
    return SDIFF_OK;
}

/* ---- schedule -------------------------------------------------------------------------------- */

static sdiff_status flat_schedule(const sdi_env *env, const char *name, const json_t *json,
                                  sdi_model_config *config)
{
    static const sdi_word predictions[] = {
        {"eps", SDI_PREDICT_EPSILON},   {"v", SDI_PREDICT_V},
        {"x0", SDI_PREDICT_SAMPLE},     {"epsilon", SDI_PREDICT_EPSILON},
        {"v_prediction", SDI_PREDICT_V}, {"sample", SDI_PREDICT_SAMPLE}};
    // the original's "linear" is linear in the square roots
    static const sdi_word kinds[] = {{"linear", SDI_BETA_SCALED_LINEAR},
                                     {"sqrt_linear", SDI_BETA_LINEAR},
                                     {"cosine", SDI_BETA_COSINE}};
    sdi_schedule_config *s = &config->schedule;
    int32_t prediction = s->prediction, kind = s->beta_schedule;
    SDI_TRY(sdi_config_word(env, name, json, "prediction", predictions, SDI_COUNT(predictions),
                            &prediction));
    SDI_TRY(sdi_config_word(env, name, json, "beta_schedule", kinds, SDI_COUNT(kinds), &kind));
    SDI_TRY(sdi_config_int(env, name, json, "timesteps", 1, 1 << 20, &s->train_timesteps));
    SDI_TRY(sdi_json_get_real(env, name, json, "linear_start", &s->beta_start));
    SDI_TRY(sdi_json_get_real(env, name, json, "linear_end", &s->beta_end));
    SDI_TRY(sdi_json_get_real(env, name, json, "scale_factor", &config->vae.scaling_factor));
    if (!(s->beta_start > 0 && s->beta_start < 1 && s->beta_end > 0 && s->beta_end < 1))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: 'linear_start' %g and 'linear_end' %g must "
                        "be between 0 and 1", name, s->beta_start, s->beta_end);
    s->prediction = (sdi_prediction)prediction;
    s->beta_schedule = (sdi_beta_schedule)kind;
    if (json_object_get(json, "prediction"))
        config->prediction_from = SDI_FROM_CONFIG;
    return SDIFF_OK;
}

/* What belongs to ControlNets only. */
static sdiff_status flat_control(const sdi_env *env, const char *name, const json_t *json,
                                 sdi_model_config *config)
{
    int pool = config->control.global_pool;
    SDI_TRY(sdi_config_int(env, name, json, "hint_channels", 1, 1024,
                           &config->unet.conditioning_channels));
    SDI_TRY(sdi_json_get_bool(env, name, json, "global_average_pooling", &pool));
    config->control.global_pool = pool;
    return SDIFF_OK;
}

/* The member if it is an object; NULL and SDIFF_OK if it is absent. */
static sdiff_status section(const sdi_env *env, const char *name, const json_t *json,
                            const char *key, const json_t **out)
{
    *out = json_object_get(json, key);
    if (*out && json_is_null(*out))
        *out = NULL;
    if (*out && !json_is_object(*out))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: '%s' is not an object", name, key);
    return SDIFF_OK;
}

sdiff_status sdi_config_flat(const sdi_env *env, const char *name, const json_t *json,
                             sdi_model_config *config)
{
    const json_t *unet = NULL, *vae = NULL, *text = NULL;
    SDI_TRY(section(env, name, json, "unet", &unet));
    SDI_TRY(section(env, name, json, "vae", &vae));
    SDI_TRY(section(env, name, json, "text", &text));
    if (unet)
        SDI_TRY(flat_unet(env, name, unet, config));
    if (vae)
        SDI_TRY(flat_vae(env, name, vae, &config->vae));
    if (text)
        SDI_TRY(flat_text(env, name, text, &config->clip));
    SDI_TRY(flat_control(env, name, json, config));
    return flat_schedule(env, name, json, config);
}

/* ---- which form ------------------------------------------------------------------------------ */

static int is_class(const char *class, const char *end)
{
    const size_t n = strlen(class), m = strlen(end);
    return n >= m && strcmp(class + n - m, end) == 0;
}

static sdiff_status apply_json(const sdi_env *env, const char *name, const json_t *json,
                               sdi_model_config *config)
{
    const char *class = NULL;
    if (!json_is_object(json))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: is not a JSON object", name);
    SDI_TRY(sdi_json_get_string(env, name, json, "_class_name", &class));
    if (class && is_class(class, "Scheduler"))
        return sdi_config_scheduler(env, name, json, config);
    if (class && strcmp(class, "ControlNetModel") == 0) {
        config->heads_from = SDI_FROM_CONFIG;
        return sdi_config_control(env, name, json, config);
    }
    if (class && strcmp(class, "AutoencoderTiny") == 0)
        return sdi_config_taesd(env, name, json, &config->taesd);
    if (class && strncmp(class, "Autoencoder", 11) == 0)
        return sdi_config_vae(env, name, json, &config->vae);
    if (class || json_object_get(json, "block_out_channels")) {
        config->heads_from = SDI_FROM_CONFIG;
        return sdi_config_unet(env, name, json, &config->unet);
    }
    if (json_object_get(json, "image_mean"))
        return sdi_config_depth_input(env, name, json, &config->depth_input);
    if (json_object_get(json, "is_hybrid") || json_object_get(json, "backbone_config"))
        return sdi_config_dpt(env, name, json, &config->depth);
    if (json_object_get(json, "architectures") || json_object_get(json, "hidden_size"))
        return sdi_config_clip(env, name, json, &config->clip);
    static const char *const keys[] = {"kind", "unet", "vae", "text", "prediction", "scale_factor"};
    for (size_t i = 0; i < SDI_COUNT(keys); i++)
        if (json_object_get(json, keys[i]))
            return sdi_config_flat(env, name, json, config);
    return sdi_fail(env, SDIFF_ERROR_FORMAT,
                    "%s: is JSON, but no configuration of a model: none of kind, unet, vae, text, "
                    "prediction, scale_factor or _class_name is in it", name);
}

static sdiff_status apply_yaml(const sdi_env *env, const char *name, const char *text, size_t size,
                               sdi_model_config *config)
{
    json_t *yaml = NULL, *flat = NULL;
    SDI_TRY(sdi_yaml_parse(env, name, text, size, &yaml));
    sdiff_status status = sdi_yaml_flatten(env, name, yaml, &flat);
    if (status == SDIFF_OK)
        status = sdi_config_flat(env, name, flat, config);
    json_decref(flat);
    json_decref(yaml);
    return status;
}

sdiff_status sdi_config_apply(const sdi_env *env, const char *name, const char *text, size_t size,
                              sdi_model_config *config)
{
    size_t i = size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (i < size && text[i] && memchr(" \t\r\n", text[i], 4))
        i++;
    if (i == size)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: is empty, a configuration was needed", name);
    if (text[i] != '{' && text[i] != '[')
        return apply_yaml(env, name, text, size, config);
    json_t *json = NULL;
    SDI_TRY(sdi_json_parse(env, name, text, size, &json));
    const sdiff_status status = apply_json(env, name, json, config);
    json_decref(json);
    return status;
}

sdiff_status sdi_config_apply_file(const sdi_env *env, const char *path, sdi_model_config *config)
{
    char *text = NULL;
    size_t size = 0;
    SDI_TRY(sdi_read_small_file(env, path, 1 << 20, &text, &size));
    const sdiff_status status = sdi_config_apply(env, path, text, size, config);
    sdi_free(env, text);
    return status;
}
