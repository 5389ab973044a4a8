/* SPDX-License-Identifier: MIT
 *
 * A single file: its parts are found by name, their configuration is inferred, and one that lies
 * beside the file or is named by the caller goes on top.
 */
#include "model/load.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

/* ---- parts ----------------------------------------------------------------------------------- */

static void set_vae(sdi_loader *l, int32_t file, sdi_found vae)
{
    static const char *const half[] = {"encoder.conv_in.weight", "decoder.conv_in.weight"};
    const sdi_tensor_file *tensors = l->model->files[file].file;
    for (int32_t i = 0; i < 2; i++)
        if (sdi_probe(tensors, vae.prefix, "%s", half[i]))
            sdi_part_set(l, (sdi_part)(SDI_PART_VAE_ENCODER + i), file, vae.layout, vae.prefix);
}

static sdiff_status infer_parts(sdi_loader *l, int32_t file, sdi_found unet, sdi_found vae,
                                sdi_found text)
{
    sdi_model *m = l->model;
    const sdi_tensor_file *tensors = m->files[file].file;
    const char *name = m->files[file].name;
    if (unet.prefix) {
        sdi_part_set(l, SDI_PART_UNET, file, unet.layout, unet.prefix);
        if (unet.layout == SDI_LAYOUT_LDM)
            SDI_TRY(sdi_infer_unet(l->env, tensors, name, unet.prefix, &m->config.unet));
    }
    if (vae.prefix) {
        set_vae(l, file, vae);
        SDI_TRY(sdi_infer_vae(l->env, tensors, name, vae, &m->config.vae));
    }
    if (text.prefix) {
        sdi_part_set(l, SDI_PART_TEXT, file, text.layout, text.prefix);
        SDI_TRY(sdi_infer_clip(l->env, tensors, name, &m->parts[SDI_PART_TEXT].naming,
                               &m->config.clip));
    }
    return SDIFF_OK;
}

static sdiff_status choose_ema(sdi_loader *l, int32_t file)
{
    sdi_naming *naming = &l->model->parts[SDI_PART_UNET].naming;
    if (!l->options->ema)
        return SDIFF_OK;
    if (!sdi_probe(l->model->files[file].file, "model_ema.", "diffusion_modelout2weight"))
        return sdi_fail(l->env, SDIFF_ERROR_MISMATCH,
                        "%s: has no moving averages (EMA weights, model_ema.*)",
                        l->model->files[file].name);
    sdi_skip_part(l->model, SDI_PART_UNET); // the trained weights beside the averages
    naming->layout = SDI_LAYOUT_LDM_EMA;
    memcpy(naming->prefix, "model_ema.", sizeof "model_ema.");
    return SDIFF_OK;
}

/* Models trained with scale_by_std keep the factor in the file. */
static sdiff_status read_scale(sdi_loader *l, int32_t file)
{
    sdi_tensor_file *tensors = l->model->files[file].file;
    const int32_t index = sdi_tensor_file_find(tensors, "scale_factor");
    const sdi_tensor_info *info = index < 0 ? NULL : sdi_tensor_file_info(tensors, index);
    if (!info || info->count != 1 || !sdi_dtype_is_float(info->dtype))
        return SDIFF_OK;
    const void *data = NULL;
    void *owned = NULL;
    float scale = 0;
    SDI_TRY(sdi_tensor_file_data(l->env, tensors, index, &data, &owned));
    sdi_convert_to_f32(&scale, data, info->dtype, 1);
    sdi_free(l->env, owned);
    if (scale > 0 && scale < 1000)
        l->model->config.vae.scaling_factor = scale;
    return SDIFF_OK;
}

/* ---- configurations -------------------------------------------------------------------------- */

