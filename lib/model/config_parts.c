/* SPDX-License-Identifier: MIT
 *
 * config.json of diffusers' AutoencoderKL and transformers' CLIPTextModel, and
 * scheduler_config.json of diffusers' schedulers.
 */
#include "model/config.h"

#include <stdio.h>
#include <string.h>

static sdiff_status need_object(const sdi_env *env, const char *name, const json_t *json)
{
    if (json_is_object(json))
        return SDIFF_OK;
    return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: is not a JSON object", name);
}

/* ---- autoencoder ----------------------------------------------------------------------------- */

/* All blocks must be of the one kind that Stable Diffusion's autoencoders have. */
static sdiff_status check_blocks(const sdi_env *env, const char *name, const json_t *json,
                                 const char *key, const char *word, int32_t levels)
{
    const json_t *list = json_object_get(json, key);
    if (!list || json_is_null(list))
        return SDIFF_OK;
    if (!json_is_array(list) || (int64_t)json_array_size(list) != levels)
        return sdi_fail(env, SDIFF_ERROR_FORMAT,
                        "%s: '%s' must be a list of %d names, one for each of 'block_out_channels'",
                        name, key, (int)levels);
    for (int32_t i = 0; i < levels; i++) {
        const char *found = json_string_value(json_array_get(list, (size_t)i));
        if (!found || strcmp(found, word) != 0)
            return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED, "%s: '%s' holds '%.60s', %s was needed",
                            name, key, found ? found : "something that is no string", word);
    }
    return SDIFF_OK;
}

static sdiff_status vae_options(const sdi_env *env, const char *name, const json_t *json,
                                sdi_vae_config *config)
{
    int quant = 1, post_quant = 1, attention = 1;
    SDI_TRY(sdi_json_get_bool(env, name, json, "use_quant_conv", &quant));
    SDI_TRY(sdi_json_get_bool(env, name, json, "use_post_quant_conv", &post_quant));
    SDI_TRY(sdi_json_get_bool(env, name, json, "mid_block_add_attention", &attention));
    if (quant != post_quant)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                        "%s: 'use_quant_conv' and 'use_post_quant_conv' differ", name);
    config->quant_conv = quant;
    config->mid_attention = attention;
    SDI_TRY(sdi_json_get_real(env, name, json, "scaling_factor", &config->scaling_factor));
    return sdi_json_get_real(env, name, json, "shift_factor", &config->shift_factor);
}

sdiff_status sdi_config_vae(const sdi_env *env, const char *name, const json_t *json,
                            sdi_vae_config *c)
{
    static const sdi_word classes[] = {{"AutoencoderKL", 0}};
    static const sdi_word activations[] = {{"silu", 0}, {"swish", 0}};
    int32_t ignored = 0, out = 3;
    SDI_TRY(need_object(env, name, json));
    SDI_TRY(sdi_config_word(env, name, json, "_class_name", classes, 1, &ignored));
    SDI_TRY(sdi_config_word(env, name, json, "act_fn", activations, 2, &ignored));
    sdi_vae_config_init(c);
    SDI_TRY(sdi_config_list(env, name, json, "block_out_channels", 1, SDI_MAX_CHANNELS,
                            SDI_VAE_MAX_LEVELS, c->block_out_channels, &c->levels));
    SDI_TRY(check_blocks(env, name, json, "down_block_types", "DownEncoderBlock2D", c->levels));
    SDI_TRY(check_blocks(env, name, json, "up_block_types", "UpDecoderBlock2D", c->levels));
    SDI_TRY(sdi_config_int(env, name, json, "in_channels", 1, 1024, &c->image_channels));
    out = c->image_channels;
    SDI_TRY(sdi_config_int(env, name, json, "out_channels", 1, 1024, &out));
    SDI_TRY(sdi_config_int(env, name, json, "latent_channels", 1, 1024, &c->latent_channels));
    SDI_TRY(sdi_config_int(env, name, json, "layers_per_block", 1, SDI_MAX_LAYERS,
                           &c->layers_per_block));
    SDI_TRY(sdi_config_int(env, name, json, "stem_channels", 1, SDI_MAX_CHANNELS,
                           &c->stem_channels)); // not diffusers': of models saved by this library
    SDI_TRY(sdi_config_int(env, name, json, "norm_num_groups", 1, SDI_MAX_CHANNELS,
                           &c->norm_groups));
    SDI_TRY(vae_options(env, name, json, c));
    if (out != c->image_channels)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED, "%s: 'in_channels' and 'out_channels' differ",
                        name);
    return sdi_config_check_vae(env, name, c);
}

