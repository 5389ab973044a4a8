/* SPDX-License-Identifier: MIT
 *
 * What is in a file of tensors: the parts, or what it is instead of a model.
 */
#include "model/load.h"

#include <stdio.h>
#include <string.h>

const sdi_tensor_info *sdi_probe(const sdi_tensor_file *file, const char *prefix,
                                 const char *format, ...)
{
    char name[SDI_NAME_MAX];
    const size_t length = strlen(prefix);
    memcpy(name, prefix, length);
    va_list arguments;
    va_start(arguments, format);
    const int rest = vsnprintf(name + length, sizeof name - length, format, arguments);
    va_end(arguments);
    if (rest < 0 || (size_t)rest >= sizeof name - length)
        return NULL;
    const int32_t index = sdi_tensor_file_find(file, name);
    return index < 0 ? NULL : sdi_tensor_file_info(file, index);
}

sdiff_status sdi_dimension(const sdi_env *env, const char *file_name, const sdi_tensor_info *info,
                           int32_t axis, int32_t maximum, int32_t *out)
{
    if (axis >= info->rank || info->shape[axis] < 1 || info->shape[axis] > maximum)
        return sdi_fail(env, SDIFF_ERROR_MISMATCH,
                        "%s: the shape of '%.200s' fits no network (dimension %d must be 1 to %d)",
                        file_name, info->name, (int)axis, (int)maximum);
    *out = (int32_t)info->shape[axis];
    return SDIFF_OK;
}

/* The first of the prefixes under which one of the names is. */
static const char *find_prefix(const sdi_tensor_file *file, const char *const *prefixes,
                               const char *const *names)
{
    for (; *prefixes; prefixes++)
        for (const char *const *name = names; *name; name++)
            if (sdi_probe(file, *prefixes, "%s", *name))
                return *prefixes;
    return NULL;
}

sdi_found sdi_find_unet(const sdi_tensor_file *file)
{
    static const char *const prefixes[] = {"model.diffusion_model.", "diffusion_model.", "", NULL};
    static const char *const original[] = {"input_blocks.0.0.weight", NULL};
    static const char *const bare[] = {"", "unet.", NULL};
    static const char *const diffusers[] = {"down_blocks.0.resnets.0.conv1.weight", NULL};
    sdi_found found = {SDI_LAYOUT_LDM, find_prefix(file, prefixes, original)};
    if (found.prefix && !sdi_probe(file, found.prefix, "out.2.weight"))
        found.prefix = NULL; // a ControlNet, or another network's encoder
    if (!found.prefix)
        found = (sdi_found){SDI_LAYOUT_DIFFUSERS, find_prefix(file, bare, diffusers)};
    if (found.prefix && sdi_probe(file, found.prefix, "controlnet_cond_embedding.conv_in.weight"))
        found.prefix = NULL;
    return found;
}

sdi_found sdi_find_vae(const sdi_tensor_file *file)
{
    static const char *const prefixes[] = {"first_stage_model.", "vae.", "", NULL};
    static const char *const original[] = {"decoder.up.0.block.0.conv1.weight",
                                           "encoder.down.0.block.0.conv1.weight", NULL};
    static const char *const diffusers[] = {"decoder.up_blocks.0.resnets.0.conv1.weight",
                                            "encoder.down_blocks.0.resnets.0.conv1.weight", NULL};
    const char *prefix = find_prefix(file, prefixes, original);
    if (prefix)
        return (sdi_found){SDI_LAYOUT_LDM, prefix};
    return (sdi_found){SDI_LAYOUT_DIFFUSERS, find_prefix(file, prefixes, diffusers)};
}

sdi_found sdi_find_text(const sdi_tensor_file *file)
{
    static const char *const prefixes[] = {"cond_stage_model.transformer.", "text_encoder.", "",
                                           NULL};
    static const char *const original[] = {"text_model.embeddings.token_embedding.weight",
                                           "embeddings.token_embedding.weight", NULL};
    static const char *const open[] = {"cond_stage_model.model.", "conditioner.embedders.0.model.",
                                       NULL};
    static const char *const open_names[] = {"token_embedding.weight", NULL};
    const char *prefix = find_prefix(file, open, open_names);
    if (prefix)
        return (sdi_found){SDI_LAYOUT_OPENCLIP, prefix};
    return (sdi_found){SDI_LAYOUT_DIFFUSERS, find_prefix(file, prefixes, original)};
}

/* ---- what it is instead ---------------------------------------------------------------------- */

typedef struct sign {
    const char *word;
    int32_t anywhere; // in the name, else at its start
    const char *meaning;
} sign;

static const char *read_signs(const sdi_tensor_file *file, const sign *signs, size_t count)
{
    const int32_t tensors = sdi_tensor_file_count(file);
    for (size_t s = 0; s < count; s++)
        for (int32_t i = 0; i < tensors; i++) {
            const char *name = sdi_tensor_file_info(file, i)->name;
            if (signs[s].anywhere ? strstr(name, signs[s].word) != NULL
                                  : strncmp(name, signs[s].word, strlen(signs[s].word)) == 0)
                return signs[s].meaning;
        }
    return NULL;
}

