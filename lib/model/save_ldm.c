/* SPDX-License-Identifier: MIT
 *
 * A model as one file in the names of the original code, as the published checkpoints have them:
 * the networks, position_ids of CLIP, and the buffers that ddpm.DDPM.register_schedule makes.
 */
#include "model/save_file.h"

#include "base/memory.h"
#include "model/load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFERS = 12 };

typedef struct ldm {
    sdi_save_file file;
    float *schedule;      // [BUFFERS, timesteps]
    int64_t *position_ids; // [positions]
    char *configs[SDI_SAVED_CONFIGS]; // jansson's memory
} ldm;

/* ---- schedule -------------------------------------------------------------------------------- */

/* Row t of the twelve, from the products up to t and before it. */
static void buffers_at(double product, double before, double row[BUFFERS])
{
    const double alpha = product / before, beta = 1 - alpha;
    const double variance = beta * (1 - before) / (1 - product);
    row[0] = beta;
    row[1] = product;
    row[2] = before;
    row[3] = sqrt(product);
    row[4] = sqrt(1 - product);
    row[5] = log(1 - product);
    row[6] = sqrt(1 / product);
    row[7] = sqrt(1 / product - 1);
    row[8] = variance;
    row[9] = log(SDI_MAX(variance, 1e-20));
    row[10] = beta * sqrt(before) / (1 - product);
    row[11] = (1 - before) * sqrt(alpha) / (1 - product);
}

static sdiff_status fill_schedule(ldm *l, const sdi_schedule_config *config)
{
    const int32_t n = config->train_timesteps;
    double *products = sdi_alloc(l->file.env, (uint64_t)n, sizeof *products), row[BUFFERS];
    l->schedule = sdi_alloc(l->file.env, (uint64_t)n * BUFFERS, sizeof *l->schedule);
    sdiff_status status = products && l->schedule ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
    if (status == SDIFF_OK)
        status = sdi_schedule_alphas(l->file.env, config, products);
    for (int32_t t = 0; t < n && status == SDIFF_OK; t++) {
        buffers_at(products[t], t ? products[t - 1] : 1, row);
        for (int32_t i = 0; i < BUFFERS; i++)
            l->schedule[(int64_t)i * n + t] = (float)row[i];
    }
    sdi_free(l->file.env, products);
    return status;
}

static sdiff_status add_schedule(ldm *l)
{
    static const char *const names[BUFFERS] = {
        "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod", "log_one_minus_alphas_cumprod",
        "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance",
        "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2"};
    const sdi_schedule_config *config = &l->file.model->config.schedule;
    const int64_t shape[1] = {config->train_timesteps};
    // a schedule that ends at 0 has infinite buffers; its configuration says it better
    if (l->file.options->without_schedule || config->zero_terminal_snr ||
        !l->file.model->parts[SDI_PART_UNET].declared)
        return SDIFF_OK;
    SDI_TRY(fill_schedule(l, config));
    for (int32_t i = 0; i < BUFFERS; i++)
        SDI_TRY(sdi_save_add_given(&l->file, names[i], SDI_F32, 1, shape,
                                   l->schedule + i * shape[0]));
    return SDIFF_OK;
}

/* ---- networks -------------------------------------------------------------------------------- */

static sdiff_status add_position_ids(ldm *l)
{
    const int64_t shape[2] = {1, l->file.model->config.clip.positions};
    l->position_ids = sdi_alloc(l->file.env, (uint64_t)shape[1], sizeof *l->position_ids);
    if (!l->position_ids)
        return SDIFF_ERROR_NO_MEMORY;
    for (int64_t i = 0; i < shape[1]; i++)
        l->position_ids[i] = i;
    return sdi_save_add_given(&l->file,
                              "cond_stage_model.transformer.text_model.embeddings.position_ids",
                              SDI_I64, 2, shape, l->position_ids);
}

static sdiff_status add_part(ldm *l, sdi_part part, sdi_layout layout, const char *prefix)
{
    const sdi_model_config *c = &l->file.model->config;
    sdi_naming naming = {.part = part, .layout = layout, .unet = &c->unet,
                         .vae_levels = c->vae.levels};
    memcpy(naming.prefix, prefix, strlen(prefix) + 1);
    return sdi_save_add_part(&l->file, &naming, c->clip.layers);
}

