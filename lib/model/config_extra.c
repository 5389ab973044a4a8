/* SPDX-License-Identifier: MIT
 *
 * config.json of diffusers' ControlNetModel and AutoencoderTiny.
 */
#include "model/config.h"

#include <string.h>

/* ---- ControlNet: a U-Net's members, and those of the hint ------------------------------------ */

sdiff_status sdi_config_control(const sdi_env *env, const char *name, const json_t *json,
                                sdi_model_config *config)
{
    static const sdi_word orders[] = {{"rgb", 0}, {"bgr", 1}};
    sdi_unet_config *c = &config->unet;
    int pool = 0;
    SDI_TRY(sdi_config_unet(env, name, json, c));
    SDI_TRY(sdi_config_int(env, name, json, "conditioning_channels", 1, 1024,
                           &c->conditioning_channels));
    SDI_TRY(sdi_config_list(env, name, json, "conditioning_embedding_out_channels", 1,
                            SDI_MAX_CHANNELS, SDI_UNET_MAX_LEVELS, c->hint_channels,
                            &c->hint_levels));
    SDI_TRY(sdi_config_word(env, name, json, "controlnet_conditioning_channel_order", orders, 2,
                            &config->control.bgr));
    SDI_TRY(sdi_json_get_bool(env, name, json, "global_pool_conditions", &pool));
    config->control.global_pool = pool;
    return sdi_config_check_control(env, name, c);
}

sdiff_status sdi_config_check_control(const sdi_env *env, const char *name,
                                      const sdi_unet_config *c)
{
    SDI_TRY(sdi_config_check_unet(env, name, c));
    if (c->cross_attention_dim < 1 || c->self_attention_only || c->class_embeddings)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                        "%s: is a ControlNet without a prompt or with classes, which is not "
                        "supported", name);
    return SDIFF_OK;
}

/* ---- tiny autoencoder ------------------------------------------------------------------------ */

static sdiff_status read_half(const sdi_env *env, const char *name, const json_t *json,
                              const char *const keys[2], int32_t levels, int32_t *channels,
                              int32_t *blocks)
{
    int32_t counts[2] = {levels, levels};
    SDI_TRY(sdi_config_list(env, name, json, keys[0], 1, SDI_MAX_CHANNELS, SDI_TAESD_MAX_LEVELS,
                            channels, &counts[0]));
    SDI_TRY(sdi_config_list(env, name, json, keys[1], 1, SDI_MAX_LAYERS, SDI_TAESD_MAX_LEVELS,
                            blocks, &counts[1]));
    if (counts[0] != levels || counts[1] != levels)
        return sdi_fail(env, SDIFF_ERROR_FORMAT,
                        "%s: '%s' and '%s' have %d and %d numbers, %d were needed", name, keys[0],
                        keys[1], (int)counts[0], (int)counts[1], (int)levels);
    return SDIFF_OK;
}

sdiff_status sdi_config_taesd(const sdi_env *env, const char *name, const json_t *json,
                              sdi_taesd_config *c)
{
    static const char *const encoder[] = {"encoder_block_out_channels", "num_encoder_blocks"};
    static const char *const decoder[] = {"decoder_block_out_channels", "num_decoder_blocks"};
    static const sdi_word acts[] = {{"relu", 0}}, classes[] = {{"AutoencoderTiny", 0}};
    int32_t ignored = 0, scale = 2;
    if (!json_is_object(json))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: is not a JSON object", name);
    SDI_TRY(sdi_config_word(env, name, json, "_class_name", classes, 1, &ignored));
    SDI_TRY(sdi_config_word(env, name, json, "act_fn", acts, 1, &ignored));
    SDI_TRY(sdi_config_int(env, name, json, "upsampling_scaling_factor", 2, 2, &scale));
    sdi_taesd_config_init(c);
    SDI_TRY(sdi_config_int(env, name, json, "in_channels", 1, 1024, &c->image_channels));
    SDI_TRY(sdi_config_int(env, name, json, "latent_channels", 1, 1024, &c->latent_channels));
    SDI_TRY(sdi_config_list(env, name, json, encoder[0], 1, SDI_MAX_CHANNELS,
                            SDI_TAESD_MAX_LEVELS, c->encoder_channels, &c->levels));
    SDI_TRY(read_half(env, name, json, encoder, c->levels, c->encoder_channels,
                      c->encoder_blocks));
    SDI_TRY(read_half(env, name, json, decoder, c->levels, c->decoder_channels,
                      c->decoder_blocks));
    return sdi_config_check_taesd(env, name, c);
}

sdiff_status sdi_config_check_taesd(const sdi_env *env, const char *name,
                                    const sdi_taesd_config *c)
{
    if (c->levels >= 1 && c->levels <= SDI_TAESD_MAX_LEVELS && c->image_channels == 3)
        return SDIFF_OK;
    return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                    "%s: a tiny autoencoder of %d levels and %d colours is not supported", name,
                    (int)c->levels, (int)c->image_channels);
}
