/* SPDX-License-Identifier: MIT
 *
 * sdiff_pipeline: requests in, pictures out.
 */
#include "api/pipeline.h"

#include "api/callbacks.h"

#include <string.h>

static const sdiff_generate_params defaults = {.struct_size = sizeof defaults,
                                               .sampler = "dpmpp_2m",
                                               .schedule = "default",
                                               .cfg_scale = 7.5,
                                               .eta = -1,
                                               .strength = -1,
                                               .steps = 20,
                                               .batch_count = 1,
                                               .keep_unmasked = 1};

void sdiff_generate_params_init(sdiff_generate_params *params, size_t struct_size)
{
    sdi_params_init(params, struct_size, &defaults, sizeof defaults);
}

sdiff_status sdiff_pipeline_new(sdiff_model *model, sdiff_pipeline **out)
{
    if (out)
        *out = NULL;
    if (!model || !out)
        return sdi_null_argument(model ? &model->error : NULL, "pipeline");
    sdiff_pipeline *pipeline = sdi_zalloc(&model->env, 1, sizeof *pipeline);
    if (!pipeline)
        return SDIFF_ERROR_NO_MEMORY;
    pipeline->model = sdi_model_handle_ref(model);
    const sdi_env env = sdi_handle_env(model->context, &pipeline->error);
    sdi_session_init(&pipeline->session, &env, model->model, model->context->pool);
    pipeline->session.variant = model->variant;
    pipeline->session.embeddings = &model->embeddings;
    pipeline->session.controls = &pipeline->controls;
    *out = pipeline;
    return SDIFF_OK;
}

static void drop_results(sdiff_pipeline *pipeline)
{
    for (int32_t i = 0; pipeline->images && i < pipeline->pictures.count; i++)
        sdiff_image_free(pipeline->images[i]);
    sdi_free(&pipeline->session.env, pipeline->images);
    pipeline->images = NULL;
    sdi_pictures_free(&pipeline->session.env, &pipeline->pictures);
}

void sdiff_pipeline_free(sdiff_pipeline *pipeline)
{
    if (!pipeline)
        return;
    sdiff_model *model = pipeline->model;
    const sdi_env env = sdi_handle_env(model->context, NULL);
    drop_results(pipeline);
    sdi_controls_clear(&pipeline->session, &pipeline->controls);
    sdi_session_free(&pipeline->session);
    sdi_free(&env, pipeline);
    sdiff_model_free(model);
}

/* The request with defaults filled in and every number checked. */
static sdiff_status read_request(sdiff_pipeline *pipeline, const sdiff_generate_params *params,
                                 sdiff_generate_params *request)
{
    const sdi_env *env = &pipeline->session.env;
    *request = defaults;
    sdi_error_clear(&pipeline->error);
    SDI_TRY(sdi_params_read(env, "generate params", request, sizeof *request, sizeof *request,
                            params));
    if (!request->sampler)
        request->sampler = defaults.sampler;
    if (!request->schedule)
        request->schedule = defaults.schedule;
    return sdi_request_check(&pipeline->session, request);
}

sdiff_status sdiff_pipeline_memory(sdiff_pipeline *pipeline, const sdiff_generate_params *params,
                                   uint64_t *bytes)
{
    SDI_OWN_FLOAT_MODE;
    sdiff_generate_params request;
    if (!pipeline || !bytes)
        return sdi_null_argument(pipeline ? &pipeline->error : NULL, "bytes");
    SDI_TRY(read_request(pipeline, params, &request));
    return sdi_generate_memory(&pipeline->session, &request, bytes);
}

sdiff_status sdiff_pipeline_generate(sdiff_pipeline *pipeline, const sdiff_generate_params *params)
{
    SDI_OWN_FLOAT_MODE;
    sdiff_generate_params request;
    sdi_callbacks callbacks;
    if (!pipeline)
        return SDIFF_ERROR_INVALID_ARGUMENT;
    atomic_store(&pipeline->session.cancel, 0);
    SDI_TRY(read_request(pipeline, params, &request));
    drop_results(pipeline);
    sdi_callbacks_wrap(&callbacks, &host_float_mode, &request);
    SDI_TRY(sdi_generate(&pipeline->session, &request, &pipeline->pictures));
    const uint64_t count = (uint64_t)pipeline->pictures.count;
    pipeline->images = sdi_zalloc(&pipeline->session.env, count, sizeof(sdiff_image *));
    if (!pipeline->images) {
        drop_results(pipeline);
        return SDIFF_ERROR_NO_MEMORY;
    }
    return SDIFF_OK;
}

void sdiff_pipeline_cancel(sdiff_pipeline *pipeline)
{
    if (pipeline)
        atomic_store(&pipeline->session.cancel, 1);
}

int32_t sdiff_pipeline_image_count(const sdiff_pipeline *pipeline)
{
    return pipeline ? pipeline->pictures.count : 0;
}

static int has_result(const sdiff_pipeline *pipeline, int32_t index)
{
    return pipeline && index >= 0 && index < pipeline->pictures.count;
}

sdiff_image *sdiff_pipeline_image(sdiff_pipeline *pipeline, int32_t index)
{
    SDI_OWN_FLOAT_MODE;
    if (!has_result(pipeline, index) || !pipeline->pictures.decoded)
        return NULL;
    const sdi_pictures *p = &pipeline->pictures;
    const sdi_env *env = &pipeline->session.env;
    if (!pipeline->images[index]) {
        const float *planes = p->pixels + 3 * (size_t)index * (size_t)p->width * (size_t)p->height;
        sdi_image *image = NULL;
        if (sdi_image_from_planes(env, planes, p->width, p->height, &image) == SDIFF_OK)
            sdi_image_wrap(env, pipeline->model->context, image, &pipeline->images[index]);
    }
    return pipeline->images[index];
}

sdiff_status sdiff_pipeline_result(sdiff_pipeline *pipeline, int32_t index, float *latents,
                                   float *image)
{
    if (!has_result(pipeline, index))
        return SDIFF_ERROR_INVALID_ARGUMENT;
    const sdi_pictures *p = &pipeline->pictures;
    const size_t latent_count =
        (size_t)p->channels * (size_t)p->latent_height * (size_t)p->latent_width;
    const size_t pixel_count = 3 * (size_t)p->height * (size_t)p->width;
    if (image && !p->decoded)
        return sdi_fail(&pipeline->session.env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "the latents were not decoded (no_decode)");
    if (latents)
        memcpy(latents, p->latents + (size_t)index * latent_count, latent_count * sizeof(float));
    if (image)
        memcpy(image, p->pixels + (size_t)index * pixel_count, pixel_count * sizeof(float));
    return SDIFF_OK;
}

const char *sdiff_pipeline_error(const sdiff_pipeline *pipeline)
{
    return pipeline ? pipeline->error.text : "";
}
