/* SPDX-License-Identifier: MIT
 *
 * Pictures to latents and back.
 */
#include "pipeline/vae_code.h"

#include "base/memory.h"

#include <string.h>

int32_t sdi_latent_scale(const sdi_model_config *config)
{
    const int has_vae = config->has[SDI_PART_VAE_DECODER] || config->has[SDI_PART_VAE_ENCODER];
    return has_vae ? 1 << (config->vae.levels - 1) : 1;
}

sdiff_status sdi_vae_plan(sdi_session *session, sdi_network network, int64_t b, int64_t h,
                          int64_t w, sdi_plan **out)
{
    sdi_vae_args args;
    memset(&args, 0, sizeof args);
    args.config = &sdi_model_get_config(session->model)->vae;
    args.b = b;
    args.h = h;
    args.w = w;
    return sdi_session_plan(session, network, &args, sizeof args, out);
}

/* One network on one input. */
static sdiff_status run(sdi_session *session, sdi_network network, int64_t b, int64_t h, int64_t w,
                        const char *input, const float *values, const char *output, float *out)
{
    sdi_plan *plan = NULL;
    SDI_TRY(sdi_vae_plan(session, network, b, h, w, &plan));
    SDI_TRY(sdi_session_reserve(session));
    SDI_TRY(sdi_plan_set(&session->env, plan, input, values));
    SDI_TRY(sdi_session_run(session, plan, NN_EACH));
    return sdi_session_get(session, plan, output, out);
}

sdiff_status sdi_vae_decode(sdi_session *session, const float *z, int64_t b, int64_t h, int64_t w,
                            float *image)
{
    return run(session, SDI_NET_VAE_DECODER, b, h, w, "z", z, "image", image);
}

sdiff_status sdi_vae_encode(sdi_session *session, const float *image, int64_t b, int64_t h,
                            int64_t w, float *mean, float *logvar)
{
    const sdi_model_config *config = sdi_model_get_config(session->model);
    const int32_t scale = sdi_latent_scale(config);
    if (b < 1 || h < scale || w < scale || h % scale || w % scale)
        return sdi_fail(&session->env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "%lld pictures of %lld x %lld: sides have to be multiples of %d",
                        (long long)b, (long long)w, (long long)h, scale);
    const uint64_t half =
        (uint64_t)config->vae.latent_channels * (uint64_t)(h / scale) * (uint64_t)(w / scale);
    float *moments = sdi_alloc(&session->env, 2 * half * (uint64_t)b, sizeof *moments);
    if (!moments)
        return SDIFF_ERROR_NO_MEMORY;
    const sdiff_status status =
        run(session, SDI_NET_VAE_ENCODER, b, h, w, "image", image, "moments", moments);
    for (int64_t i = 0; i < b && status == SDIFF_OK; i++) {
        memcpy(mean + (uint64_t)i * half, moments + 2 * (uint64_t)i * half, half * sizeof *mean);
        if (logvar)
            memcpy(logvar + (uint64_t)i * half, moments + (2 * (uint64_t)i + 1) * half,
                   half * sizeof *mean);
    }
    sdi_free(&session->env, moments);
    return status;
}
