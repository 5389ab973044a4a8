/* SPDX-License-Identifier: MIT
 *
 * From a request to pictures: text, reverse diffusion, decoding. All memory is planned first.
 */
#include "pipeline/generate.h"

#include "base/log.h"
#include "base/memory.h"
#include "pipeline/progress.h"
#include "pipeline/text_encode.h"
#include "pipeline/vae_code.h"

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
    sdi_plan *text, *decoder;
    float *contexts; // [2, positions, hidden]: negative, prompt
    sdi_progress progress;
    sdi_pictures *out;
} generation;

static int has_text(const generation *g)
{
    return g->config->unet.cross_attention_dim > 0;
}

/* ---- planning ---------------------------------------------------------------------------------- */

static sdiff_status plan(generation *g)
{
    const sdiff_generate_params *r = g->request;
    const int32_t scale = sdi_latent_scale(g->config);
    SDI_TRY(sdi_denoiser_init(&g->denoiser, g->session, r, &g->schedule,
                              r->height / scale, r->width / scale));
    if (has_text(g))
        SDI_TRY(sdi_text_plan(g->session, 2, r->clip_skip, &g->text));
    if (g->config->has[SDI_PART_VAE_DECODER] && !r->no_decode)
        SDI_TRY(sdi_vae_plan(g->session, SDI_NET_VAE_DECODER, 1, g->denoiser.h, g->denoiser.w,
                             &g->decoder));
    return SDIFF_OK;
}

static double total_work(const generation *g, int32_t evaluations)
{
    const sdi_plan *unet = g->denoiser.unet;
    double each = sdi_plan_flops(unet, NN_EACH) * evaluations;
    if (g->decoder)
        each += sdi_plan_flops(g->decoder, NN_EACH);
    double once = sdi_plan_flops(unet, NN_ONCE);
    if (g->text)
        once += sdi_plan_flops(g->text, NN_ONCE) + sdi_plan_flops(g->text, NN_EACH);
    return once + each * g->request->batch_count;
}

/* ---- results ------------------------------------------------------------------------------------- */

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
    p->latents = sdi_alloc(env, count, (uint64_t)(d->c * d->h * d->w) * sizeof(float));
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

/* ---- the stages ------------------------------------------------------------------------------------ */

static sdiff_status encode_prompts(generation *g)
{
    const sdi_clip_config *clip = &g->config->clip;
    const sdi_env *env = &g->session->env;
    const uint64_t tokens = (uint64_t)clip->positions;
    const char *prompts[2] = {g->request->negative_prompt, g->request->prompt};
    if (!has_text(g))
        return sdi_denoiser_set_context(&g->denoiser, NULL);
    int32_t *ids = sdi_alloc(env, 2 * tokens, sizeof *ids);
    g->contexts = sdi_alloc(env, 2 * tokens, (uint64_t)clip->hidden_size * sizeof(float));
    sdiff_status status = ids && g->contexts ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
    for (int i = 0; i < 2 && status == SDIFF_OK; i++)
        status = sdi_prompt_ids(g->session, prompts[i] ? prompts[i] : "", ids + i * clip->positions);
    if (status == SDIFF_OK)
        status = sdi_text_run(g->session, g->text, ids, g->contexts);
    sdi_free(env, ids);
    return status == SDIFF_OK ? sdi_denoiser_set_context(&g->denoiser, g->contexts) : status;
}

/* [-1, 1] as the decoder gives it to [0, 1]. NaN becomes black rather than an undefined byte. */
static void to_unit_range(float *pixels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const float x = pixels[i] * 0.5f + 0.5f;
        pixels[i] = x > 0 ? (x < 1 ? x : 1) : 0;
    }
}

static sdiff_status decode(generation *g, int32_t image)
{
    const sdi_denoiser *d = &g->denoiser;
    const size_t latents = (size_t)(d->c * d->h * d->w);
    const size_t pixels = 3 * (size_t)g->out->height * (size_t)g->out->width;
    float *out = g->out->pixels + (size_t)image * pixels;
    if (!g->out->decoded)
        return SDIFF_OK;
    if (g->decoder) {
        const sdi_vae_config *vae = &g->config->vae;
        float *z = d->output; // no longer needed
        for (size_t i = 0; i < latents; i++)
            z[i] = (float)(d->latents[i] / vae->scaling_factor + vae->shift_factor);
        SDI_TRY(sdi_plan_set(&g->session->env, g->decoder, "z", z));
        SDI_TRY(sdi_session_run(g->session, g->decoder, NN_EACH));
        SDI_TRY(sdi_session_get(g->session, g->decoder, "image", out));
    } else { // a model of pixels
        memcpy(out, d->latents, pixels * sizeof(float));
    }
    to_unit_range(out, pixels);
    return SDIFF_OK;
}

