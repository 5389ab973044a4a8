/* SPDX-License-Identifier: MIT
 *
 * The reverse diffusion of one picture.
 */
#include "pipeline/denoise.h"

#include "base/clock.h"
#include "base/memory.h"
#include "pipeline/guidance.h"

#include <string.h>

/* ---- noise ------------------------------------------------------------------------------------- */

void sdi_noise_init(sdi_noise *noise, const sdi_env *env, const sdiff_generate_params *request,
                    int32_t image)
{
    noise->env = env;
    noise->request = request;
    const sdi_rng kind = request->rng == SDIFF_RNG_PHILOX ? SDI_RNG_PHILOX : SDI_RNG_TORCH;
    sdi_random_init(&noise->random, kind, (uint64_t)request->seed + (uint64_t)image);
}

static sdiff_status draw(void *user, int64_t index, float *out, size_t count)
{
    sdi_noise *noise = user;
    const sdiff_generate_params *request = noise->request;
    if (request->noise && request->noise(request->noise_user, index, out, count))
        return sdi_fail(noise->env, SDIFF_ERROR_CANCELLED, "cancelled by the noise callback");
    if (request->noise)
        return SDIFF_OK;
    sdi_random_normal(&noise->random, out, count);
    return SDIFF_OK;
}

/* ---- setting up ---------------------------------------------------------------------------------- */

/* A scale that is the same throughout and leaves one half without weight needs one half only. */
static int32_t halves_of(const sdiff_generate_params *request, const sdi_unet_config *unet)
{
    if (!unet->cross_attention_dim)
        return 1;
    return request->cfg || (sdi_guidance_needs_prompt(request->cfg_scale) &&
                            sdi_guidance_needs_negative(request->cfg_scale))
               ? 2
               : 1;
}

sdiff_status sdi_denoiser_init(sdi_denoiser *d, sdi_session *session,
                               const sdiff_generate_params *request,
                               const sdi_schedule_config *schedule, int64_t h, int64_t w)
{
    const sdi_model_config *config = sdi_model_get_config(session->model);
    memset(d, 0, sizeof *d);
    d->session = session;
    d->request = request;
    d->schedule = schedule;
    d->c = config->unet.out_channels;
    d->h = h;
    d->w = w;
    d->halves = halves_of(request, &config->unet);
    sdi_unet_args args;
    memset(&args, 0, sizeof args);
    args.config = &config->unet;
    args.b = d->halves;
    args.h = h;
    args.w = w;
    args.context_tokens = config->clip.positions;
    return sdi_session_plan(session, SDI_NET_UNET, &args, sizeof args, &d->unet);
}

static uint64_t count_of(const sdi_denoiser *d)
{
    return (uint64_t)(d->c * d->h * d->w);
}

