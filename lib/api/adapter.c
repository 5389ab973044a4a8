/* SPDX-License-Identifier: MIT
 *
 * Adapters of a model, and saving it.
 */
#include "api/handle.h"

#include <string.h>

/* ---- LoRA ------------------------------------------------------------------------------------ */

sdiff_status sdiff_model_add_lora(sdiff_model *model, const char *path, double scale)
{
    SDI_OWN_FLOAT_MODE;
    if (!model || !path)
        return sdi_null_argument(model ? &model->error : NULL, "path");
    sdi_error_clear(&model->error);
    return sdi_loras_add(&model->env, model->model, model->context->pool, &model->loras, path,
                         scale);
}

sdiff_status sdiff_model_clear_loras(sdiff_model *model)
{
    SDI_OWN_FLOAT_MODE;
    if (!model)
        return SDIFF_ERROR_INVALID_ARGUMENT;
    sdi_error_clear(&model->error);
    return sdi_loras_clear(&model->env, model->model, model->context->pool, &model->loras);
}

int32_t sdiff_model_lora_count(const sdiff_model *model)
{
    return model ? model->loras.count : 0;
}

const char *sdiff_model_lora_path(const sdiff_model *model, int32_t index)
{
    return index >= 0 && index < sdiff_model_lora_count(model) ? model->loras.items[index].name
                                                               : NULL;
}

const char *sdiff_model_lora_report(const sdiff_model *model)
{
    return model && model->loras.report ? model->loras.report : "";
}

/* ---- textual inversion ----------------------------------------------------------------------- */

sdiff_status sdiff_model_add_embedding(sdiff_model *model, const char *path, const char *name)
{
    SDI_OWN_FLOAT_MODE;
    if (!model || !path)
        return sdi_null_argument(model ? &model->error : NULL, "path");
    sdi_error_clear(&model->error);
    const sdi_model_config *config = sdi_model_get_config(model->model);
    if (!config->has[SDI_PART_TEXT])
        return sdi_fail(&model->env, SDIFF_ERROR_UNSUPPORTED,
                        "%s: the model '%s' has no text encoder that could use an embedding", path,
                        sdi_model_name(model->model));
    sdi_embedding embedding;
    SDI_TRY(sdi_embedding_read(&model->env, path, name, config->clip.hidden_size, &embedding));
    return sdi_embeddings_add(&model->env, &model->embeddings, &embedding);
}

sdiff_status sdiff_model_clear_embeddings(sdiff_model *model)
{
    if (!model)
        return SDIFF_ERROR_INVALID_ARGUMENT;
    sdi_embeddings_free(&model->env, &model->embeddings);
    return SDIFF_OK;
}

int32_t sdiff_model_embedding_count(const sdiff_model *model)
{
    return model ? model->embeddings.count : 0;
}

const char *sdiff_model_embedding_name(const sdiff_model *model, int32_t index)
{
    return index >= 0 && index < sdiff_model_embedding_count(model)
               ? model->embeddings.items[index].name
               : NULL;
}

int32_t sdiff_model_embedding_vectors(const sdiff_model *model, int32_t index)
{
    return index >= 0 && index < sdiff_model_embedding_count(model)
               ? model->embeddings.items[index].count
               : 0;
}

/* ---- saving ---------------------------------------------------------------------------------- */

static const sdiff_save_params defaults = {.struct_size = sizeof defaults};

void sdiff_save_params_init(sdiff_save_params *params, size_t struct_size)
{
    sdi_params_init(params, struct_size, &defaults, sizeof defaults);
}

sdiff_status sdiff_model_save(sdiff_model *model, const char *path, const sdiff_save_params *params)
{
    SDI_OWN_FLOAT_MODE;
    static const sdi_save_type types[] = {SDI_SAVE_KEEP, SDI_SAVE_F32, SDI_SAVE_F16, SDI_SAVE_BF16};
    if (!model || !path)
        return sdi_null_argument(model ? &model->error : NULL, "path");
    sdi_error_clear(&model->error);
    sdiff_save_params p = defaults;
    SDI_TRY(sdi_params_read(&model->env, "save params", &p, sizeof p, sizeof p, params));
    if (p.format < SDIFF_SAVE_LDM || p.format > SDIFF_SAVE_DIFFUSERS)
        return sdi_fail(&model->env, SDIFF_ERROR_INVALID_ARGUMENT, "format %d does not exist",
                        p.format);
    if (p.dtype < SDIFF_SAVE_KEEP || p.dtype > SDIFF_SAVE_BF16)
        return sdi_fail(&model->env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a dtype %d for saving does not exist", p.dtype);
    const sdi_save_options options = {.type = types[p.dtype],
                                      .loras = p.without_loras ? NULL : &model->loras,
                                      .without_schedule = p.without_schedule,
                                      .pool = model->context->pool};
    if (p.format == SDIFF_SAVE_LDM)
        return sdi_save_ldm(&model->env, model->model, path, &options);
    return sdi_save_diffusers(&model->env, model->model, path, &options);
}
