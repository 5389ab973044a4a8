/* SPDX-License-Identifier: MIT
 *
 * From a request to pictures: text, start, reverse diffusion, decoding. All memory is
 * planned first.
 */
#include "pipeline/generate.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "pipeline/budget.h"
#include "pipeline/control.h"
#include "pipeline/mask.h"
#include "pipeline/progress.h"
#include "pipeline/start.h"
#include "pipeline/taesd_code.h"
#include "pipeline/tiling.h"

#include <math.h>
#include <string.h>

void sdi_pictures_free(const sdi_env *env, sdi_pictures *pictures)
{
    sdi_free(env, pictures->latents);
    sdi_free(env, pictures->pixels);
    memset(pictures, 0, sizeof *pictures);
}

/* One call: what is planned and what is being made. */
typedef struct generation {
    sdi_session *session;
    const sdiff_generate_params *request;
    const sdi_model_config *config;
    sdi_schedule_config schedule;
    sdi_denoiser denoiser;
    sdi_start start;
    sdi_plan *decoder;
    sdi_plan *fast; // decoder in its place; NULL: none
    int32_t evaluations; // of the U-Net for one picture
    sdi_budget budget;
    sdi_text_request text;
    sdi_conditioning conditioning;
    sdi_progress progress;
    sdi_pictures *out;
} generation;

static int has_text(const generation *g)
{
    return g->config->unet.cross_attention_dim > 0;
}

/* ---- planning -------------------------------------------------------------------------------- */

static sdiff_status read_prompts(generation *g)
{
    const sdiff_generate_params *r = g->request;
    g->text = (sdi_text_request){.prompt = r->prompt ? r->prompt : "",
                                 .negative = r->negative_prompt ? r->negative_prompt : "",
                                 .steps = r->steps,
                                 .clip_skip = r->clip_skip,
                                 .emphasis = r->emphasis};
    if (g->session->embeddings) {
        g->text.embeddings = g->session->embeddings->items;
        g->text.embedding_count = g->session->embeddings->count;
    }
    return sdi_conditioning_read(&g->conditioning, g->session, &g->text);
}

/* How many evaluations one picture takes, and the sampler's memory; also refuses impossible sampler
 * parameters early. */
static sdiff_status count_evaluations(generation *g)
{
    const sdi_env *env = &g->session->env;
    const uint64_t before = sdi_mem_used(env->mem);
    sdi_noise noise;
    sdi_noise_init(&noise, env, g->request, 0);
    sdi_sampler *sampler = NULL;
    SDI_TRY(sdi_denoiser_sampler(&g->denoiser, &noise, &sampler));
    g->evaluations = sdi_sampler_evaluations(sampler);
    g->budget.sampler = sdi_mem_used(env->mem) - before;
    sdi_sampler_free(env, sampler);
    return SDIFF_OK;
}

static sdiff_status plan(generation *g)
{
    const sdiff_generate_params *r = g->request;
    const int32_t scale = sdi_latent_scale(g->config);
    if (has_text(g))
        SDI_TRY(read_prompts(g));
    SDI_TRY(sdi_denoiser_init(&g->denoiser, g->session, r, &g->schedule,
                              has_text(g) ? &g->conditioning : NULL, r->height / scale,
                              r->width / scale, 0));
    g->session->tile = r->tile / scale;
    SDI_TRY(sdi_start_plan(&g->start, &g->denoiser));
    SDI_TRY(count_evaluations(g));
    if (g->session->fast_decoder && !r->no_decode)
        SDI_TRY(sdi_taesd_plan(g->session, g->session->fast_decoder, g->denoiser.h, g->denoiser.w,
                               &g->fast));
    else if (g->config->has[SDI_PART_VAE_DECODER] && !r->no_decode)
        g->budget.decoder = &g->decoder;
    return sdi_budget_fit(&g->budget);
}

static double total_work(const generation *g)
{
    const sdi_denoiser *d = &g->denoiser;
    double each = sdi_denoiser_work(d, g->evaluations) + sdi_controls_work(d, g->evaluations);
    if (g->decoder)
        each += sdi_plan_flops(g->decoder, NN_EACH) *
                (double)sdi_tile_count(g->session, d->h, d->w);
    if (g->fast)
        each += sdi_plan_flops(g->fast, NN_EACH);
    double once = sdi_start_work(&g->start);
    if (has_text(g))
        once += sdi_conditioning_work(&g->conditioning);
    return once + each * g->request->batch_count;
}

