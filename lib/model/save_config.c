/* SPDX-License-Identifier: MIT
 *
 * Configurations as diffusers and transformers write them, which config_*.c reads back to the same
 * networks, and the flat form for what a single file does not tell.
 */
#include "model/save_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const sdi_saved_configs[SDI_SAVED_CONFIGS] = {
    "stablediff.unet", "stablediff.scheduler", "stablediff.config", "stablediff.depth",
    "stablediff.extractor"};

/* ---- small things ---------------------------------------------------------------------------- */

static json_t *ints(const int32_t *values, int32_t count)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(values[i]));
    return list;
}

/* One number where all levels have the same. */
static json_t *per_level(const int32_t *values, int32_t count)
{
    for (int32_t i = 1; i < count; i++)
        if (values[i] != values[0])
            return ints(values, count);
    return json_integer(values[0]);
}

static json_t *words(const char *word, int32_t count)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(word));
    return list;
}

/* The double of few digits that is this float32: 1e-5 and not 9.999999747378752e-06. */
static json_t *single(float value)
{
    if (value == 0 || !isfinite(value))
        return json_real(value);
    for (int digits = 1; digits < 9; digits++) {
        const double unit = pow(10, digits - 1 - floor(log10(fabs((double)value))));
        const double rounded = round((double)value * unit) / unit;
        if ((float)rounded == value)
            return json_real(rounded);
    }
    return json_real(value);
}

/* 15 digits read well and mean the same number as a rule; 17 always do. */
char *sdi_save_dump(json_t *json, size_t flags)
{
    char *text = json ? json_dumps(json, flags | JSON_REAL_PRECISION(15)) : NULL;
    json_t *back = text ? json_loads(text, 0, NULL) : NULL;
    if (text && !json_equal(json, back)) {
        free(text);
        text = json_dumps(json, flags | JSON_REAL_PRECISION(17));
    }
    json_decref(back);
    json_decref(json);
    return text;
}

/* ---- U-Net ----------------------------------------------------------------------------------- */

int sdi_save_unet_is_expressible(const sdi_unet_config *c)
{
    for (int32_t i = 0; i < c->levels; i++)
        if (c->self_attention_only && c->head_dim == 0 && c->heads[i] != 1)
            return 0;
    return !(c->self_attention_only && c->cross_attention_dim) &&
           (c->self_attention_only || (c->cross_attention_dim && c->mid_attention));
}

/* UNet2DConditionModel: the number of heads, under a misleading name. UNet2DModel: their width. */
static json_t *heads(const sdi_unet_config *c)
{
    int32_t counts[SDI_UNET_MAX_LEVELS];
    if (c->self_attention_only)
        return c->head_dim ? json_integer(c->head_dim) : json_null();
    for (int32_t i = 0; i < c->levels; i++)
        counts[i] = c->head_dim ? c->block_out_channels[i] / c->head_dim : c->heads[i];
    return per_level(counts, c->levels);
}

static json_t *blocks(const sdi_unet_config *c, int up)
{
    static const char *const names[2][3] = {
        {"DownBlock2D", "CrossAttnDownBlock2D", "AttnDownBlock2D"},
        {"UpBlock2D", "CrossAttnUpBlock2D", "AttnUpBlock2D"}};
    json_t *list = json_array();
    for (int32_t i = 0; i < c->levels; i++) {
        const int32_t level = up ? c->levels - 1 - i : i;
        const int kind = !c->attention[level] ? 0 : c->self_attention_only ? 2 : 1;
        json_array_append_new(list, json_string(names[up][kind]));
    }
    return list;
}

static json_t *only_cross(const sdi_unet_config *c)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < c->levels; i++)
        json_array_append_new(list, json_boolean(c->only_cross_attention[i]));
    return list;
}

json_t *sdi_save_unet_config(const sdi_unet_config *c)
{
    const int plain = c->self_attention_only;
    json_t *json = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:i, s:b, s:o, s:i, s:i, s:o, s:o, s:i, s:i, s:o}",
        "_class_name", plain ? "UNet2DModel" : "UNet2DConditionModel", "act_fn", "silu",
        "attention_head_dim", heads(c), "block_out_channels",
        ints(c->block_out_channels, c->levels), "down_block_types", blocks(c, 0),
        "downsample_padding", c->asymmetric_downsample ? 0 : 1, "flip_sin_to_cos",
        c->flip_sin_to_cos != 0, "freq_shift", single(c->freq_shift), "in_channels",
        (int)c->in_channels, "norm_num_groups", (int)c->norm_groups, "layers_per_block",
        per_level(c->layers_per_block, c->levels), "norm_eps", single(c->norm_eps), "out_channels",
        (int)c->out_channels, "sample_size", (int)c->sample_size, "up_block_types", blocks(c, 1));
    if (!json)
        return NULL;
    if (c->class_embeddings)
        json_object_set_new(json, "num_class_embeds", json_integer(c->class_embeddings));
    if (plain) {
        json_object_set_new(json, "add_attention", json_boolean(c->mid_attention));
        return json;
    }
    json_object_set_new(json, "cross_attention_dim", json_integer(c->cross_attention_dim));
    json_object_set_new(json, "mid_block_type", json_string("UNetMidBlock2DCrossAttn"));
    json_object_set_new(json, "only_cross_attention", only_cross(c));
    json_object_set_new(json, "transformer_layers_per_block",
                        per_level(c->transformer_layers, c->levels));
    json_object_set_new(json, "use_linear_projection", json_boolean(c->linear_projection));
    return json;
}

