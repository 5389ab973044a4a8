/* SPDX-License-Identifier: MIT
 *
 * The linear map from latents to RGB: least squares over random latents that the decoder turned
 * into pictures, each latent against the mean colour of the pixels it stands for.
 */
#include "pipeline/preview.h"

#include "base/memory.h"
#include "sample/random.h"

#include <math.h>
#include <string.h>

enum { SIDE = 12, BLOCK = 3, SAMPLES = 3, TERMS = SDI_PREVIEW_MAX_CHANNELS + 1 };

typedef struct fit {
    double a[TERMS][TERMS]; // normal equations: a * weight = b
    double b[TERMS][3];
    int32_t terms;
} fit;

/* Areas of one colour with some noise: nearer to pictures than white noise is. */
static void draw_latents(sdi_random *random, int32_t channels, float *latents)
{
    float area[SDI_PREVIEW_MAX_CHANNELS * (SIDE / BLOCK) * (SIDE / BLOCK)];
    const int32_t areas = (SIDE / BLOCK) * (SIDE / BLOCK);
    sdi_random_normal(random, area, (size_t)(channels * areas));
    sdi_random_normal(random, latents, (size_t)(channels * SIDE * SIDE));
    for (int32_t c = 0; c < channels; c++)
        for (int32_t y = 0; y < SIDE; y++)
            for (int32_t x = 0; x < SIDE; x++) {
                float *z = &latents[(c * SIDE + y) * SIDE + x];
                *z = area[c * areas + y / BLOCK * (SIDE / BLOCK) + x / BLOCK] + 0.3f * *z;
            }
}

static double mean_colour(const float *pixels, int32_t channel, int32_t y, int32_t x, int32_t scale)
{
    const int32_t width = SIDE * scale;
    double sum = 0;
    for (int32_t i = 0; i < scale; i++)
        for (int32_t k = 0; k < scale; k++)
            sum += pixels[((int64_t)channel * width + y * scale + i) * width + x * scale + k];
    return sum / (scale * scale);
}

static void accumulate(fit *f, const float *latents, const float *pixels, int32_t scale)
{
    for (int32_t y = 0; y < SIDE; y++)
        for (int32_t x = 0; x < SIDE; x++) {
            double terms[TERMS];
            for (int32_t c = 0; c < f->terms - 1; c++)
                terms[c] = latents[(c * SIDE + y) * SIDE + x];
            terms[f->terms - 1] = 1;
            for (int32_t i = 0; i < f->terms; i++) {
                for (int32_t k = 0; k < f->terms; k++)
                    f->a[i][k] += terms[i] * terms[k];
                for (int32_t rgb = 0; rgb < 3; rgb++)
                    f->b[i][rgb] += terms[i] * mean_colour(pixels, rgb, y, x, scale);
            }
        }
}

/* Gauss-Jordan; the ridge keeps a decoder that ignores a channel from dividing by zero. */
static void solve(fit *f, sdi_preview *preview)
{
    for (int32_t i = 0; i < f->terms; i++)
        f->a[i][i] += 1e-6 * (1 + f->a[i][i]);
    for (int32_t i = 0; i < f->terms; i++)
        for (int32_t r = 0; r < f->terms; r++) {
            const double factor = f->a[r][i] / f->a[i][i];
            if (r == i || factor == 0)
                continue;
            for (int32_t k = 0; k < f->terms; k++)
                f->a[r][k] -= factor * f->a[i][k];
            for (int32_t k = 0; k < 3; k++)
                f->b[r][k] -= factor * f->b[i][k];
        }
    for (int32_t rgb = 0; rgb < 3; rgb++)
        for (int32_t i = 0; i < f->terms; i++)
            preview->weight[rgb][i] = (float)(f->b[i][rgb] / f->a[i][i]);
}

