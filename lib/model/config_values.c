/* SPDX-License-Identifier: MIT
 *
 * Reading members of configurations, and what every configuration must fulfil.
 */
#include "model/config.h"

#include "base/strbuf.h"

#include <string.h>

sdiff_status sdi_config_int(const sdi_env *env, const char *name, const json_t *json,
                            const char *key, int32_t minimum, int32_t maximum, int32_t *value)
{
    int64_t wide = *value;
    SDI_TRY(sdi_json_get_int(env, name, json, key, minimum, maximum, &wide));
    *value = (int32_t)wide;
    return SDIFF_OK;
}

sdiff_status sdi_config_list(const sdi_env *env, const char *name, const json_t *json,
                             const char *key, int32_t minimum, int32_t maximum, int32_t capacity,
                             int32_t *values, int32_t *count)
{
    int64_t wide[16];
    int32_t found = 0;
    const json_t *item = json_object_get(json, key);
    if (!item || json_is_null(item))
        return SDIFF_OK;
    SDI_TRY(sdi_json_get_ints(env, name, json, key, minimum, maximum, SDI_MIN(capacity, 16), wide,
                              &found));
    if (found < 1)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: '%s' is empty", name, key);
    for (int32_t i = 0; i < found; i++)
        values[i] = (int32_t)wide[i];
    *count = found;
    return SDIFF_OK;
}

sdiff_status sdi_config_levels(const sdi_env *env, const char *name, const json_t *json,
                               const char *key, int32_t minimum, int32_t maximum, int32_t levels,
                               int32_t *values)
{
    int32_t found[SDI_UNET_MAX_LEVELS];
    int32_t count = 0;
    SDI_TRY(sdi_config_list(env, name, json, key, minimum, maximum, SDI_UNET_MAX_LEVELS, found,
                            &count));
    if (count == 0)
        return SDIFF_OK;
    const int single = !json_is_array(json_object_get(json, key));
    if (!single && count != levels)
        return sdi_fail(env, SDIFF_ERROR_FORMAT,
                        "%s: '%s' has %d numbers, one for each of the %d blocks was needed", name,
                        key, (int)count, (int)levels);
    for (int32_t i = 0; i < levels; i++)
        values[i] = found[single ? 0 : i];
    return SDIFF_OK;
}

static void list_words(sdi_strbuf *list, const sdi_word *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sdi_strbuf_printf(list, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " or ",
                          words[i].word);
}

sdiff_status sdi_config_word(const sdi_env *env, const char *name, const json_t *json,
                             const char *key, const sdi_word *words, size_t count, int32_t *value)
{
    const char *word = NULL;
    SDI_TRY(sdi_json_get_string(env, name, json, key, &word));
    if (!word)
        return SDIFF_OK;
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i].word) == 0) {
            *value = words[i].value;
            return SDIFF_OK;
        }
    sdi_strbuf list;
    sdi_strbuf_init(&list, env);
    list_words(&list, words, count);
    if (list.status == SDIFF_OK)
        sdi_fail(env, SDIFF_ERROR_UNSUPPORTED, "%s: '%s' is '%.60s', %s was needed", name, key,
                 word, list.text);
    const sdiff_status status = list.status == SDIFF_OK ? SDIFF_ERROR_UNSUPPORTED : list.status;
    sdi_strbuf_free(&list);
    return status;
}

/* ---- what networks need ---------------------------------------------------------------------- */

static sdiff_status check_groups(const sdi_env *env, const char *name, const char *what,
                                 const int32_t *channels, int32_t levels, int32_t groups)
{
    for (int32_t i = 0; i < levels; i++)
        if (groups < 1 || channels[i] % groups != 0)
            return sdi_fail(env, SDIFF_ERROR_FORMAT,
                            "%s: the %s has %d channels at level %d, a multiple of its %d norm "
                            "groups was needed", name, what, (int)channels[i], (int)i, (int)groups);
    return SDIFF_OK;
}

sdiff_status sdi_config_check_unet(const sdi_env *env, const char *name,
                                   const sdi_unet_config *config)
{
    SDI_TRY(check_groups(env, name, "U-Net", config->block_out_channels, config->levels,
                         config->norm_groups));
    for (int32_t i = 0; i < config->levels; i++) {
        const int32_t channels = config->block_out_channels[i];
        const int used = config->attention[i] || (config->mid_attention && i == config->levels - 1);
        const int32_t heads = config->head_dim ? channels / config->head_dim : config->heads[i];
        if (used && (heads < 1 || channels % heads != 0 ||
                     (config->head_dim && channels % config->head_dim != 0)))
            return sdi_fail(env, SDIFF_ERROR_FORMAT,
                            "%s: the U-Net's %d channels at level %d do not divide into attention "
                            "heads (%d %s); where the file cannot tell, a configuration beside it "
                            "or given must", name, (int)channels, (int)i,
                            (int)(config->head_dim ? config->head_dim : config->heads[i]),
                            config->head_dim ? "channels a head" : "heads");
    }
    return SDIFF_OK;
}

sdiff_status sdi_config_check_vae(const sdi_env *env, const char *name,
                                  const sdi_vae_config *config)
{
    if (!(config->scaling_factor > 0))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: the latents' scaling factor is not positive",
                        name);
    if (config->stem_channels)
        SDI_TRY(check_groups(env, name, "autoencoder", &config->stem_channels, 1,
                             config->norm_groups));
    return check_groups(env, name, "autoencoder", config->block_out_channels, config->levels,
                        config->norm_groups);
}

sdiff_status sdi_config_check_clip(const sdi_env *env, const char *name,
                                   const sdi_clip_config *config)
{
    if (config->heads < 1 || config->hidden_size % config->heads != 0)
        return sdi_fail(env, SDIFF_ERROR_FORMAT,
                        "%s: the text encoder's %d channels do not divide into %d attention heads; "
                        "where the file cannot tell, a configuration beside it or given must",
                        name, (int)config->hidden_size, (int)config->heads);
    return SDIFF_OK;
}
