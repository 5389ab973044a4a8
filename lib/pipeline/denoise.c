/* SPDX-License-Identifier: MIT
 *
 * The reverse diffusion of one picture.
 */
#include "pipeline/denoise.h"

#include "base/clock.h"
#include "base/memory.h"
#include "pipeline/control.h"
#include "pipeline/guidance.h"

#include <math.h>
#include <string.h>

/* ---- noise ----------------------------------------------------------------------------------- */

void sdi_noise_init(sdi_noise *noise, const sdi_env *env, const sdiff_generate_params *request,
                    int32_t image)
{
    memset(noise, 0, sizeof *noise);
    noise->env = env;
    noise->request = request;
    const sdi_rng kind = request->rng == SDIFF_RNG_PHILOX ? SDI_RNG_PHILOX : SDI_RNG_TORCH;
    noise->seed = (uint64_t)request->seed + (uint64_t)image;
    sdi_random_init(&noise->random, kind, noise->seed);
}

static sdiff_status draw_at(sdi_noise *noise, int64_t index, float *out, size_t count)
{
    const sdiff_generate_params *r = noise->request;
    if (!r->noise)
        sdi_random_normal(&noise->random, out, count);
    else if (r->noise(r->noise_user, index, out, count))
        return sdi_fail(noise->env, SDIFF_ERROR_CANCELLED, "cancelled by the noise callback");
    noise->drawn = index + 1;
    return SDIFF_OK;
}

sdiff_status sdi_noise_draw(sdi_noise *noise, float *out, size_t count)
{
    return draw_at(noise, noise->drawn, out, count);
}

/* The sampler counts its own draws from 0. */
static sdiff_status draw_for_sampler(void *user, int64_t index, float *out, size_t count)
{
    sdi_noise *noise = user;
    return draw_at(noise, noise->before + index, out, count);
}

/* ---- setting up ------------------------------------------------------------------------------ */

/* Which sides of the conditioning are evaluated. A scale that is the same throughout and gives one
 * side no weight needs the other only. */
static sdiff_status choose_rows(sdi_denoiser *d)
{
    const sdiff_generate_params *r = d->request;
    const sdi_conditioning *c = d->conditioning;
    d->rows = 1;
    if (!c)
        return SDIFF_OK;
    if (c->side_count > SDI_MAX_SIDES)
        return sdi_fail(&d->session->env, SDIFF_ERROR_LIMIT,
                        "%d sub-prompts are joined by AND, up to %d are possible",
                        c->side_count - 1, SDI_MAX_SIDES - 1);
    const int plain = c->side_count == 2 && c->sides[1].weight == 1;
    d->rows = 0;
    if (r->cfg || sdi_guidance_needs_negative(r->cfg_scale) || !plain)
        d->side[d->rows++] = 0;
    if (r->cfg || sdi_guidance_needs_prompt(r->cfg_scale))
        for (int32_t i = 1; i < c->side_count; i++)
            d->side[d->rows++] = i;
    return SDIFF_OK;
}

static sdiff_status plan_unet(sdi_denoiser *d)
{
    sdi_unet_args args;
    memset(&args, 0, sizeof args);
    args.config = &sdi_model_get_config(d->session->model)->unet;
    args.b = d->batch;
    args.h = d->h;
    args.w = d->w;
    args.context_tokens = d->conditioning ? d->conditioning->tokens : 0;
    args.residuals = d->with_residuals;
    for (int32_t i = 0; i < SDI_MAX_SIDES; i++)
        d->text[i] = -1;
    return sdi_session_plan(d->session, SDI_NET_UNET, &args, sizeof args, &d->unet);
}

sdiff_status sdi_denoiser_split(sdi_denoiser *d)
{
    if (d->with_residuals) // these are computed for all rows at once
        return SDIFF_OK;
    d->batch = 1;
    return plan_unet(d);
}

double sdi_denoiser_work(const sdi_denoiser *d, int32_t evaluations)
{
    const double each = sdi_plan_flops(d->unet, NN_EACH), once = sdi_plan_flops(d->unet, NN_ONCE);
    if (d->batch == d->rows)
        return each * evaluations + once;
    return (each + once) * evaluations * d->rows;
}

sdiff_status sdi_denoiser_init(sdi_denoiser *d, sdi_session *session,
                               const sdiff_generate_params *request,
                               const sdi_schedule_config *schedule,
                               const sdi_conditioning *conditioning, int64_t h, int64_t w,
                               int with_residuals)
{
    const sdi_model_config *config = sdi_model_get_config(session->model);
    memset(d, 0, sizeof *d);
    d->session = session;
    d->request = request;
    d->schedule = schedule;
    d->conditioning = conditioning;
    d->c = config->unet.out_channels;
    d->h = h;
    d->w = w;
    d->strength = 1;
    SDI_TRY(choose_rows(d));
    if (session->controls && session->controls->count) {
        d->controls = session->controls;
        SDI_TRY(sdi_controls_plan(d));
        if (!d->controls->residuals) // nothing that is evaluated listens
            d->controls = NULL;
    }
    d->with_residuals = with_residuals || d->controls;
    d->batch = d->rows;
    return plan_unet(d);
}