/* The U-Net's, without what belongs to its decoder, and the hint's network. */
json_t *sdi_save_control_config(const sdi_model_config *config)
{
    static const char *const decoder[] = {"out_channels", "sample_size", "up_block_types"};
    const sdi_unet_config *c = &config->unet;
    json_t *json = sdi_save_unet_config(c);
    if (!json)
        return NULL;
    for (size_t i = 0; i < SDI_COUNT(decoder); i++)
        json_object_del(json, decoder[i]);
    json_object_set_new(json, "_class_name", json_string("ControlNetModel"));
    json_object_set_new(json, "conditioning_channels", json_integer(c->conditioning_channels));
    json_object_set_new(json, "conditioning_embedding_out_channels",
                        ints(c->hint_channels, c->hint_levels));
    json_object_set_new(json, "controlnet_conditioning_channel_order",
                        json_string(config->control.bgr ? "bgr" : "rgb"));
    json_object_set_new(json, "global_pool_conditions", json_boolean(config->control.global_pool));
    return json;
}

/* ---- autoencoder and text encoder ------------------------------------------------------------ */

json_t *sdi_save_vae_config(const sdi_vae_config *c)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:o, s:o, s:i, s:i, s:i, s:i, s:i, s:f, s:o}", "_class_name", "AutoencoderKL",
        "act_fn", "silu", "block_out_channels", ints(c->block_out_channels, c->levels),
        "down_block_types", words("DownEncoderBlock2D", c->levels), "in_channels",
        (int)c->image_channels, "latent_channels", (int)c->latent_channels, "layers_per_block",
        (int)c->layers_per_block, "norm_num_groups", (int)c->norm_groups, "out_channels",
        (int)c->image_channels, "scaling_factor", c->scaling_factor, "up_block_types",
        words("UpDecoderBlock2D", c->levels));
    if (json && !c->quant_conv) {
        json_object_set_new(json, "use_quant_conv", json_false());
        json_object_set_new(json, "use_post_quant_conv", json_false());
    }
    if (json && !c->mid_attention)
        json_object_set_new(json, "mid_block_add_attention", json_false());
    if (json && c->stem_channels) // a word of this library's own
        json_object_set_new(json, "stem_channels", json_integer(c->stem_channels));
    if (json && c->shift_factor != 0)
        json_object_set_new(json, "shift_factor", json_real(c->shift_factor));
    return json;
}

json_t *sdi_save_taesd_config(const sdi_taesd_config *c)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:i, s:i, s:o, s:o, s:i, s:i}", "_class_name",
                     "AutoencoderTiny", "act_fn", "relu", "decoder_block_out_channels",
                     ints(c->decoder_channels, c->levels), "encoder_block_out_channels",
                     ints(c->encoder_channels, c->levels), "in_channels", (int)c->image_channels,
                     "latent_channels", (int)c->latent_channels, "num_decoder_blocks",
                     ints(c->decoder_blocks, c->levels), "num_encoder_blocks",
                     ints(c->encoder_blocks, c->levels), "out_channels", (int)c->image_channels,
                     "upsampling_scaling_factor", 2);
}

static const char *act_name(sdi_act act)
{
    return act == SDI_ACT_QUICK_GELU ? "quick_gelu" : "gelu";
}

json_t *sdi_save_clip_config(const sdi_clip_config *c)
{
    return json_pack("{s:[s], s:i, s:i, s:s, s:i, s:i, s:o, s:i, s:s, s:i, s:i, s:i, s:i}",
                     "architectures", "CLIPTextModel", "bos_token_id", (int)c->bos_token,
                     "eos_token_id", (int)c->eos_token, "hidden_act", act_name(c->act),
                     "hidden_size", (int)c->hidden_size, "intermediate_size",
                     (int)c->intermediate_size, "layer_norm_eps", single(c->eps),
                     "max_position_embeddings", (int)c->positions, "model_type", "clip_text_model",
                     "num_attention_heads", (int)c->heads, "num_hidden_layers", (int)c->layers,
                     "pad_token_id", (int)c->pad_token, "vocab_size", (int)c->vocab_size);
}

/* ---- schedule -------------------------------------------------------------------------------- */

static const char *scheduler_class(const sdi_model_config *config)
{
    if (config->scheduler_class[0])
        return config->scheduler_class;
    return config->family == SDI_FAMILY_UNCONDITIONAL ? "DDPMScheduler" : "DDIMScheduler";
}