/* ---- results --------------------------------------------------------------------------------- */

static sdiff_status allocate_results(generation *g)
{
    sdi_pictures *p = g->out;
    const sdi_env *env = &g->session->env;
    const sdi_denoiser *d = &g->denoiser;
    p->count = g->request->batch_count;
    p->channels = (int32_t)d->c;
    p->latent_height = (int32_t)d->h;
    p->latent_width = (int32_t)d->w;
    p->height = g->request->height;
    p->width = g->request->width;
    p->decoded = !g->request->no_decode;
    const uint64_t count = (uint64_t)p->count;
    p->latents = sdi_alloc(env, count, sdi_denoiser_count(d) * sizeof(float));
    if (!p->latents)
        return SDIFF_ERROR_NO_MEMORY;
    if (p->decoded) {
        p->pixels = sdi_alloc(env, count, 3 * (uint64_t)p->height * (uint64_t)p->width *
                                              sizeof(float));
        if (!p->pixels)
            return SDIFF_ERROR_NO_MEMORY;
    }
    return SDIFF_OK;
}

/* ---- the stages ------------------------------------------------------------------------------ */

/* [-1, 1] as the decoder gives it to [0, 1]. NaN becomes black rather than an undefined byte. */
static void to_unit_range(float *pixels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const float x = pixels[i] * 0.5f + 0.5f;
        pixels[i] = x > 0 ? (x < 1 ? x : 1) : 0;
    }
}

/* A model of pixels has made them already, of three colours or gray. */
static void copy_pixels(const sdi_denoiser *d, float *out)
{
    const size_t plane = (size_t)(d->h * d->w);
    for (size_t i = 0; i < 3; i++)
        memcpy(out + i * plane, d->latents + (d->c == 1 ? 0 : i) * plane, plane * sizeof *out);
}

static sdiff_status run_decoder(const generation *g, float *out)
{
    const sdi_vae_config *vae = &g->config->vae;
    const sdi_denoiser *d = &g->denoiser;
    float *z = d->output; // no longer needed
    for (size_t i = 0; i < (size_t)sdi_denoiser_count(d); i++)
        z[i] = (float)(d->latents[i] / vae->scaling_factor + vae->shift_factor);
    return sdi_vae_decode(g->session, z, 1, d->h, d->w, out);
}

static sdiff_status decode(const generation *g, int32_t image)
{
    const sdiff_generate_params *r = g->request;
    const int64_t pixels = (int64_t)r->height * r->width;
    float *out = g->out->pixels + (size_t)image * 3 * (size_t)pixels;
    if (!g->out->decoded)
        return SDIFF_OK;
    if (g->fast)
        SDI_TRY(sdi_taesd_decode(g->session, g->session->fast_decoder, g->denoiser.latents,
                                 g->denoiser.h, g->denoiser.w, out));
    else if (g->decoder)
        SDI_TRY(run_decoder(g, out));
    else
        copy_pixels(&g->denoiser, out);
    to_unit_range(out, 3 * (size_t)pixels);
    if (r->mask && r->keep_unmasked)
        sdi_mask_put_back(r->image, r->mask, pixels, out);
    return SDIFF_OK;
}

/* Other programs give a black picture; it should not come without a word. */
static void warn_of_overflow(const generation *g, int32_t image)
{
    const sdi_denoiser *d = &g->denoiser;
    for (size_t i = 0; i < (size_t)sdi_denoiser_count(d); i++)
        if (!isfinite(d->latents[i])) {
            sdi_warn(&g->session->env,
                     "picture %d: the latents hold numbers that are not finite: weights are "
                     "damaged, or a scale or the noise is far too large", image);
            return;
        }
}

