/* SPDX-License-Identifier: MIT
 *
 * sdiff_taesd: tiny autoencoders, alone and as a pipeline's decoder.
 */
#include "api/pipeline.h"

#include "pipeline/taesd_code.h"

struct sdiff_taesd {
    sdiff_context *context;
    sdi_error error;
    sdi_session session; // its model is the tiny autoencoder
    sdi_network encoder, decoder; // 0: not there
};

static sdiff_status add_halves(sdiff_taesd *t)
{
    sdi_model *model = t->session.model;
    if (sdi_model_weights(model, SDI_PART_TAESD_ENCODER))
        SDI_TRY(sdi_session_add(&t->session, model, SDI_PART_TAESD_ENCODER, &t->encoder));
    if (sdi_model_weights(model, SDI_PART_TAESD_DECODER))
        SDI_TRY(sdi_session_add(&t->session, model, SDI_PART_TAESD_DECODER, &t->decoder));
    return SDIFF_OK;
}

sdiff_status sdiff_taesd_open(sdiff_context *context, const char *path,
                              const sdiff_model_params *params, sdiff_taesd **taesd)
{
    SDI_OWN_FLOAT_MODE;
    sdi_model *model = NULL;
    if (taesd)
        *taesd = NULL;
    if (!context || !path || !taesd)
        return sdi_null_argument(context ? &context->error : NULL, "path or taesd");
    SDI_TRY(sdi_open_part(context, path, params,
                          1 << SDI_PART_TAESD_ENCODER | 1 << SDI_PART_TAESD_DECODER, &model));
    const sdi_env bare = sdi_context_env(context);
    sdiff_taesd *t = sdi_zalloc(&bare, 1, sizeof *t);
    if (!t) {
        sdi_model_unref(model);
        return SDIFF_ERROR_NO_MEMORY;
    }
    t->context = sdi_context_ref(context);
    const sdi_env env = sdi_handle_env(context, &t->error);
    sdi_session_init(&t->session, &env, model, context->pool);
    sdi_model_unref(model);
    sdiff_status status = add_halves(t);
    if (status == SDIFF_OK && !t->encoder && !t->decoder)
        status = sdi_fail(&bare, SDIFF_ERROR_UNSUPPORTED,
                          "unsupported: '%s' is no tiny autoencoder", path);
    if (status != SDIFF_OK) {
        sdiff_taesd_free(t);
        return status;
    }
    *taesd = t;
    return SDIFF_OK;
}

void sdiff_taesd_free(sdiff_taesd *taesd)
{
    if (!taesd)
        return;
    sdiff_context *context = taesd->context;
    const sdi_env env = sdi_handle_env(context, NULL);
    sdi_session_free(&taesd->session);
    sdi_free(&env, taesd);
    sdiff_context_free(context);
}

int32_t sdiff_taesd_scale(const sdiff_taesd *taesd)
{
    return taesd ? sdi_taesd_scale(taesd->session.model) : 0;
}

/* Whether a half is there and the sides are possible. */
static sdiff_status check(sdiff_taesd *taesd, sdi_network half, const char *name, int32_t height,
                          int32_t width, int32_t unit)
{
    const sdi_env *env = &taesd->session.env;
    sdi_error_clear(&taesd->error);
    if (!half)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED, "'%s' has no %s",
                        sdi_model_name(taesd->session.model), name);
    if (height < unit || width < unit || height > SDI_IMAGE_MAX_SIDE ||
        width > SDI_IMAGE_MAX_SIDE || height % unit || width % unit)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "%d x %d is not possible: sides are multiples of %d up to %d", width,
                        height, unit, SDI_IMAGE_MAX_SIDE);
    return SDIFF_OK;
}