static sdiff_status apply(sdi_loader *l, const char *path)
{
    SDI_TRY(sdi_config_apply_file(l->env, path, &l->model->config));
    l->model->config_place = sdi_strdup(l->env, path);
    return l->model->config_place ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

/* "name.fp16" -> "name": endings that tell the kind of file and not the model. */
static int strip_ending(char *stem)
{
    static const char *const endings[] = {"fp16", "fp32", "bf16", "f16", "f32", "vae", "ema",
                                          "non_ema", "pruned", "ckpt"};
    char *dot = strrchr(stem, '.');
    for (size_t i = 0; dot && i < SDI_COUNT(endings); i++)
        if (strcmp(dot + 1, endings[i]) == 0) {
            *dot = '\0';
            return 1;
        }
    return 0;
}

/* NAME.config.json, NAME.yaml, NAME.yml for NAME.safetensors and NAME.fp16.safetensors. */
static sdiff_status own_config(sdi_loader *l, char *stem, int *found)
{
    static const char *const kinds[] = {".config.json", ".yaml", ".yml"};
    do {
        for (size_t i = 0; i < SDI_COUNT(kinds); i++) {
            char *path = sdi_join(l->env, stem, kinds[i], "");
            if (!path)
                return SDIFF_ERROR_NO_MEMORY;
            *found = sdi_exists(path);
            const sdiff_status status = *found ? apply(l, path) : SDIFF_OK;
            sdi_free(l->env, path);
            if (*found)
                return status;
        }
    } while (strip_ending(stem));
    return SDIFF_OK;
}

/* Whether a configuration found under a general name speaks of the network in the file. */
static int describes(const sdi_model_config *a, const sdi_model_config *b)
{
    const sdi_unet_config *x = &a->unet, *y = &b->unet;
    return x->in_channels == y->in_channels && x->levels == y->levels &&
           x->cross_attention_dim == y->cross_attention_dim &&
           x->linear_projection == y->linear_projection &&
           memcmp(x->block_out_channels, y->block_out_channels,
                  (size_t)x->levels * sizeof *x->block_out_channels) == 0;
}

/* The names under which the yaml of published models lies beside them. Used where just one fits:
 * a folder may hold several models. */
static sdiff_status published_config(sdi_loader *l, const char *folder)
{
    static const char *const names[] = {
        "v1-inference.yaml", "v1-inpainting-inference.yaml", "v2-inference.yaml",
        "v2-inference-v.yaml", "v2-inpainting-inference.yaml", "v2-midas-inference.yaml",
        "instruct-pix2pix.yaml"};
    const sdi_env quiet = {.mem = l->env->mem};
    const char *fits = NULL;
    int32_t count = 0;
    for (size_t i = 0; i < SDI_COUNT(names); i++) {
        sdi_model_config config = l->model->config;
        char *path = sdi_join(l->env, folder, names[i], "");
        if (!path)
            return SDIFF_ERROR_NO_MEMORY;
        if (sdi_exists(path) && sdi_config_apply_file(&quiet, path, &config) == SDIFF_OK &&
            describes(&config, &l->model->config)) {
            fits = names[i];
            count++;
        }
        sdi_free(l->env, path);
    }
    if (count != 1)
        return SDIFF_OK;
    char *path = sdi_join(l->env, folder, fits, "");
    const sdiff_status status = path ? apply(l, path) : SDIFF_ERROR_NO_MEMORY;
    sdi_free(l->env, path);
    return status;
}

/* A part of a diffusers folder that was named by its own path has config.json beside it. */
static sdiff_status diffusers_config(sdi_loader *l, const char *folder, int *found)
{
    int32_t diffusers = 0;
    for (int32_t i = 0; i < SDI_PART_COUNT; i++)
        diffusers |= l->model->parts[i].file >= 0 && !l->model->parts[i].naming.prefix[0] &&
                     l->model->parts[i].naming.layout == SDI_LAYOUT_DIFFUSERS;
    if (!diffusers)
        return SDIFF_OK;
    char *path = sdi_join(l->env, folder, "config.json", "");
    if (!path)
        return SDIFF_ERROR_NO_MEMORY;
    *found = sdi_exists(path);
    const sdiff_status status = *found ? apply(l, path) : SDIFF_OK;
    sdi_free(l->env, path);
    return status;
}

static sdiff_status config_beside(sdi_loader *l, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = sdi_strdup(l->env, path), *stem = sdi_strdup(l->env, path);
    sdiff_status status = folder && stem ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
    int found = 0;
    if (status == SDIFF_OK) {
        folder[slash ? slash - path + 1 : 0] = '\0';
        char *dot = strrchr(stem, '.');
        if (dot && !strchr(dot, '/'))
            *dot = '\0';
        status = own_config(l, stem, &found);
    }
    if (status == SDIFF_OK && !found)
        status = diffusers_config(l, folder, &found);
    if (status == SDIFF_OK && !found && l->model->config.has[SDI_PART_UNET])
        status = published_config(l, folder);
    sdi_free(l->env, folder);
    sdi_free(l->env, stem);
    return status;
}

static sdiff_status apply_configs(sdi_loader *l)
{
    const sdi_model_options *o = l->options;
    if (o->config)
        return apply(l, o->config);
    if (o->config_text)
        return sdi_config_apply(l->env, "the given configuration", o->config_text, o->config_size,
                                &l->model->config);
    return l->source->path ? config_beside(l, l->source->path) : SDIFF_OK;
}

/* ---- together -------------------------------------------------------------------------------- */

static void warn_of_guesses(sdi_loader *l)
{
    const sdi_model_config *c = &l->model->config;
    if (c->has[SDI_PART_UNET] && c->prediction_from == SDI_FROM_FILE &&
        c->family == SDI_FAMILY_SD2)
        sdi_info(l->env, "%s: %s assumed from its weights; a configuration or the prediction "
                 "option overrides it", l->model->name,
                 sdi_prediction_name(c->schedule.prediction));
}

sdiff_status sdi_open_single(sdi_loader *l, sdi_tensor_file *file, const char *name,
                             int32_t serial)
{
    sdi_model_config *c = &l->model->config;
    int32_t index = 0;
    SDI_TRY(sdi_model_add_file(l, file, name, serial, &index));
    SDI_TRY(sdi_refuse_foreign(l->env, file, name));
    const sdi_found unet = sdi_find_unet(file), vae = sdi_find_vae(file);
    const sdi_found text = sdi_find_text(file);
    int32_t extra = 0;
    SDI_TRY(sdi_open_extra(l, index, !unet.prefix && !vae.prefix && !text.prefix, &extra));
    if (extra) {
        SDI_TRY(sdi_apply_saved(l, index));
        return apply_configs(l);
    }
    if (!unet.prefix && !vae.prefix && !text.prefix)
        return sdi_fail_unknown(l->env, file, name);
    SDI_TRY(infer_parts(l, index, unet, vae, text));
    c->family = sdi_infer_family(l->model);
    c->task = sdi_infer_task(c);
    if (unet.layout == SDI_LAYOUT_LDM && unet.prefix) {
        sdi_infer_heads(c);
        SDI_TRY(sdi_infer_prediction(l, index));
    }
    SDI_TRY(read_scale(l, index));
    SDI_TRY(sdi_apply_saved(l, index));
    SDI_TRY(apply_configs(l));
    if (unet.layout == SDI_LAYOUT_DIFFUSERS && unet.prefix && !l->model->config_place &&
        !l->options->config_text)
        return sdi_fail(l->env, SDIFF_ERROR_UNSUPPORTED,
                        "%s: is a U-Net in diffusers' names without the config.json that belongs "
                        "to it", name);
    warn_of_guesses(l);
    return unet.prefix ? choose_ema(l, index) : SDIFF_OK;
}