/* ---- text encoder ---------------------------------------------------------------------------- */

static sdiff_status check_architecture(const sdi_env *env, const char *name, const json_t *json)
{
    const json_t *list = json_object_get(json, "architectures");
    const char *word = json_string_value(json_array_get(list, 0));
    if (!word || strcmp(word, "CLIPTextModel") == 0 ||
        strcmp(word, "CLIPTextModelWithProjection") == 0)
        return SDIFF_OK;
    return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                    "%s: the text encoder is '%.60s', CLIPTextModel was needed", name, word);
}

sdiff_status sdi_config_clip(const sdi_env *env, const char *name, const json_t *json,
                             sdi_clip_config *c)
{
    static const sdi_word activations[] = {{"quick_gelu", SDI_ACT_QUICK_GELU},
                                           {"gelu", SDI_ACT_GELU}};
    SDI_TRY(need_object(env, name, json));
    SDI_TRY(check_architecture(env, name, json));
    sdi_clip_config_init(c);
    int32_t act = c->act;
    double eps = c->eps;
    // transformers' defaults are those of a smaller model than Stable Diffusion's
    c->hidden_size = 512;
    c->intermediate_size = 2048;
    c->heads = 8;
    SDI_TRY(sdi_config_int(env, name, json, "vocab_size", 3, 1 << 24, &c->vocab_size));
    SDI_TRY(sdi_config_int(env, name, json, "hidden_size", 1, SDI_MAX_CHANNELS, &c->hidden_size));
    SDI_TRY(sdi_config_int(env, name, json, "intermediate_size", 1, 4 * SDI_MAX_CHANNELS,
                           &c->intermediate_size));
    SDI_TRY(sdi_config_int(env, name, json, "num_hidden_layers", 1, 256, &c->layers));
    SDI_TRY(sdi_config_int(env, name, json, "num_attention_heads", 1, 1024, &c->heads));
    SDI_TRY(sdi_config_int(env, name, json, "max_position_embeddings", 3, 1 << 16, &c->positions));
    SDI_TRY(sdi_config_word(env, name, json, "hidden_act", activations, 2, &act));
    SDI_TRY(sdi_json_get_real(env, name, json, "layer_norm_eps", &eps));
    if (!(eps > 0 && eps < 1))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: 'layer_norm_eps' is %g, more than 0 and less "
                        "than 1 was needed", name, eps);
    c->act = (sdi_act)act;
    c->eps = (float)eps;
    // bos_token_id and eos_token_id are wrong in most published files: the vocabulary's ends count.
    c->bos_token = c->vocab_size - 2;
    c->eos_token = c->pad_token = c->vocab_size - 1;
    return sdi_config_check_clip(env, name, c);
}

/* ---- schedule -------------------------------------------------------------------------------- */

