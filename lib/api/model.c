/* SPDX-License-Identifier: MIT
 *
 * sdiff_model: a loaded checkpoint.
 */
#include "api/handle.h"

#include "base/datadir.h"
#include "text/embedded_vocab.h"

#include <stdlib.h>
#include <string.h>

static const sdiff_model_params defaults = {.struct_size = sizeof defaults};

void sdiff_model_params_init(sdiff_model_params *params, size_t struct_size)
{
    sdi_params_init(params, struct_size, &defaults, sizeof defaults);
}

enum { MAX_SIDE = 16384 };

static sdiff_status check(const sdi_env *env, const sdiff_model_params *p)
{
    if (p->compute < SDIFF_COMPUTE_AUTO || p->compute > SDIFF_COMPUTE_BF16X3)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT, "compute type %d does not exist",
                        p->compute);
    if (p->prediction < SDIFF_PREDICTION_MODEL || p->prediction > SDIFF_PREDICTION_SAMPLE)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT, "prediction type %d does not exist",
                        p->prediction);
    if (p->tokenizer < SDIFF_TOKENIZER_HF_FAST || p->tokenizer > SDIFF_TOKENIZER_OPENAI)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT, "tokenizer variant %d does not exist",
                        p->tokenizer);
    if (p->reserved) // later versions may give it a meaning
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT, "model params: the reserved field is %d",
                        p->reserved);
    if (p->width < 0 || p->height < 0 || p->width > MAX_SIDE || p->height > MAX_SIDE)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT, "pictures of %d x %d are not possible",
                        p->width, p->height);
    return SDIFF_OK;
}

static sdi_kernels kernels_of(int32_t compute, uint32_t mask)
{
    sdi_kernels kernels;
    const int bf16 = compute == SDIFF_COMPUTE_BF16 ||
                     (compute == SDIFF_COMPUTE_AUTO && sdi_kernels_prefer_bf16(mask));
    sdi_kernels_init(&kernels, mask, bf16 ? SDI_BF16 : SDI_F32);
    if (compute == SDIFF_COMPUTE_BF16X3 && sdi_kernels_prefer_split(mask))
        sdi_kernels_split(&kernels, mask);
    return kernels;
}

sdiff_status sdi_open_with(sdiff_context *context, const sdi_model_source *source,
                           const sdiff_model_params *params, uint32_t components, sdi_model **out)
{
    const sdi_env env = sdi_context_env(context);
    SDI_TRY(check(&env, params));
    const sdi_kernels kernels = kernels_of(params->compute, context->kernel_mask);
    sdi_model_options options;
    memset(&options, 0, sizeof options);
    options.kernels[SDI_PART_UNET] = params->describe_only ? NULL : &kernels;
    options.pool = context->pool;
    options.components = components;
    options.config = params->config;
    options.vae = params->vae;
    options.vocab = params->vocab;
    options.data_dir = sdi_data_dir();
    options.embedded_vocab = sdi_embedded_vocab(&options.embedded_vocab_size);
    options.ema = params->use_ema;
    options.width = params->width;
    options.height = params->height;
    options.prediction = params->prediction;
    return sdi_model_open(&env, source, &options, out);
}

sdiff_status sdi_open_part(sdiff_context *context, const char *path,
                           const sdiff_model_params *params, uint32_t components, sdi_model **out)
{
    const sdi_env env = sdi_context_env(context);
    const sdi_model_source source = {.path = path};
    sdiff_model_params p = defaults;
    sdi_error_clear(&context->error);
    SDI_TRY(sdi_params_read(&env, "model params", &p, sizeof p, sizeof p, params));
    return sdi_open_with(context, &source, &p, components, out);
}

/* The texts are made once: models do not change. */
static sdiff_status describe(const sdi_env *env, sdiff_model *handle)
{
    json_t *json = NULL;
    SDI_TRY(sdi_model_describe_json(env, handle->model, &json));
    char *text = json_dumps(json, JSON_INDENT(2));
    json_decref(json);
    handle->info = text ? sdi_strdup(env, text) : NULL;
    free(text);
    if (!handle->info)
        return sdi_fail(env, SDIFF_ERROR_NO_MEMORY, "out of memory");
    return sdi_model_describe_text(env, handle->model, &handle->summary);
}