sdiff_status sdiff_taesd_decode(sdiff_taesd *taesd, const float *latents, int32_t height,
                                int32_t width, float *image)
{
    SDI_OWN_FLOAT_MODE;
    if (!taesd || !latents || !image)
        return sdi_null_argument(taesd ? &taesd->error : NULL, "latents or image");
    SDI_TRY(check(taesd, taesd->decoder, "decoder", height, width, 1));
    SDI_TRY(sdi_taesd_decode(&taesd->session, taesd->decoder, latents, height, width, image));
    const int64_t scale = sdi_taesd_scale(taesd->session.model);
    for (int64_t i = 0; i < 3 * height * scale * width * scale; i++) {
        const float x = image[i] * 0.5f + 0.5f;
        image[i] = x > 0 ? (x < 1 ? x : 1) : 0;
    }
    return SDIFF_OK;
}

sdiff_status sdiff_taesd_preview(sdiff_taesd *taesd, const float *latents, int32_t height,
                                 int32_t width, sdiff_image **image)
{
    SDI_OWN_FLOAT_MODE;
    if (image)
        *image = NULL;
    if (!taesd || !latents || !image)
        return sdi_null_argument(taesd ? &taesd->error : NULL, "latents or image");
    SDI_TRY(check(taesd, taesd->decoder, "decoder", height, width, 1));
    const sdi_env *env = &taesd->session.env;
    const int32_t scale = sdi_taesd_scale(taesd->session.model);
    sdi_image *made = NULL;
    float *planes = sdi_alloc(env, 3 * (uint64_t)height * (uint64_t)width,
                              (uint64_t)scale * (uint64_t)scale * sizeof *planes);
    if (!planes)
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status = sdiff_taesd_decode(taesd, latents, height, width, planes);
    if (status == SDIFF_OK)
        status = sdi_image_from_planes(env, planes, width * scale, height * scale, &made);
    sdi_free(env, planes);
    return status == SDIFF_OK ? sdi_image_wrap(env, taesd->context, made, image) : status;
}

sdiff_status sdiff_taesd_encode(sdiff_taesd *taesd, const float *image, int32_t height,
                                int32_t width, float *latents)
{
    SDI_OWN_FLOAT_MODE;
    if (!taesd || !image || !latents)
        return sdi_null_argument(taesd ? &taesd->error : NULL, "image or latents");
    const sdi_env *env = &taesd->session.env;
    SDI_TRY(check(taesd, taesd->encoder, "encoder", height, width,
                  sdi_taesd_scale(taesd->session.model)));
    const uint64_t count = 3 * (uint64_t)height * (uint64_t)width;
    float *pixels = sdi_alloc(env, count, sizeof *pixels);
    if (!pixels)
        return SDIFF_ERROR_NO_MEMORY;
    for (uint64_t i = 0; i < count; i++)
        pixels[i] = 2 * image[i] - 1;
    const sdiff_status status =
        sdi_taesd_encode(&taesd->session, taesd->encoder, pixels, height, width, latents);
    sdi_free(env, pixels);
    return status;
}

const char *sdiff_taesd_error(const sdiff_taesd *taesd)
{
    return taesd ? taesd->error.text : "";
}

/* ---- as a pipeline's decoder ----------------------------------------------------------------- */

sdiff_status sdiff_pipeline_set_taesd(sdiff_pipeline *pipeline, const sdiff_taesd *taesd)
{
    SDI_OWN_FLOAT_MODE;
    sdi_network network = 0;
    if (!pipeline)
        return SDIFF_ERROR_INVALID_ARGUMENT;
    sdi_session *session = &pipeline->session;
    const sdi_model_config *config = sdi_model_get_config(session->model);
    sdi_error_clear(&pipeline->error);
    if (taesd)
        SDI_TRY(sdi_taesd_add(session, taesd->session.model, SDI_PART_TAESD_DECODER,
                              config->unet.out_channels, sdi_latent_scale(config), &network));
    if (session->fast_decoder)
        sdi_session_remove(session, session->fast_decoder);
    session->fast_decoder = network;
    return SDIFF_OK;
}