sdiff_status sdi_refuse_foreign(const sdi_env *env, const sdi_tensor_file *file, const char *name)
{
    static const sign signs[] = {
        {"conditioner.embedders.1.", 0, "a Stable Diffusion XL checkpoint"},
        {"model.diffusion_model.label_emb.0.0.", 0, "a model with vector conditioning (SDXL, "
                                                    "unCLIP)"},
        {"model.diffusion_model.double_blocks.", 0, "a Flux checkpoint"},
        {"double_blocks.", 0, "a Flux checkpoint"},
        {"transformer.single_transformer_blocks.", 0, "a Flux checkpoint"},
        {"model.diffusion_model.joint_blocks.", 0, "a Stable Diffusion 3 checkpoint"},
        {"joint_blocks.", 0, "a Stable Diffusion 3 checkpoint"},
        {"model.diffusion_model.transformer_blocks.", 0, "a transformer model"},
        {"add_embedding.linear_1.", 0, "the U-Net of Stable Diffusion XL"},
        {"model.diffusion_model.input_blocks.1.1.time_stack.", 0, "a video model"},
    };
    const char *meaning = read_signs(file, signs, SDI_COUNT(signs));
    if (!meaning)
        return SDIFF_OK;
    return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                    "unsupported: %s is %s; Stable Diffusion 1.x and 2.x are supported", name,
                    meaning);
}

sdiff_status sdi_fail_unknown(const sdi_env *env, const sdi_tensor_file *file, const char *name)
{
    static const sign signs[] = {
        {"lora_unet_", 0, "a LoRA, which changes a model and is none"},
        {"lora_te", 0, "a LoRA, which changes a model and is none"},
        {".lora_", 1, "a LoRA, which changes a model and is none"},
        {"_lora.", 1, "a LoRA, which changes a model and is none"},
        {"hada_w1", 1, "a LoHa adapter, which changes a model and is none"},
        {"control_model.", 0, "an incomplete ControlNet"},
        {"input_hint_block.", 0, "an incomplete ControlNet"},
        {"controlnet_cond_embedding.", 0, "an incomplete ControlNet"},
        {"emb_params", 0, "a textual inversion, which adds words to a model and is none"},
        {"string_to_param", 0, "a textual inversion, which adds words to a model and is none"},
        {"<", 0, "a textual inversion, which adds words to a model and is none"},
        {"depth_model.", 0, "an incomplete depth estimator"},
        {"dpt.", 0, "an incomplete depth estimator"},
        {"decoder.layers.", 0, "an incomplete tiny autoencoder"},
        {"encoder.layers.", 0, "an incomplete tiny autoencoder"},
        {"vision_model.", 0, "an image encoder"},
        {"model.layers.", 0, "a language model"},
    };
    const char *meaning = read_signs(file, signs, SDI_COUNT(signs));
    if (meaning)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED, "unsupported: %s is %s", name, meaning);
    const int32_t count = sdi_tensor_file_count(file);
    if (count == 0)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED, "unsupported: %s holds no tensors", name);
    return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                    "unsupported: none of the %d tensors of %s (the first is '%.100s') belongs to "
                    "the U-Net, the autoencoder or the text encoder of Stable Diffusion 1.x or 2.x",
                    (int)count, name, sdi_tensor_file_info(file, 0)->name);
}

/* ---- companions ------------------------------------------------------------------------------ */

static int is_one_of(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, list[i]) == 0)
            return 1;
    return 0;
}

int sdi_is_companion(const char *tensor)
{
    static const char *const buffers[] = { // the schedule, as DDPM registers it
        "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod", "log_one_minus_alphas_cumprod",
        "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance",
        "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2",
        "lvlb_weights", "logvar", "scale_factor", "cond_ids", "v_pred", "ztsnr",
        "denoiser.sigmas", "logit_scale", "text_projection.weight", "text_projection"};
    static const char *const starts[] = { // other networks and what training leaves
        "callbacks.", "optimizer_states.", "optimizer.", "lr_schedulers.", "model_ema.", "loss.",
        "first_stage_model.loss.", "first_stage_model.model_ema.",
        "control_model.", "depth_model.", "embedding_manager.", "discriminator.",
        "cond_stage_model.transformer.vision_model.", "cond_stage_model.transformer.logit_scale",
        "cond_stage_model.transformer.text_projection",
        "cond_stage_model.transformer.visual_projection", "cond_stage_model.model.visual.",
        "cond_stage_model.model.logit_scale", "cond_stage_model.model.text_projection",
        "cond_stage_model.model.attn_mask", "cond_stage_model.logit_scale",
        "cond_stage_model.text_projection", "conditioner.embedders.0.model.logit_scale",
        "conditioner.embedders.0.model.text_projection", "low_scale_model.",
        "noise_augmentor.", "embedder.",
        "dpt.layernorm.", "neck.fusion_stage.layers.0.residual_layer1.", // never read
        "model.pretrained.model.norm.", "model.pretrained.model.head.",
        "model.scratch.refinenet4.resConfUnit1.", "pretrained.model.norm.",
        "pretrained.model.head.", "scratch.refinenet4.resConfUnit1."};
    const size_t length = strlen(tensor);
    if (length >= 12 && strcmp(tensor + length - 12, "position_ids") == 0)
        return 1;
    if (is_one_of(tensor, buffers, SDI_COUNT(buffers)))
        return 1;
    for (size_t i = 0; i < SDI_COUNT(starts); i++)
        if (strncmp(tensor, starts[i], strlen(starts[i])) == 0)
            return 1;
    return 0;
}