static sdiff_status make_picture(generation *g, int32_t image)
{
    sdi_denoiser *d = &g->denoiser;
    const size_t count = (size_t)sdi_denoiser_count(d);
    sdi_noise noise;
    sdi_noise_init(&noise, &g->session->env, g->request, image);
    SDI_TRY(sdi_start_draw(&g->start, &noise, image));
    sdi_sampler *sampler = NULL;
    SDI_TRY(sdi_denoiser_sampler(d, &noise, &sampler));
    sdi_start_place(&g->start, sampler);
    g->progress.state.phase = 1;
    g->progress.state.image = image;
    g->progress.state.steps = sdi_sampler_steps(sampler);
    const sdiff_status status = sdi_denoise(d, sampler, image);
    sdi_sampler_free(&g->session->env, sampler);
    SDI_TRY(status);
    warn_of_overflow(g, image);
    memcpy(g->out->latents + (size_t)image * count, d->latents, count * sizeof(float));
    g->progress.state.phase = 2;
    return decode(g, image);
}

static sdiff_status run(generation *g)
{
    SDI_TRY(plan(g));
    SDI_TRY(sdi_budget_reserve(&g->budget));
    SDI_TRY(sdi_denoiser_allocate(&g->denoiser));
    SDI_TRY(allocate_results(g));
    sdi_progress_init(&g->progress, g->request->on_progress, g->request->progress_user,
                      total_work(g));
    g->denoiser.progress = &g->progress;
    g->session->work = sdi_progress_work;
    g->session->work_user = &g->progress;
    sdi_info(&g->session->env, "%.0f GFLOP a step",
             sdi_plan_flops(g->denoiser.unet, NN_EACH) * g->denoiser.rows / g->denoiser.batch *
                 1e-9);
    if (has_text(g))
        SDI_TRY(sdi_conditioning_encode(&g->conditioning, &g->text));
    SDI_TRY(sdi_start_prepare(&g->start));
    for (int32_t i = 0; i < g->request->batch_count; i++)
        SDI_TRY(make_picture(g, i));
    if (sdi_progress_finish(&g->progress))
        return sdi_fail(&g->session->env, SDIFF_ERROR_CANCELLED,
                        "cancelled by the progress callback");
    return SDIFF_OK;
}

static void generation_init(generation *g, sdi_session *session,
                            const sdiff_generate_params *request)
{
    memset(g, 0, sizeof *g);
    g->session = session;
    g->request = request;
    g->config = sdi_model_get_config(session->model);
    g->budget = (sdi_budget){.session = session, .denoiser = &g->denoiser, .start = &g->start};
    g->schedule = g->config->schedule;
    if (request->spacing != SDIFF_SPACING_MODEL)
        g->schedule.spacing = (sdi_spacing)(request->spacing - SDIFF_SPACING_LEADING);
}

sdiff_status sdi_generate_memory(sdi_session *session, const sdiff_generate_params *request,
                                 uint64_t *bytes)
{
    generation g;
    generation_init(&g, session, request);
    const sdiff_status status = plan(&g);
    sdi_conditioning_free(&g.conditioning);
    SDI_TRY(status);
    *bytes = sdi_budget_bytes(&g.budget);
    return SDIFF_OK;
}

/* What a memory limit cost. */
static void tell_slowdown(const generation *g, double seconds)
{
    const double packing = sdi_session_pack_seconds(g->session);
    if (packing > 0.01 * seconds)
        sdi_warn(&g->session->env,
                 "the memory limit made this %.1f times slower: %.1f of %.1f s went into packing "
                 "weights anew",
                 seconds / SDI_MAX(seconds - packing, 1e-3), packing, seconds);
}

sdiff_status sdi_generate(sdi_session *session, const sdiff_generate_params *request,
                          sdi_pictures *out)
{
    generation g;
    generation_init(&g, session, request);
    g.out = out;
    const double start = sdi_clock_seconds();
    const sdiff_status status = run(&g);
    session->work = NULL;
    sdi_conditioning_free(&g.conditioning);
    sdi_start_free(&g.start); // refers to the denoiser
    sdi_denoiser_free(&g.denoiser);
    if (status == SDIFF_OK)
        tell_slowdown(&g, sdi_clock_seconds() - start);
    if (sdi_mem_limit(session->env.mem)) // others need it
        sdi_session_release(session);
    if (status != SDIFF_OK)
        sdi_pictures_free(&session->env, out);
    return status;
}