/* The spacing that each scheduler has where its file does not say. */
static const sdi_word schedulers[] = {
    {"DDIMScheduler", SDI_SPACING_LEADING},
    {"DDPMScheduler", SDI_SPACING_LEADING},
    {"PNDMScheduler", SDI_SPACING_LEADING},
    {"LCMScheduler", SDI_SPACING_LEADING},
    {"TCDScheduler", SDI_SPACING_LEADING},
    {"DDIMInverseScheduler", SDI_SPACING_LEADING},
    {"DDIMParallelScheduler", SDI_SPACING_LEADING},
    {"DDPMParallelScheduler", SDI_SPACING_LEADING},
    {"LMSDiscreteScheduler", SDI_SPACING_LINSPACE},
    {"EulerDiscreteScheduler", SDI_SPACING_LINSPACE},
    {"EulerAncestralDiscreteScheduler", SDI_SPACING_LINSPACE},
    {"HeunDiscreteScheduler", SDI_SPACING_LINSPACE},
    {"KDPM2DiscreteScheduler", SDI_SPACING_LINSPACE},
    {"KDPM2AncestralDiscreteScheduler", SDI_SPACING_LINSPACE},
    {"DPMSolverMultistepScheduler", SDI_SPACING_LINSPACE},
    {"DPMSolverMultistepInverseScheduler", SDI_SPACING_LINSPACE},
    {"DPMSolverSinglestepScheduler", SDI_SPACING_LINSPACE},
    {"DPMSolverSDEScheduler", SDI_SPACING_LINSPACE},
    {"DEISMultistepScheduler", SDI_SPACING_LINSPACE},
    {"SASolverScheduler", SDI_SPACING_LINSPACE},
    {"UniPCMultistepScheduler", SDI_SPACING_LINSPACE},
};

static sdiff_status read_betas(const sdi_env *env, const char *name, const json_t *json,
                               sdi_schedule_config *s)
{
    static const sdi_word kinds[] = {{"scaled_linear", SDI_BETA_SCALED_LINEAR},
                                     {"linear", SDI_BETA_LINEAR},
                                     {"squaredcos_cap_v2", SDI_BETA_COSINE}};
    int32_t kind = s->beta_schedule;
    const json_t *trained = json_object_get(json, "trained_betas");
    if (trained && !json_is_null(trained))
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                        "%s: 'trained_betas' is set, schedules given by a list are not supported",
                        name);
    SDI_TRY(sdi_json_get_real(env, name, json, "beta_start", &s->beta_start));
    SDI_TRY(sdi_json_get_real(env, name, json, "beta_end", &s->beta_end));
    SDI_TRY(sdi_config_word(env, name, json, "beta_schedule", kinds, SDI_COUNT(kinds), &kind));
    s->beta_schedule = (sdi_beta_schedule)kind;
    if (!(s->beta_start > 0 && s->beta_start < 1 && s->beta_end > 0 && s->beta_end < 1))
        return sdi_fail(env, SDIFF_ERROR_FORMAT,
                        "%s: 'beta_start' %g and 'beta_end' %g must be between 0 and 1", name,
                        s->beta_start, s->beta_end);
    return SDIFF_OK;
}

static sdiff_status read_flags(const sdi_env *env, const char *name, const json_t *json,
                               sdi_schedule_config *s)
{
    int one = s->set_alpha_to_one, clip = s->clip_sample, zero = 0, thresholding = 0;
    SDI_TRY(sdi_json_get_bool(env, name, json, "set_alpha_to_one", &one));
    SDI_TRY(sdi_json_get_bool(env, name, json, "clip_sample", &clip));
    SDI_TRY(sdi_json_get_bool(env, name, json, "rescale_betas_zero_snr", &zero));
    SDI_TRY(sdi_json_get_bool(env, name, json, "thresholding", &thresholding));
    SDI_TRY(sdi_json_get_real(env, name, json, "clip_sample_range", &s->clip_sample_range));
    if (!(s->clip_sample_range > 0))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: 'clip_sample_range' is not positive", name);
    if (thresholding)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                        "%s: 'thresholding' is set, which is not supported", name);
    s->set_alpha_to_one = one;
    s->clip_sample = clip;
    s->zero_terminal_snr = zero;
    return SDIFF_OK;
}

/* Where DPM-Solver and UniPC end. Without the member (new in diffusers 0.26) it was the release
 * that decided: the lowest training level before 0.26, zero since. Folders of the last two releases
 * before are taken as they were meant; older ones as every release since 0.26 takes them. */