static sdiff_status add_parts(ldm *l)
{
    const sdi_model *m = l->file.model;
    const int open = m->config.clip.act == SDI_ACT_GELU; // ViT-H by way of open_clip
    const int alone = !m->parts[SDI_PART_UNET].declared && !m->parts[SDI_PART_TEXT].declared;
    const char *vae = alone ? "" : "first_stage_model.";
    SDI_TRY(add_part(l, SDI_PART_UNET, SDI_LAYOUT_LDM, "model.diffusion_model."));
    SDI_TRY(add_part(l, SDI_PART_VAE_ENCODER, SDI_LAYOUT_LDM, vae));
    SDI_TRY(add_part(l, SDI_PART_VAE_DECODER, SDI_LAYOUT_LDM, vae));
    SDI_TRY(add_part(l, SDI_PART_DEPTH, SDI_LAYOUT_LDM, "depth_model.model."));
    SDI_TRY(add_part(l, SDI_PART_CONTROL, SDI_LAYOUT_LDM, "control_model."));
    SDI_TRY(add_part(l, SDI_PART_TAESD_ENCODER, SDI_LAYOUT_LDM, "taesd_encoder."));
    SDI_TRY(add_part(l, SDI_PART_TAESD_DECODER, SDI_LAYOUT_LDM, "taesd_decoder."));
    if (!m->parts[SDI_PART_TEXT].declared)
        return SDIFF_OK;
    if (open)
        return add_part(l, SDI_PART_TEXT, SDI_LAYOUT_OPENCLIP, "cond_stage_model.model.");
    SDI_TRY(add_position_ids(l));
    return add_part(l, SDI_PART_TEXT, SDI_LAYOUT_DIFFUSERS, "cond_stage_model.transformer.");
}

/* Networks and numbers of single files that the model does not use itself, but others do. */
static int is_worth_keeping(const char *name)
{
    static const char *const starts[] = {"depth_model.", "cond_stage_model.model.logit_scale",
                                         "cond_stage_model.model.text_projection"};
    for (size_t i = 0; i < SDI_COUNT(starts); i++)
        if (strncmp(name, starts[i], strlen(starts[i])) == 0)
            return 1;
    return 0;
}

static sdiff_status add_companions(ldm *l)
{
    const sdi_model *m = l->file.model;
    for (int32_t k = 0; k < m->file_count; k++)
        for (int32_t i = 0; i < sdi_tensor_file_count(m->files[k].file); i++)
            if (m->files[k].state[i] == SDI_TENSOR_FREE &&
                is_worth_keeping(sdi_tensor_file_info(m->files[k].file, i)->name))
                SDI_TRY(sdi_save_add_copy(&l->file, m->files[k].file, i));
    return SDIFF_OK;
}

/* ---- metadata -------------------------------------------------------------------------------- */

static sdiff_status dump(const ldm *l, json_t *json, char **out)
{
    *out = sdi_save_dump(json, JSON_COMPACT);
    return *out ? SDIFF_OK
                : sdi_fail(l->file.env, SDIFF_ERROR_NO_MEMORY, "no memory for a configuration");
}

static sdiff_status make_configs(ldm *l, const sdi_model_config *config)
{
    json_t *flat = sdi_save_flat_config(config);
    if (config->has[SDI_PART_UNET] && sdi_save_unet_is_expressible(&config->unet))
        SDI_TRY(dump(l, sdi_save_unet_config(&config->unet), &l->configs[0]));
    if (config->has[SDI_PART_UNET])
        SDI_TRY(dump(l, sdi_save_scheduler_config(config), &l->configs[1]));
    if (config->has[SDI_PART_DEPTH]) {
        SDI_TRY(dump(l, sdi_save_dpt_config(&config->depth), &l->configs[3]));
        SDI_TRY(dump(l, sdi_save_extractor(&config->depth_input), &l->configs[4]));
    }
    if (json_object_size(flat) == 0) {
        json_decref(flat);
        return SDIFF_OK;
    }
    return dump(l, flat, &l->configs[2]);
}

static sdiff_status write(ldm *l, const char *path, const sdi_model_config *config)
{
    const char *metadata[2 * (SDI_SAVED_CONFIGS + 2) + 1] = {"format", "pt"};
    int32_t used = 2;
    SDI_TRY(make_configs(l, config));
    if (config->has[SDI_PART_UNET]) { // for other programs
        metadata[used++] = "modelspec.prediction_type";
        metadata[used++] = config->schedule.prediction == SDI_PREDICT_V ? "v" : "epsilon";
    }
    for (int32_t i = 0; i < SDI_SAVED_CONFIGS; i++) {
        if (!l->configs[i])
            continue;
        metadata[used++] = sdi_saved_configs[i];
        metadata[used++] = l->configs[i];
    }
    metadata[used] = NULL;
    return sdi_save_write(&l->file, path, metadata);
}

sdiff_status sdi_save_ldm(const sdi_env *env, const sdi_model *model, const char *path,
                          const sdi_save_options *options)
{
    ldm l = {.file = {.env = env, .model = model, .options = options}};
    sdi_model_config config = model->config;
    for (int32_t p = 0; p < SDI_PART_COUNT; p++)
        config.has[p] = model->parts[p].declared;
    sdiff_status status = add_schedule(&l);
    if (status == SDIFF_OK)
        status = add_parts(&l);
    if (status == SDIFF_OK)
        status = add_companions(&l);
    if (status == SDIFF_OK)
        status = write(&l, path, &config);
    for (int32_t i = 0; i < SDI_SAVED_CONFIGS; i++)
        free(l.configs[i]);
    sdi_free(env, l.schedule);
    sdi_free(env, l.position_ids);
    sdi_save_free(&l.file);
    return status;
}
