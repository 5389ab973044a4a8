/* SPDX-License-Identifier: MIT
 *
 * Where a run starts, as StableDiffusion{,Img2Img,Inpaint,Depth2Img}Pipeline of diffusers do it.
 */
#include "pipeline/start.h"

#include "base/memory.h"
#include "pipeline/depth.h"
#include "pipeline/depth_estimate.h"
#include "pipeline/mask.h"
#include "pipeline/tiling.h"

#include <string.h>

static const sdi_env *env_of(const sdi_start *s)
{
    return &s->denoiser->session->env;
}

static const sdi_model_config *config_of(const sdi_start *s)
{
    return sdi_model_get_config(s->denoiser->session->model);
}

static sdi_task task_of(const sdi_start *s)
{
    return config_of(s)->task;
}

/* An ordinary model inpaints by keeping the picture's latents outside of the mask. */
static int keeps_latents(const sdi_start *s)
{
    return s->request->mask && task_of(s) != SDI_TASK_INPAINT;
}

static int needs_picture(const sdi_start *s)
{
    return s->from_picture || keeps_latents(s);
}

static int needs_masked(const sdi_start *s)
{
    return task_of(s) == SDI_TASK_INPAINT;
}

static int estimates_depth(const sdi_start *s)
{
    return task_of(s) == SDI_TASK_DEPTH && !s->request->depth;
}

/* ---- planning -------------------------------------------------------------------------------- */

sdiff_status sdi_start_plan(sdi_start *s, sdi_denoiser *denoiser)
{
    const sdiff_generate_params *r = denoiser->request;
    memset(s, 0, sizeof *s);
    s->denoiser = denoiser;
    s->request = r;
    s->from_picture = r->image && (r->strength < 1 || r->start_from_image);
    denoiser->strength = r->strength;
    if (estimates_depth(s))
        SDI_TRY(sdi_depth_plan(denoiser->session, r->height, r->width, &s->estimator));
    if (!sdi_has_autoencoder(config_of(s)) || (!needs_picture(s) && !needs_masked(s)))
        return SDIFF_OK;
    return sdi_vae_plan(denoiser->session, SDI_NET_VAE_ENCODER, 1, r->height, r->width,
                        &s->encoder);
}

double sdi_start_work(const sdi_start *s)
{
    const int32_t runs = needs_picture(s) + needs_masked(s);
    const sdi_denoiser *d = s->denoiser;
    double work = 0;
    if (s->encoder)
        work += runs * sdi_plan_flops(s->encoder, NN_EACH) *
                (double)sdi_tile_count(d->session, d->h, d->w);
    if (s->estimator)
        work += sdi_plan_flops(s->estimator, NN_ONCE) + sdi_plan_flops(s->estimator, NN_EACH);
    return work;
}

void sdi_start_free(sdi_start *s)
{
    if (!s->denoiser)
        return;
    const sdi_env *env = env_of(s);
    sdi_posterior_free(env, &s->picture);
    sdi_posterior_free(env, &s->masked);
    sdi_free(env, s->clean);
    sdi_free(env, s->noise);
    sdi_free(env, s->mask);
    sdi_free(env, s->concat);
    memset(s, 0, sizeof *s);
}

/* ---- what is the same for all pictures ------------------------------------------------------- */