uint64_t sdi_denoiser_count(const sdi_denoiser *d)
{
    return (uint64_t)(d->c * d->h * d->w);
}

static uint64_t input_count(const sdi_denoiser *d)
{
    const int64_t channels = sdi_model_get_config(d->session->model)->unet.in_channels;
    return (uint64_t)(channels * d->h * d->w);
}

sdiff_status sdi_denoiser_allocate(sdi_denoiser *d)
{
    const sdi_env *env = &d->session->env;
    const uint64_t rows = (uint64_t)d->rows;
    d->sample = sdi_alloc(env, rows * input_count(d), sizeof(float));
    d->output = sdi_alloc(env, rows * sdi_denoiser_count(d), sizeof(float));
    d->latents = sdi_alloc(env, sdi_denoiser_count(d), sizeof(float));
    if (!d->sample || !d->output || !d->latents)
        return SDIFF_ERROR_NO_MEMORY;
    return d->controls ? sdi_controls_begin(d) : SDIFF_OK;
}

void sdi_denoiser_free(sdi_denoiser *d)
{
    if (!d->session)
        return;
    sdi_free(&d->session->env, d->sample);
    sdi_free(&d->session->env, d->output);
    sdi_free(&d->session->env, d->latents);
    if (d->controls)
        sdi_controls_end(d);
    memset(d, 0, sizeof *d);
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
    params.strength = d->strength;
    params.eta = r->eta;
    params.final_sigma_min =
        r->final_sigma_min ? r->final_sigma_min : d->schedule->final_sigma_min;
    params.count = (size_t)sdi_denoiser_count(d);
    params.noise = draw_for_sampler;
    params.noise_user = noise;
    params.path_seeds = r->brownian ? &noise->seed : NULL;
    params.path_count = 1;
    noise->before = noise->drawn;
    return sdi_sampler_new(&d->session->env, &params, out);
}

/* ---- one evaluation -------------------------------------------------------------------------- */

/* Gives the U-Net the texts of a step for the rows from `first` on, where they differ from those it
 * has. */
static sdiff_status set_texts(sdi_denoiser *d, int32_t step, int32_t first)
{
    const sdi_conditioning *c = d->conditioning;
    const sdi_env *env = &d->session->env;
    int changed = d->text[0] < 0;
    for (int32_t i = 0; i < d->batch; i++) {
        const int32_t text = c ? sdi_conditioning_text_at(c, d->side[first + i], step) : 0;
        changed |= text != d->text[i];
        d->text[i] = text;
    }
    if (!changed)
        return SDIFF_OK;
    if (c) {
        const size_t row = (size_t)c->tokens * (size_t)c->width;
        float *contexts = sdi_alloc(env, (uint64_t)d->batch * row, sizeof *contexts);
        if (!contexts)
            return SDIFF_ERROR_NO_MEMORY;
        for (int32_t i = 0; i < d->batch; i++)
            memcpy(contexts + (size_t)i * row, c->contexts + (size_t)d->text[i] * row,
                   row * sizeof *contexts);
        sdiff_status status = sdi_plan_set(env, d->unet, "context", contexts);
        if (status == SDIFF_OK && d->controls)
            status = sdi_controls_set_texts(d, contexts);
        sdi_free(env, contexts);
        SDI_TRY(status);
    }
    if (sdi_plan_has_input(d->unet, "class_labels")) {
        int32_t labels[SDI_MAX_SIDES];
        for (int32_t i = 0; i < d->batch; i++)
            labels[i] = d->request->class_label;
        SDI_TRY(sdi_plan_set(env, d->unet, "class_labels", labels));
    }
    return sdi_session_run(d->session, d->unet, NN_ONCE);
}

/* d->sample starts with what the sampler gave; all rows get it, and the channels that stay. */
static void fill_rows(sdi_denoiser *d)
{
    const size_t count = (size_t)sdi_denoiser_count(d), in = (size_t)input_count(d);
    if (d->concat)
        memcpy(d->sample + count, d->concat, (in - count) * sizeof(float));
    for (int32_t i = 1; i < d->rows; i++)
        memcpy(d->sample + (size_t)i * in, d->sample, in * sizeof(float));
}

/* Several sub-prompts become one prediction: negative + sum of weight * (prompt - negative). */
static void join_prompts(const sdi_denoiser *d, size_t count)
{
    const sdi_conditioning *c = d->conditioning;
    float *negative = d->output, *joined = d->output + count;
    for (size_t i = 0; i < count; i++) {
        double sum = negative[i];
        for (int32_t row = 1; row < d->rows; row++)
            sum += c->sides[d->side[row]].weight *
                   ((double)d->output[(size_t)row * count + i] - negative[i]);
        joined[i] = (float)sum;
    }
}