static sdiff_status make_picture(generation *g, int32_t image)
{
    sdi_denoiser *d = &g->denoiser;
    const size_t count = (size_t)(d->c * d->h * d->w);
    const sdiff_generate_params *r = g->request;
    sdi_noise noise;
    sdi_noise_init(&noise, &g->session->env, r, image);
    sdi_random_normal(&noise.random, d->latents, count);
    if (r->init_latents) // the draws that follow are the same as without
        memcpy(d->latents, r->init_latents + (size_t)image * count, count * sizeof(float));
    sdi_sampler *sampler = NULL;
    SDI_TRY(sdi_denoiser_sampler(d, &noise, &sampler));
    g->progress.state.phase = 1;
    g->progress.state.image = image;
    g->progress.state.steps = sdi_sampler_steps(sampler);
    const sdiff_status status = sdi_denoise(d, sampler, image);
    sdi_sampler_free(&g->session->env, sampler);
    SDI_TRY(status);
    memcpy(g->out->latents + (size_t)image * count, d->latents, count * sizeof(float));
    g->progress.state.phase = 2;
    return decode(g, image);
}

/* How many evaluations one picture takes; also refuses impossible sampler parameters early. */
static sdiff_status count_evaluations(generation *g, int32_t *evaluations)
{
    sdi_noise noise;
    sdi_noise_init(&noise, &g->session->env, g->request, 0);
    sdi_sampler *sampler = NULL;
    SDI_TRY(sdi_denoiser_sampler(&g->denoiser, &noise, &sampler));
    *evaluations = sdi_sampler_evaluations(sampler);
    sdi_sampler_free(&g->session->env, sampler);
    return SDIFF_OK;
}

static sdiff_status run(generation *g)
{
    int32_t evaluations = 0;
    SDI_TRY(plan(g));
    SDI_TRY(count_evaluations(g, &evaluations));
    SDI_TRY(sdi_session_reserve(g->session));
    SDI_TRY(sdi_denoiser_allocate(&g->denoiser));
    SDI_TRY(allocate_results(g));
    sdi_progress_init(&g->progress, g->request->on_progress, g->request->progress_user,
                      total_work(g, evaluations));
    g->denoiser.progress = &g->progress;
    g->session->work = sdi_progress_work;
    g->session->work_user = &g->progress;
    sdi_info(&g->session->env, "%llu bytes of working memory, %.0f GFLOP a step",
             (unsigned long long)sdi_session_bytes(g->session),
             sdi_plan_flops(g->denoiser.unet, NN_EACH) * 1e-9);
    SDI_TRY(encode_prompts(g));
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
    g->schedule = g->config->schedule;
    if (request->spacing != SDIFF_SPACING_MODEL)
        g->schedule.spacing = (sdi_spacing)(request->spacing - SDIFF_SPACING_LEADING);
}

sdiff_status sdi_generate_memory(sdi_session *session, const sdiff_generate_params *request,
                                 uint64_t *bytes)
{
    generation g;
    generation_init(&g, session, request);
    SDI_TRY(plan(&g));
    const uint64_t pictures =
        3 * (uint64_t)request->height * (uint64_t)request->width * (uint64_t)request->batch_count;
    *bytes = sdi_session_bytes(session) + pictures * sizeof(float);
    return SDIFF_OK;
}

sdiff_status sdi_generate(sdi_session *session, const sdiff_generate_params *request,
                          sdi_pictures *out)
{
    generation g;
    generation_init(&g, session, request);
    g.out = out;
    const sdiff_status status = run(&g);
    session->work = NULL;
    sdi_free(&session->env, g.contexts);
    sdi_denoiser_free(&g.denoiser);
    if (status != SDIFF_OK)
        sdi_pictures_free(&session->env, out);
    return status;
}