static sdiff_status decode_samples(sdi_session *s, const sdi_vae_config *vae, fit *f, float *z,
                                   float *latents, float *pixels)
{
    sdi_random random;
    sdi_random_init(&random, SDI_RNG_TORCH, 0);
    sdi_vae_args args;
    memset(&args, 0, sizeof args);
    args.config = vae;
    args.b = 1;
    args.h = args.w = SIDE;
    sdi_plan *plan = NULL;
    SDI_TRY(sdi_session_plan(s, SDI_NET_VAE_DECODER, &args, sizeof args, &plan));
    SDI_TRY(sdi_session_reserve(s));
    for (int32_t sample = 0; sample < SAMPLES; sample++) {
        draw_latents(&random, vae->latent_channels, latents);
        for (int32_t i = 0; i < vae->latent_channels * SIDE * SIDE; i++)
            z[i] = (float)(latents[i] / vae->scaling_factor + vae->shift_factor);
        SDI_TRY(sdi_plan_set(&s->env, plan, "z", z));
        SDI_TRY(sdi_session_run(s, plan, NN_EACH));
        SDI_TRY(sdi_session_get(s, plan, "image", pixels));
        accumulate(f, latents, pixels, 1 << (vae->levels - 1));
    }
    return SDIFF_OK;
}

static sdiff_status fit_decoder(const sdi_env *env, sdi_model *model, sdi_pool *pool,
                                const sdi_vae_config *vae, sdi_preview *preview)
{
    const uint64_t side = (uint64_t)SIDE << (vae->levels - 1);
    const uint64_t count = (uint64_t)vae->latent_channels * SIDE * SIDE;
    fit f;
    memset(&f, 0, sizeof f);
    f.terms = vae->latent_channels + 1;
    sdi_session session;
    sdi_session_init(&session, env, model, pool);
    float *buffers = sdi_alloc(env, 2 * count + 3 * side * side, sizeof *buffers);
    sdiff_status status = SDIFF_ERROR_NO_MEMORY;
    if (buffers)
        status = decode_samples(&session, vae, &f, buffers, buffers + count, buffers + 2 * count);
    sdi_free(env, buffers);
    sdi_session_free(&session);
    if (status == SDIFF_OK)
        solve(&f, preview);
    return status;
}

sdiff_status sdi_preview_fit(const sdi_env *env, sdi_model *model, sdi_pool *pool,
                             sdi_preview *preview)
{
    const sdi_model_config *config = sdi_model_get_config(model);
    if (preview->fitted)
        return SDIFF_OK;
    preview->channels =
        config->has[SDI_PART_UNET] ? config->unet.out_channels : config->vae.latent_channels;
    if (preview->channels > SDI_PREVIEW_MAX_CHANNELS)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED, "no preview of %d latent channels",
                        preview->channels);
    if (config->has[SDI_PART_VAE_DECODER] && config->vae.latent_channels != preview->channels)
        return sdi_fail(env, SDIFF_ERROR_MISMATCH,
                        "the autoencoder's latents have %d channels, the U-Net's %d",
                        config->vae.latent_channels, preview->channels);
    if (config->has[SDI_PART_VAE_DECODER])
        SDI_TRY(fit_decoder(env, model, pool, &config->vae, preview));
    else // a model of pixels: the first channels are the colours
        for (int32_t rgb = 0; rgb < 3; rgb++)
            preview->weight[rgb][SDI_MIN(rgb, preview->channels - 1)] = 1;
    preview->fitted = 1;
    return SDIFF_OK;
}

sdiff_status sdi_preview_image(const sdi_env *env, const sdi_preview *preview,
                               const float *latents, int32_t height, int32_t width,
                               sdi_image **out)
{
    const int64_t pixels = (int64_t)height * width;
    SDI_TRY(sdi_image_new(env, width, height, 3, NULL, out));
    for (int64_t p = 0; p < pixels; p++)
        for (int32_t rgb = 0; rgb < 3; rgb++) {
            double x = preview->weight[rgb][preview->channels];
            for (int32_t c = 0; c < preview->channels; c++)
                x += (double)preview->weight[rgb][c] * latents[c * pixels + p];
            const double byte = 127.5 * x + 127.5;
            (*out)->pixels[3 * p + rgb] = byte > 0 ? (uint8_t)(byte < 255 ? byte + 0.5 : 255) : 0;
        }
    return SDIFF_OK;
}