static void guide(const sdi_denoiser *d, const sdi_ask *ask)
{
    const sdiff_generate_params *r = d->request;
    const size_t count = (size_t)sdi_denoiser_count(d);
    if (d->rows < 2)
        return;
    if (d->rows > 2 || d->conditioning->sides[1].weight != 1)
        join_prompts(d, count);
    const double scale =
        r->cfg ? r->cfg(r->cfg_user, ask->step, ask->steps, r->cfg_scale) : r->cfg_scale;
    sdi_guidance_combine(d->output, d->output + count, scale, r->cfg_rescale, count, d->output);
}

/* Classifier guidance (Dhariwal & Nichol 2021, algorithm 2): the host adds its gradient to the
 * predicted noise. Other predictions are turned into noise and back. */
static sdiff_status call_host(sdi_denoiser *d, const sdi_ask *ask)
{
    const sdiff_generate_params *r = d->request;
    if (!r->guide)
        return SDIFF_OK;
    const size_t count = (size_t)sdi_denoiser_count(d);
    const sdi_prediction prediction = d->schedule->prediction;
    const double alpha = 1 / sqrt(1 + ask->sigma * ask->sigma), beta = ask->sigma * alpha;
    sdi_prediction_to_noise(prediction, d->sample, alpha, beta, count, d->output);
    const sdiff_guide info = {.struct_size = sizeof info,
                              .sample = d->sample,
                              .noise = d->output,
                              .timestep = ask->timestep,
                              .sigma = ask->sigma,
                              .image = d->progress->state.image,
                              .step = ask->step,
                              .steps = ask->steps,
                              .channels = (int32_t)d->c,
                              .height = (int32_t)d->h,
                              .width = (int32_t)d->w};
    if (r->guide(r->guide_user, &info))
        return sdi_fail(&d->session->env, SDIFF_ERROR_CANCELLED,
                        "cancelled by the guidance callback");
    sdi_noise_to_prediction(prediction, d->sample, alpha, beta, count, d->output);
    return SDIFF_OK;
}

/* The guided prediction for d->sample at a timestep, in d->output. */
static sdiff_status predict(sdi_denoiser *d, const sdi_ask *ask)
{
    const sdi_env *env = &d->session->env;
    float timesteps[SDI_MAX_SIDES];
    fill_rows(d);
    for (int32_t i = 0; i < d->rows; i++)
        timesteps[i] = (float)ask->timestep;
    SDI_TRY(sdi_plan_set(env, d->unet, "timestep", timesteps));
    for (int32_t i = 0; i < d->rows; i += d->batch) {
        SDI_TRY(set_texts(d, ask->step, i));
        if (d->controls) // then all rows are one batch
            SDI_TRY(sdi_controls_apply(d, ask));
        SDI_TRY(sdi_plan_set(env, d->unet, "sample", d->sample + (size_t)i * input_count(d)));
        SDI_TRY(sdi_session_run(d->session, d->unet, NN_EACH));
        SDI_TRY(sdi_session_get(d->session, d->unet, "out",
                                d->output + (size_t)i * sdi_denoiser_count(d)));
    }
    guide(d, ask);
    return call_host(d, ask);
}

/* ---- the loop -------------------------------------------------------------------------------- */

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

/* Inpainting with an ordinary model: outside of the mask the picture itself, diffused to the level
 * at which the next step starts. `scratch` has room for the latents. */
static void keep_unmasked(const sdi_denoiser *d, sdi_sampler *sampler, int32_t next_step,
                          float *scratch)
{
    if (!d->mask || !d->clean)
        return;
    float *latents = sdi_sampler_latents(sampler);
    const int64_t pixels = d->h * d->w;
    sdi_sampler_add_noise(sampler, next_step, d->clean, d->noise, scratch);
    for (int64_t i = 0; i < d->c * pixels; i++) {
        const float m = d->mask[i % pixels];
        latents[i] = (1 - m) * scratch[i] + m * latents[i];
    }
}

sdiff_status sdi_denoise(sdi_denoiser *d, sdi_sampler *sampler, int32_t image)
{
    const size_t count = (size_t)sdi_denoiser_count(d);
    SDI_TRY(sdi_sampler_begin(&d->session->env, sampler, d->latents));
    sdi_ask ask, first = {0};
    double start = sdi_clock_seconds();
    for (int fresh = 1; sdi_sampler_request(sampler, d->sample, &ask);) {
        if (fresh)
            first = ask; // of a step that may need several evaluations
        if (d->progress)
            d->progress->state.step = ask.step;
        SDI_TRY(predict(d, &ask));
        SDI_TRY(sdi_sampler_supply(&d->session->env, sampler, d->output));
        fresh = sdi_sampler_stepped(sampler);
        if (!fresh)
            continue;
        keep_unmasked(d, sampler, first.step + 1, d->output);
        const double now = sdi_clock_seconds();
        SDI_TRY(report_step(d, sampler, &first, image, now - start));
        start = now;
    }
    memcpy(d->latents, sdi_sampler_latents(sampler), count * sizeof(float));
    return SDIFF_OK;
}