json_t *sdi_save_scheduler_config(const sdi_model_config *config)
{
    static const char *const betas[] = {"scaled_linear", "linear", "squaredcos_cap_v2"};
    static const char *const spacings[] = {"leading", "linspace", "trailing"};
    const sdi_schedule_config *s = &config->schedule;
    const char *class = scheduler_class(config);
    json_t *json = json_pack(
        "{s:s, s:f, s:s, s:f, s:b, s:f, s:i, s:s, s:b, s:b, s:i, s:s}", "_class_name", class,
        "beta_end", s->beta_end, "beta_schedule", betas[s->beta_schedule], "beta_start",
        s->beta_start, "clip_sample", s->clip_sample != 0, "clip_sample_range",
        s->clip_sample_range, "num_train_timesteps", (int)s->train_timesteps, "prediction_type",
        sdi_prediction_name(s->prediction), "rescale_betas_zero_snr", s->zero_terminal_snr != 0,
        "set_alpha_to_one", s->set_alpha_to_one != 0, "steps_offset", (int)s->steps_offset,
        "timestep_spacing", spacings[s->spacing]);
    if (json && strcmp(class, "PNDMScheduler") == 0) // Stable Diffusion's use of it
        json_object_set_new(json, "skip_prk_steps", json_true());
    if (json && s->final_sigma_min)
        json_object_set_new(json, "final_sigmas_type",
                            json_string(s->final_sigma_min == 1 ? "sigma_min" : "zero"));
    return json;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static const char *pipeline_class(const sdi_model_config *c)
{
    static const char *const tasks[] = {
        [SDI_TASK_TEXT] = "StableDiffusionPipeline",
        [SDI_TASK_INPAINT] = "StableDiffusionInpaintPipeline",
        [SDI_TASK_DEPTH] = "StableDiffusionDepth2ImgPipeline",
        [SDI_TASK_EDIT] = "StableDiffusionInstructPix2PixPipeline"};
    if (c->family == SDI_FAMILY_UNCONDITIONAL)
        return c->has[SDI_PART_VAE_DECODER] ? "LDMPipeline" : "DDPMPipeline";
    return tasks[c->task];
}

json_t *sdi_save_model_index(const sdi_model_config *c)
{
    json_t *json = json_pack("{s:s, s:[s, s]}", "_class_name", pipeline_class(c), "scheduler",
                             "diffusers", scheduler_class(c));
    if (!json)
        return NULL;
    if (c->has[SDI_PART_UNET])
        json_object_set_new(json, "unet",
                            json_pack("[s, s]", "diffusers",
                                      c->unet.self_attention_only ? "UNet2DModel"
                                                                  : "UNet2DConditionModel"));
    if (c->has[SDI_PART_VAE_DECODER] || c->has[SDI_PART_VAE_ENCODER])
        json_object_set_new(json, "vae", json_pack("[s, s]", "diffusers", "AutoencoderKL"));
    if (c->has[SDI_PART_DEPTH]) {
        json_object_set_new(json, "depth_estimator",
                            json_pack("[s, s]", "transformers", "DPTForDepthEstimation"));
        json_object_set_new(json, "feature_extractor",
                            json_pack("[s, s]", "transformers", "DPTImageProcessor"));
    }
    if (!c->has[SDI_PART_TEXT])
        return json;
    json_object_set_new(json, "text_encoder", json_pack("[s, s]", "transformers", "CLIPTextModel"));
    json_object_set_new(json, "tokenizer", json_pack("[s, s]", "transformers", "CLIPTokenizer"));
    json_object_set_new(json, "safety_checker", json_pack("[n, n]"));
    if (!c->has[SDI_PART_DEPTH])
        json_object_set_new(json, "feature_extractor", json_pack("[n, n]"));
    json_object_set_new(json, "requires_safety_checker", json_false());
    return json;
}

static json_t *flat_text(const sdi_clip_config *c)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:s}", "width", (int)c->hidden_size,
                     "layers", (int)c->layers, "heads", (int)c->heads, "context_length",
                     (int)c->positions, "vocab_size", (int)c->vocab_size, "intermediate_size",
                     (int)c->intermediate_size, "act", act_name(c->act), "layer",
                     c->penultimate ? "penultimate" : "last");
}

json_t *sdi_save_flat_config(const sdi_model_config *c)
{
    json_t *json = json_object(), *unet = json_object();
    if (c->has[SDI_PART_TEXT])
        json_object_set_new(json, "text", flat_text(&c->clip));
    if (c->has[SDI_PART_VAE_DECODER] || c->has[SDI_PART_VAE_ENCODER]) {
        json_object_set_new(json, "scale_factor", json_real(c->vae.scaling_factor));
        json_object_set_new(json, "vae", json_pack("{s:i}", "norm_groups",
                                                   (int)c->vae.norm_groups));
    }
    if (c->has[SDI_PART_CONTROL] || // its hint network is no matter of a U-Net's configuration
        (c->has[SDI_PART_UNET] && !sdi_save_unet_is_expressible(&c->unet))) {
        json_object_set_new(unet, "norm_groups", json_integer(c->unet.norm_groups));
        if (c->unet.head_dim)
            json_object_set_new(unet, "num_head_channels", json_integer(c->unet.head_dim));
        else
            json_object_set_new(unet, "num_heads", json_integer(c->unet.heads[0]));
        json_object_set(json, "unet", unet);
    }
    json_decref(unet);
    return json;
}