static sdiff_status allocate(sdi_start *s)
{
    const sdi_env *env = env_of(s);
    const sdi_denoiser *d = s->denoiser;
    const uint64_t pixels = (uint64_t)(d->h * d->w), count = sdi_denoiser_count(d);
    const uint64_t more = (uint64_t)(config_of(s)->unet.in_channels - d->c);
    s->noise = sdi_alloc(env, count, sizeof(float));
    s->clean = sdi_alloc(env, count, sizeof(float));
    s->mask = sdi_alloc(env, pixels, sizeof(float));
    s->concat = sdi_alloc(env, more * pixels, sizeof(float));
    return s->noise && s->clean && s->mask && s->concat ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

static sdiff_status encode_masked(sdi_start *s)
{
    const sdiff_generate_params *r = s->request;
    const int64_t pixels = (int64_t)r->height * r->width;
    float *hidden = sdi_alloc(env_of(s), 3 * (uint64_t)pixels, sizeof *hidden);
    if (!hidden)
        return SDIFF_ERROR_NO_MEMORY;
    sdi_mask_hide(r->image, r->mask, pixels, hidden);
    const sdiff_status status =
        sdi_picture_encode(s->denoiser->session, hidden, r->height, r->width, &s->masked);
    sdi_free(env_of(s), hidden);
    return status;
}

static sdiff_status prepare_mask(sdi_start *s)
{
    const sdiff_generate_params *r = s->request;
    sdi_denoiser *d = s->denoiser;
    if (!r->mask)
        return SDIFF_OK;
    SDI_TRY(sdi_mask_to_latents(env_of(s), r->mask, r->height, r->width, d->h, d->w, s->mask));
    if (keeps_latents(s)) {
        d->mask = s->mask;
        d->clean = s->clean;
        d->noise = s->noise;
    }
    return SDIFF_OK;
}

static sdiff_status prepare_depth(sdi_start *s)
{
    const sdiff_generate_params *r = s->request;
    const sdi_denoiser *d = s->denoiser;
    float *map = NULL;
    int64_t h = 0, w = 0;
    if (task_of(s) != SDI_TASK_DEPTH)
        return SDIFF_OK;
    if (!estimates_depth(s)) {
        sdi_depth_to_latents(r->depth, r->depth_height, r->depth_width, d->h, d->w, s->concat);
        return SDIFF_OK;
    }
    sdi_depth_size(config_of(s), r->height, r->width, &h, &w);
    map = sdi_alloc(env_of(s), (uint64_t)h, (uint64_t)w * sizeof *map);
    if (!map)
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status = sdi_depth_estimate(d->session, r->image, r->height, r->width, map);
    if (status == SDIFF_OK)
        status = sdi_depth_check(env_of(s), map, h, w);
    if (status == SDIFF_OK)
        sdi_depth_to_latents(map, h, w, d->h, d->w, s->concat);
    sdi_free(env_of(s), map);
    return status;
}

sdiff_status sdi_start_prepare(sdi_start *s)
{
    const sdiff_generate_params *r = s->request;
    sdi_denoiser *d = s->denoiser;
    SDI_TRY(allocate(s));
    SDI_TRY(prepare_mask(s));
    SDI_TRY(prepare_depth(s));
    if (needs_picture(s))
        SDI_TRY(sdi_picture_encode(d->session, r->image, r->height, r->width, &s->picture));
    if (needs_masked(s))
        SDI_TRY(encode_masked(s));
    if (config_of(s)->unet.in_channels > d->c)
        d->concat = s->concat;
    return SDIFF_OK;
}

/* ---- one picture ----------------------------------------------------------------------------- */

/* Latents of a distribution: drawn, or its mean. */
static sdiff_status draw_latents(const sdi_start *s, const sdi_posterior *p, sdi_noise *noise,
                                 float *out)
{
    const size_t count = (size_t)sdi_denoiser_count(s->denoiser);
    if (!p->deviation || s->request->encode_mode == SDIFF_ENCODE_MODE) {
        memcpy(out, p->mean, count * sizeof *out);
        return SDIFF_OK;
    }
    SDI_TRY(sdi_noise_draw(noise, out, count));
    for (size_t i = 0; i < count; i++)
        out[i] = p->mean[i] + p->deviation[i] * out[i];
    return SDIFF_OK;
}

/* Standard normal: a draw, or the host's latents; then the generator draws as well, so that what
 * follows stays the same. */
static sdiff_status draw_noise(const sdi_start *s, sdi_noise *noise, int32_t image)
{
    const size_t count = (size_t)sdi_denoiser_count(s->denoiser);
    const float *given = s->request->init_latents;
    if (!given)
        return sdi_noise_draw(noise, s->noise, count);
    sdi_random_normal(&noise->random, s->noise, count);
    memcpy(s->noise, given + (size_t)image * count, count * sizeof *given);
    return SDIFF_OK;
}

/* The channels of an inpainting model: mask, then latents of the masked picture. An ordinary model
 * does not look at them, but diffusers' generator has drawn for them. */
static sdiff_status draw_masked(sdi_start *s, sdi_noise *noise)
{
    const int64_t pixels = s->denoiser->h * s->denoiser->w;
    if (keeps_latents(s) && s->picture.deviation && s->request->encode_mode != SDIFF_ENCODE_MODE)
        return sdi_noise_draw(noise, s->denoiser->latents,
                              (size_t)sdi_denoiser_count(s->denoiser));
    if (!needs_masked(s))
        return SDIFF_OK;
    memcpy(s->concat, s->mask, (size_t)pixels * sizeof *s->mask);
    return draw_latents(s, &s->masked, noise, s->concat + pixels);
}

sdiff_status sdi_start_draw(sdi_start *s, sdi_noise *noise, int32_t image)
{
    if (needs_picture(s))
        SDI_TRY(draw_latents(s, &s->picture, noise, s->clean));
    SDI_TRY(draw_noise(s, noise, image));
    return draw_masked(s, noise);
}

void sdi_start_place(const sdi_start *s, const sdi_sampler *sampler)
{
    float *latents = s->denoiser->latents;
    const size_t count = (size_t)sdi_denoiser_count(s->denoiser);
    const float scale = (float)sdi_sampler_init_sigma(sampler);
    if (s->from_picture) {
        sdi_sampler_add_noise(sampler, 0, s->clean, s->noise, latents);
        return;
    }
    for (size_t i = 0; i < count; i++)
        latents[i] = s->noise[i] * scale;
}