sdiff_status sdi_denoiser_allocate(sdi_denoiser *d)
{
    const sdi_env *env = &d->session->env;
    const uint64_t rows = (uint64_t)d->halves;
    const uint64_t in_channels =
        (uint64_t)sdi_model_get_config(d->session->model)->unet.in_channels;
    d->sample = sdi_alloc(env, rows * in_channels * (uint64_t)(d->h * d->w), sizeof(float));
    d->output = sdi_alloc(env, rows * count_of(d), sizeof(float));
    d->latents = sdi_alloc(env, count_of(d), sizeof(float));
    return d->sample && d->output && d->latents ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

void sdi_denoiser_free(sdi_denoiser *d)
{
    if (!d->session)
        return;
    sdi_free(&d->session->env, d->sample);
    sdi_free(&d->session->env, d->output);
    sdi_free(&d->session->env, d->latents);
    memset(d, 0, sizeof *d);
}

sdiff_status sdi_denoiser_set_context(sdi_denoiser *d, const float *contexts)
{
    if (!sdi_plan_has_input(d->unet, "context"))
        return sdi_session_run(d->session, d->unet, NN_ONCE);
    const sdi_model_config *config = sdi_model_get_config(d->session->model);
    const int64_t row = (int64_t)config->clip.positions * config->unet.cross_attention_dim;
    const int one_is_prompt = d->halves == 1 && sdi_guidance_needs_prompt(d->request->cfg_scale);
    SDI_TRY(sdi_plan_set(&d->session->env, d->unet, "context",
                         contexts + (one_is_prompt ? row : 0)));
    return sdi_session_run(d->session, d->unet, NN_ONCE);
}

sdiff_status sdi_denoiser_sampler(sdi_denoiser *d, sdi_noise *noise, sdi_sampler **out)
{
    const sdiff_generate_params *r = d->request;
    sdi_sampler_params params;
    memset(&params, 0, sizeof params);
    params.name = r->sampler;
    params.schedule = r->schedule;
    params.config = *d->schedule;
    params.steps = r->steps;
    params.strength = 1;
    params.eta = r->eta;
    params.count = (size_t)count_of(d);
    params.noise = draw;
    params.noise_user = noise;
    return sdi_sampler_new(&d->session->env, &params, out);
}

/* ---- the loop -------------------------------------------------------------------------------------- */

/* The guided prediction for d->sample[0] at a timestep, in d->output[0]. */
static sdiff_status predict(sdi_denoiser *d, const sdi_ask *ask)
{
    const sdi_env *env = &d->session->env;
    const size_t count = (size_t)count_of(d);
    const float timesteps[2] = {(float)ask->timestep, (float)ask->timestep};
    if (d->halves == 2)
        memcpy(d->sample + count, d->sample, count * sizeof(float));
    SDI_TRY(sdi_plan_set(env, d->unet, "sample", d->sample));
    SDI_TRY(sdi_plan_set(env, d->unet, "timestep", timesteps));
    SDI_TRY(sdi_session_run(d->session, d->unet, NN_EACH));
    SDI_TRY(sdi_session_get(d->session, d->unet, "out", d->output));
    if (d->halves == 2) {
        const sdiff_generate_params *r = d->request;
        const double scale =
            r->cfg ? r->cfg(r->cfg_user, ask->step, ask->steps, r->cfg_scale) : r->cfg_scale;
        sdi_guidance_combine(d->output, d->output + count, scale, r->cfg_rescale, count,
                             d->output);
    }
    return SDIFF_OK;
}

static sdiff_status report_step(const sdi_denoiser *d, sdi_sampler *sampler, const sdi_ask *ask,
                                int32_t image, double seconds)
{
    const sdiff_generate_params *r = d->request;
    if (!r->on_step)
        return SDIFF_OK;
    const sdiff_step step = {.struct_size = sizeof step,
                             .latents = sdi_sampler_latents(sampler),
                             .predicted_x0 = sdi_sampler_predicted_x0(sampler),
                             .timestep = ask->timestep,
                             .sigma = ask->sigma,
                             .seconds = seconds,
                             .image = image,
                             .step = ask->step,
                             .steps = ask->steps,
                             .channels = (int32_t)d->c,
                             .height = (int32_t)d->h,
                             .width = (int32_t)d->w};
    if (r->on_step(r->step_user, &step))
        return sdi_fail(&d->session->env, SDIFF_ERROR_CANCELLED, "cancelled by the step callback");
    return SDIFF_OK;
}

sdiff_status sdi_denoise(sdi_denoiser *d, sdi_sampler *sampler, int32_t image)
{
    const size_t count = (size_t)count_of(d);
    const float scale = (float)sdi_sampler_init_sigma(sampler);
    for (size_t i = 0; i < count; i++)
        d->latents[i] *= scale;
    SDI_TRY(sdi_sampler_begin(&d->session->env, sampler, d->latents));
    sdi_ask ask, first = {0};
    double start = sdi_clock_seconds();
    for (int fresh = 1; sdi_sampler_request(sampler, d->sample, &ask);) {
        if (fresh)
            first = ask; // of a step that may need several evaluations
        d->progress->state.step = ask.step;
        SDI_TRY(predict(d, &ask));
        SDI_TRY(sdi_sampler_supply(&d->session->env, sampler, d->output));
        fresh = sdi_sampler_stepped(sampler);
        if (!fresh)
            continue;
        const double now = sdi_clock_seconds();
        SDI_TRY(report_step(d, sampler, &first, image, now - start));
        start = now;
    }
    memcpy(d->latents, sdi_sampler_latents(sampler), count * sizeof(float));
    return SDIFF_OK;
}
