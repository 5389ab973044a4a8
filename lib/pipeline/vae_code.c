/* SPDX-License-Identifier: MIT
 *
 * Pictures to latents and back.
 */
#include "pipeline/vae_code.h"

#include "base/memory.h"
#include "pipeline/tiling.h"

#include <math.h>
#include <string.h>

int sdi_has_autoencoder(const sdi_model_config *config)
{
    return config->has[SDI_PART_VAE_DECODER] || config->has[SDI_PART_VAE_ENCODER];
}

int32_t sdi_latent_scale(const sdi_model_config *config)
{
    return sdi_has_autoencoder(config) ? 1 << (config->vae.levels - 1) : 1;
}

/* Numbers of a side of the network's input for each latent. */
static int64_t input_scale(const sdi_session *session, sdi_network network)
{
    const sdi_model_config *config = sdi_model_get_config(session->model);
    return network == SDI_NET_VAE_ENCODER ? sdi_latent_scale(config) : 1;
}

sdiff_status sdi_vae_plan(sdi_session *session, sdi_network network, int64_t b, int64_t h,
                          int64_t w, sdi_plan **out)
{
    sdi_vae_args args;
    memset(&args, 0, sizeof args);
    const int64_t scale = input_scale(session, network);
    const int tiled = sdi_is_tiled(session, h / scale, w / scale);
    args.config = &sdi_model_get_config(session->model)->vae;
    args.b = tiled ? 1 : b;
    args.h = tiled ? SDI_MIN(h, session->tile * scale) : h;
    args.w = tiled ? SDI_MIN(w, session->tile * scale) : w;
    return sdi_session_plan(session, network, &args, sizeof args, out);
}

sdiff_status sdi_vae_fit(sdi_session *session, sdi_network network, int64_t b, int64_t h, int64_t w,
                         uint64_t budget, sdi_plan **out)
{
    const int64_t scale = input_scale(session, network);
    for (;;) {
        SDI_TRY(sdi_vae_plan(session, network, b, h, w, out));
        const uint64_t needed =
            sdi_plan_arena_bytes(*out) + sdi_tiling_bytes(session, h / scale, w / scale);
        const int32_t next = sdi_next_tile(session, h / scale, w / scale);
        if (needed <= budget || !next)
            return SDIFF_OK;
        session->tile = next;
    }
}

/* What the arena may take of the memory limit. */
static uint64_t room(const sdi_session *session)
{
    const sdi_mem *mem = session->env.mem;
    const uint64_t limit = sdi_mem_limit(mem), used = sdi_mem_used(mem);
    return limit ? session->arena_bytes + (limit > used ? limit - used : 0) : UINT64_MAX;
}

/* The pictures one by one, each in tiles. */
static sdiff_status run_tiled(sdi_session *session, sdi_network network, sdi_plan *plan, int64_t b,
                              int64_t h, int64_t w, const float *in, float *out)
{
    const sdi_model_config *config = sdi_model_get_config(session->model);
    const int64_t scale = sdi_latent_scale(config), z = config->vae.latent_channels;
    const int64_t pixels = config->vae.image_channels * h * w * scale * scale;
    const int64_t latents =
        h * w * (network == SDI_NET_VAE_DECODER || config->vae.codebook ? z : 2 * z);
    const int decode = network == SDI_NET_VAE_DECODER;
    for (int64_t i = 0; i < b; i++)
        SDI_TRY(sdi_tiled_run(session, network, plan, h, w, in + i * (decode ? latents : pixels),
                              out + i * (decode ? pixels : latents)));
    return SDIFF_OK;
}

/* One network on one input. */
static sdiff_status run(sdi_session *session, sdi_network network, int64_t b, int64_t h, int64_t w,
                        const char *input, const float *values, const char *output, float *out)
{
    sdi_plan *plan = NULL;
    const int64_t scale = input_scale(session, network);
    SDI_TRY(sdi_vae_fit(session, network, b, h, w, room(session), &plan));
    SDI_TRY(sdi_session_reserve(session));
    if (sdi_is_tiled(session, h / scale, w / scale))
        return run_tiled(session, network, plan, b, h / scale, w / scale, values, out);
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
    if (config->vae.codebook) { // one point, no distribution
        for (uint64_t i = 0; logvar && i < half * (uint64_t)b; i++)
            logvar[i] = -INFINITY;
        return run(session, SDI_NET_VAE_ENCODER, b, h, w, "image", image, "z", mean);
    }
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

/* ---- one picture as the start of a run ------------------------------------------------------- */

void sdi_posterior_free(const sdi_env *env, sdi_posterior *posterior)
{
    sdi_free(env, posterior->mean);
    sdi_free(env, posterior->deviation);
    memset(posterior, 0, sizeof *posterior);
}

/* A model of pixels: [0, 1] becomes [-1, 1]; one of gray pixels gets the mean of the colours. */
static void pixels_as_latents(const float *planes, int64_t pixels, int32_t channels, float *out)
{
    for (int64_t i = 0; i < channels * pixels; i++)
        out[i] = channels == 1
                     ? (planes[i] + planes[i + pixels] + planes[i + 2 * pixels]) * (2.0f / 3) - 1
                     : planes[i] * 2 - 1;
}

/* Mean and log variance as the encoder gives them become latents and their deviation. */
static void scale_moments(const sdi_vae_config *vae, uint64_t count, sdi_posterior *p)
{
    for (uint64_t i = 0; i < count; i++) {
        p->mean[i] = (float)((p->mean[i] - vae->shift_factor) * vae->scaling_factor);
        if (p->deviation) {
            const float logvar = SDI_MIN(SDI_MAX(p->deviation[i], -30.0f), 20.0f);
            p->deviation[i] = (float)(exp(0.5 * logvar) * vae->scaling_factor);
        }
    }
}

static sdiff_status encode(sdi_session *session, const float *planes, int64_t h, int64_t w,
                           float *signed_planes, sdi_posterior *out)
{
    const sdi_model_config *config = sdi_model_get_config(session->model);
    const sdi_vae_config *vae = &config->vae;
    const int32_t scale = sdi_latent_scale(config);
    const uint64_t count =
        (uint64_t)vae->latent_channels * (uint64_t)(h / scale) * (uint64_t)(w / scale);
    out->mean = sdi_alloc(&session->env, count, sizeof(float));
    out->deviation = vae->codebook ? NULL : sdi_alloc(&session->env, count, sizeof(float));
    if (!out->mean || (!vae->codebook && !out->deviation))
        return SDIFF_ERROR_NO_MEMORY;
    for (int64_t i = 0; i < 3 * h * w; i++)
        signed_planes[i] = planes[i] * 2 - 1;
    SDI_TRY(sdi_vae_encode(session, signed_planes, 1, h, w, out->mean, out->deviation));
    scale_moments(vae, count, out);
    return SDIFF_OK;
}

sdiff_status sdi_picture_encode(sdi_session *session, const float *planes, int64_t h, int64_t w,
                                sdi_posterior *out)
{
    const sdi_model_config *config = sdi_model_get_config(session->model);
    const sdi_env *env = &session->env;
    memset(out, 0, sizeof *out);
    float *pixels = sdi_alloc(env, 3 * (uint64_t)h * (uint64_t)w, sizeof *pixels);
    if (!pixels)
        return SDIFF_ERROR_NO_MEMORY;
    if (sdi_has_autoencoder(config)) {
        const sdiff_status status = encode(session, planes, h, w, pixels, out);
        sdi_free(env, pixels);
        return status;
    }
    pixels_as_latents(planes, h * w, config->unet.out_channels, pixels);
    out->mean = pixels;
    return SDIFF_OK;
}