static sdiff_status open_model(sdiff_context *context, const sdi_model_source *source,
                               const sdiff_model_params *params, sdiff_model **out)
{
    if (out)
        *out = NULL;
    if (!context || !out)
        return sdi_null_argument(context ? &context->error : NULL, "model");
    const sdi_env env = sdi_context_env(context);
    sdi_error_clear(&context->error);
    if (!source->path && !source->bytes && !source->read)
        return sdi_fail(&env, SDIFF_ERROR_INVALID_ARGUMENT, "no model was named (NULL)");
    sdiff_model_params p = defaults;
    SDI_TRY(sdi_params_read(&env, "model params", &p, sizeof p, sizeof p, params));
    sdiff_model *handle = sdi_zalloc(&env, 1, sizeof *handle);
    if (!handle)
        return SDIFF_ERROR_NO_MEMORY;
    atomic_init(&handle->references, 1);
    pthread_mutex_init(&handle->lock, NULL);
    handle->context = sdi_context_ref(context);
    handle->env = sdi_handle_env(context, &handle->error);
    handle->variant = (sdi_tokenizer_variant)p.tokenizer;
    sdiff_status status = sdi_open_with(context, source, &p, SDI_LOAD_ALL, &handle->model);
    if (status == SDIFF_OK)
        status = describe(&env, handle);
    if (status != SDIFF_OK) {
        sdiff_model_free(handle);
        return status;
    }
    *out = handle;
    return SDIFF_OK;
}

sdiff_status sdiff_model_open(sdiff_context *context, const char *path,
                              const sdiff_model_params *params, sdiff_model **model)
{
    SDI_OWN_FLOAT_MODE;
    const sdi_model_source source = {.path = path};
    return open_model(context, &source, params, model);
}

sdiff_status sdiff_model_open_memory(sdiff_context *context, const void *bytes, uint64_t size,
                                     const sdiff_model_params *params, sdiff_model **model)
{
    SDI_OWN_FLOAT_MODE;
    const sdi_model_source source = {.bytes = bytes, .size = size};
    return open_model(context, &source, params, model);
}

sdiff_status sdiff_model_open_reader(sdiff_context *context, sdiff_read_fn read, void *user,
                                     uint64_t size, const sdiff_model_params *params,
                                     sdiff_model **model)
{
    SDI_OWN_FLOAT_MODE;
    const sdi_model_source source = {.read = read, .user = user, .size = size};
    return open_model(context, &source, params, model);
}

sdiff_model *sdi_model_handle_ref(sdiff_model *model)
{
    atomic_fetch_add(&model->references, 1);
    return model;
}

void sdiff_model_free(sdiff_model *model)
{
    if (!model || atomic_fetch_sub(&model->references, 1) != 1)
        return;
    sdiff_context *context = model->context;
    const sdi_env env = sdi_handle_env(context, NULL);
    sdi_loras_free(&env, &model->loras);
    sdi_embeddings_free(&env, &model->embeddings);
    sdi_model_unref(model->model);
    pthread_mutex_destroy(&model->lock);
    sdi_free(&env, model->info);
    sdi_free(&env, model->summary);
    sdi_free(&env, model);
    sdiff_context_free(context);
}

const char *sdiff_model_info(const sdiff_model *model)
{
    SDI_OWN_FLOAT_MODE;
    return model ? model->info : "";
}

const char *sdiff_model_summary(const sdiff_model *model)
{
    SDI_OWN_FLOAT_MODE;
    return model ? model->summary : "";
}

int32_t sdiff_model_latent_scale(const sdiff_model *model)
{
    return model ? sdi_latent_scale(sdi_model_get_config(model->model)) : 0;
}

int32_t sdiff_model_default_size(const sdiff_model *model)
{
    return model ? sdi_model_get_config(model->model)->unet.sample_size *
                       sdiff_model_latent_scale(model)
                 : 0;
}

int32_t sdiff_model_latent_channels(const sdiff_model *model)
{
    return model ? sdi_model_get_config(model->model)->unet.out_channels : 0;
}

sdiff_status sdiff_model_preview(sdiff_model *model, const float *latents, int32_t height,
                                 int32_t width, sdiff_image **out)
{
    SDI_OWN_FLOAT_MODE;
    if (out)
        *out = NULL;
    if (!model || !latents || !out)
        return sdi_null_argument(model ? &model->error : NULL, "latents or image");
    if (height < 1 || width < 1 || height > SDIFF_IMAGE_MAX_SIDE || width > SDIFF_IMAGE_MAX_SIDE)
        return sdi_fail(&model->env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "latents of %d x %d: 1 to %d on a side can be shown", width, height,
                        SDIFF_IMAGE_MAX_SIDE);
    pthread_mutex_lock(&model->lock);
    sdiff_status status = sdi_preview_fit(&model->env, model->model, model->context->pool,
                                          &model->preview);
    sdi_image *image = NULL;
    if (status == SDIFF_OK)
        status = sdi_preview_image(&model->env, &model->preview, latents, height, width, &image);
    pthread_mutex_unlock(&model->lock);
    SDI_TRY(status);
    return sdi_image_wrap(&model->env, model->context, image, out);
}

const char *sdiff_model_error(const sdiff_model *model)
{
    return model ? model->error.text : "";
}