static sdiff_status read_final_sigma(const sdi_env *env, const char *name, const json_t *json,
                                     sdi_schedule_config *s)
{
    static const sdi_word finals[] = {{"zero", 2}, {"sigma_min", 1}};
    const char *version = "";
    SDI_TRY(sdi_json_get_string(env, name, json, "_diffusers_version", &version));
    s->final_sigma_min = strncmp(version, "0.24.", 5) == 0 || strncmp(version, "0.25.", 5) == 0;
    return sdi_config_word(env, name, json, "final_sigmas_type", finals, 2, &s->final_sigma_min);
}

/* What diffusers takes for members that a file of this class lacks. */
static void set_class_defaults(const char *class, sdi_schedule_config *s)
{
    static const struct {
        const char *class;
        sdi_beta_schedule kind;
    } stable_diffusion[] = {{"LCMScheduler", SDI_BETA_SCALED_LINEAR},
                            {"TCDScheduler", SDI_BETA_SCALED_LINEAR},
                            {"HeunDiscreteScheduler", SDI_BETA_LINEAR},
                            {"KDPM2DiscreteScheduler", SDI_BETA_LINEAR},
                            {"KDPM2AncestralDiscreteScheduler", SDI_BETA_LINEAR},
                            {"DPMSolverSDEScheduler", SDI_BETA_LINEAR}};
    s->steps_offset = 0;
    s->set_alpha_to_one = strcmp(class, "PNDMScheduler") != 0;
    s->clip_sample = strncmp(class, "DD", 2) == 0;
    s->clip_sample_range = 1;
    s->beta_start = 0.0001;
    s->beta_end = 0.02;
    s->beta_schedule = SDI_BETA_LINEAR;
    for (size_t i = 0; i < SDI_COUNT(stable_diffusion); i++)
        if (strcmp(class, stable_diffusion[i].class) == 0) {
            s->beta_start = 0.00085;
            s->beta_end = 0.012;
            s->beta_schedule = stable_diffusion[i].kind;
        }
}

sdiff_status sdi_config_scheduler(const sdi_env *env, const char *name, const json_t *json,
                                  sdi_model_config *config)
{
    static const sdi_word predictions[] = {{"epsilon", SDI_PREDICT_EPSILON},
                                           {"v_prediction", SDI_PREDICT_V},
                                           {"sample", SDI_PREDICT_SAMPLE}};
    static const sdi_word spacings[] = {{"leading", SDI_SPACING_LEADING},
                                        {"linspace", SDI_SPACING_LINSPACE},
                                        {"trailing", SDI_SPACING_TRAILING}};
    sdi_schedule_config s;
    sdi_schedule_config_init(&s);
    SDI_TRY(need_object(env, name, json));
    const char *class = "";
    int32_t spacing = s.spacing, prediction = SDI_PREDICT_EPSILON;
    SDI_TRY(sdi_json_get_string(env, name, json, "_class_name", &class));
    SDI_TRY(sdi_config_word(env, name, json, "_class_name", schedulers, SDI_COUNT(schedulers),
                            &spacing));
    set_class_defaults(class, &s);
    SDI_TRY(sdi_config_word(env, name, json, "timestep_spacing", spacings, 3, &spacing));
    SDI_TRY(sdi_config_word(env, name, json, "prediction_type", predictions, 3, &prediction));
    SDI_TRY(sdi_config_int(env, name, json, "num_train_timesteps", 1, 1 << 20,
                           &s.train_timesteps));
    SDI_TRY(sdi_config_int(env, name, json, "steps_offset", 0, s.train_timesteps, &s.steps_offset));
    SDI_TRY(read_betas(env, name, json, &s));
    SDI_TRY(read_flags(env, name, json, &s));
    SDI_TRY(read_final_sigma(env, name, json, &s));
    s.spacing = (sdi_spacing)spacing;
    s.prediction = (sdi_prediction)prediction;
    config->schedule = s;
    config->prediction_from = SDI_FROM_CONFIG;
    snprintf(config->scheduler_class, sizeof config->scheduler_class, "%s", class);
    return SDIFF_OK;
}
