/* SPDX-License-Identifier: MIT
 *
 * sdiff_vae: the autoencoder on its own.
 */
#include "api/handle.h"

#include <string.h>

struct sdiff_vae {
    sdiff_context *context;
    sdi_error error;
    sdi_session session;
};

static sdiff_status new_handle(sdiff_context *context, sdi_model *model, sdiff_vae **out)
{
    const sdi_env bare = sdi_context_env(context);
    sdiff_vae *vae = sdi_zalloc(&bare, 1, sizeof *vae);
    if (!vae)
        return SDIFF_ERROR_NO_MEMORY;
    vae->context = sdi_context_ref(context);
    const sdi_env env = sdi_handle_env(context, &vae->error);
    sdi_session_init(&vae->session, &env, model, context->pool);
    *out = vae;
    return SDIFF_OK;
}

sdiff_status sdiff_vae_of_model(sdiff_model *model, sdiff_vae **vae)
{
    if (vae)
        *vae = NULL;
    if (!model || !vae)
        return sdi_null_argument(model ? &model->error : NULL, "vae");
    return new_handle(model->context, model->model, vae);
}

sdiff_status sdiff_vae_open(sdiff_context *context, const char *path,
                            const sdiff_model_params *params, sdiff_vae **vae)
{
    SDI_OWN_FLOAT_MODE;
    if (vae)
        *vae = NULL;
    if (!context || !path || !vae)
        return sdi_null_argument(context ? &context->error : NULL, "path or vae");
    sdi_model *model = NULL;
    SDI_TRY(sdi_open_part(context, path, params,
                          1 << SDI_PART_VAE_ENCODER | 1 << SDI_PART_VAE_DECODER, &model));
    const sdiff_status status = new_handle(context, model, vae);
    sdi_model_unref(model);
    return status;
}

void sdiff_vae_free(sdiff_vae *vae)
{
    if (!vae)
        return;
    sdiff_context *context = vae->context;
    const sdi_env env = sdi_handle_env(context, NULL);
    sdi_session_free(&vae->session);
    sdi_free(&env, vae);
    sdiff_context_free(context);
}

static const sdi_vae_config *config_of(const sdiff_vae *vae)
{
    return &sdi_model_get_config(vae->session.model)->vae;
}

sdiff_status sdiff_vae_encode(sdiff_vae *vae, const float *image, int32_t batch, int32_t height,
                              int32_t width, float *mean, float *logvar)
{
    SDI_OWN_FLOAT_MODE;
    if (!vae || !image || !mean)
        return sdi_null_argument(vae ? &vae->error : NULL, "image or mean");
    sdi_error_clear(&vae->error);
    return sdi_vae_encode(&vae->session, image, batch, height, width, mean, logvar);
}

sdiff_status sdiff_vae_decode(sdiff_vae *vae, const float *z, int32_t batch, int32_t height,
                              int32_t width, float *image)
{
    SDI_OWN_FLOAT_MODE;
    if (!vae || !z || !image)
        return sdi_null_argument(vae ? &vae->error : NULL, "z or image");
    sdi_error_clear(&vae->error);
    return sdi_vae_decode(&vae->session, z, batch, height, width, image);
}

double sdiff_vae_scaling_factor(const sdiff_vae *vae)
{
    return vae ? config_of(vae)->scaling_factor : 0;
}

int32_t sdiff_vae_latent_scale(const sdiff_vae *vae)
{
    return vae ? 1 << (config_of(vae)->levels - 1) : 0;
}

const char *sdiff_vae_error(const sdiff_vae *vae)
{
    return vae ? vae->error.text : "";
}
