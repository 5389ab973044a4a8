/* SPDX-License-Identifier: MIT
 *
 * The memory of a call, known before it works.
 */
#include "pipeline/budget.h"

#include "base/log.h"
#include "base/memory.h"
#include "pipeline/control.h"
#include "pipeline/tiling.h"

enum { SMALL = 1 << 16 }; // for all the small things: headers, names, ids

/* ---- what a call allocates beside plans and arena -------------------------------------------- */

static uint64_t denoiser_bytes(const sdi_denoiser *d)
{
    const uint64_t pixels = (uint64_t)(d->h * d->w), rows = (uint64_t)d->rows;
    const int32_t in = sdi_model_get_config(d->session->model)->unet.in_channels;
    return ((rows * ((uint64_t)in + (uint64_t)d->c)) + (uint64_t)d->c) * pixels * sizeof(float);
}

static uint64_t result_bytes(const sdi_denoiser *d)
{
    const sdiff_generate_params *r = d->request;
    const uint64_t pixels = 3 * (uint64_t)r->height * (uint64_t)r->width;
    const uint64_t picture =
        r->no_decode ? 0 : pixels * (sizeof(float) + 1); // as numbers, and as bytes when asked for
    return (uint64_t)r->batch_count * (picture + sdi_denoiser_count(d) * sizeof(float));
}

static uint64_t text_bytes(const sdi_denoiser *d)
{
    const sdi_conditioning *c = d->conditioning;
    if (!c)
        return 0;
    const uint64_t row = (uint64_t)c->tokens * (uint64_t)c->width;
    const uint64_t batch = 4 * SDI_PROMPT_IDS * (uint64_t)c->width; // of the encoder's numbers
    const uint64_t contexts = (uint64_t)c->text_count + (uint64_t)d->rows;
    return (contexts * row + SDI_PROMPT_IDS * (uint64_t)c->width + batch) * sizeof(float);
}

static uint64_t start_bytes(const sdi_start *s)
{
    const sdi_denoiser *d = s->denoiser;
    const sdiff_generate_params *r = d->request;
    const uint64_t latents = sdi_denoiser_count(d) * sizeof(float);
    const uint64_t pixels = 3 * (uint64_t)r->height * (uint64_t)r->width * sizeof(float);
    const int32_t in = sdi_model_get_config(d->session->model)->unet.in_channels;
    const uint64_t inputs = (uint64_t)(d->h * d->w) * (uint64_t)(in + 1) * sizeof(float);
    /* Noise, clean latents, and what is given beside them; of a picture and a masked one mean and
     * deviation, and while they are encoded moments, and the pictures themselves. */
    return 2 * latents + inputs + (r->image ? 8 * latents + 2 * pixels : 0);
}

static void count_others(sdi_budget *b)
{
    const sdi_denoiser *d = b->denoiser;
    b->others = SMALL + denoiser_bytes(d) + result_bytes(d) + text_bytes(d) +
                start_bytes(b->start) + sdi_controls_bytes(d) + b->sampler;
}

/* ---- fitting --------------------------------------------------------------------------------- */

/* In use by everything but this session's arena. */
static uint64_t in_use(const sdi_session *s)
{
    return sdi_mem_used(s->env.mem) - s->arena_bytes;
}

/* What the arena and tiles may take. */
static uint64_t room(const sdi_budget *b)
{
    const uint64_t limit = sdi_mem_limit(b->session->env.mem);
    const uint64_t taken = in_use(b->session) + b->others;
    return !limit ? UINT64_MAX : limit > taken ? limit - taken : 0;
}

static sdiff_status fit_autoencoder(sdi_budget *b)
{
    const sdi_denoiser *d = b->denoiser;
    const sdiff_generate_params *r = d->request;
    if (b->start->encoder)
        SDI_TRY(sdi_vae_fit(b->session, SDI_NET_VAE_ENCODER, 1, r->height, r->width, room(b),
                            &b->start->encoder));
    if (b->decoder)
        SDI_TRY(sdi_vae_fit(b->session, SDI_NET_VAE_DECODER, 1, d->h, d->w, room(b), b->decoder));
    if (b->start->encoder || b->decoder)
        b->others += sdi_tiling_bytes(b->session, d->h, d->w);
    return SDIFF_OK;
}

static sdiff_status refuse(const sdi_budget *b)
{
    const sdi_session *s = b->session;
    return sdi_fail(&s->env, SDIFF_ERROR_NO_MEMORY,
                    "%llu bytes of memory are needed with all means of saving it, the limit is "
                    "%llu; a smaller picture needs less",
                    (unsigned long long)(in_use(s) + b->others + b->arena),
                    (unsigned long long)sdi_mem_limit(s->env.mem));
}

sdiff_status sdi_budget_fit(sdi_budget *b)
{
    sdi_denoiser *d = b->denoiser;
    count_others(b);
    if (sdi_plan_arena_bytes(d->unet) > room(b))
        SDI_TRY(sdi_denoiser_split(d));
    SDI_TRY(fit_autoencoder(b));
    b->arena = sdi_session_arena_needed(b->session);
    const uint64_t left = b->arena < room(b) ? room(b) - b->arena : 0;
    b->spare = SDI_MIN(left, sdi_plan_streamed_bytes(d->unet));
    return SDIFF_OK;
}

/* ---- taking ---------------------------------------------------------------------------------- */

static void tell(const sdi_budget *b)
{
    const sdi_session *s = b->session;
    const sdi_denoiser *d = b->denoiser;
    const uint64_t total = in_use(s) + b->others + s->arena_bytes;
    sdi_info(&s->env, "memory: %.1f MB at most (weights and plans %.1f, arena %.1f, other %.1f)",
             (double)total * 1e-6, (double)in_use(s) * 1e-6, (double)s->arena_bytes * 1e-6,
             (double)b->others * 1e-6);
    if (d->batch < d->rows)
        sdi_info(&s->env, "to save memory, guidance is computed row by row");
    if (sdi_is_tiled(s, d->h, d->w))
        sdi_info(&s->env, "the autoencoder works on %lld tiles of %d x %d latents",
                 (long long)sdi_tile_count(s, d->h, d->w), s->tile, s->tile);
    const uint64_t streamed = sdi_plan_streamed_bytes(d->unet);
    const uint64_t kept = SDI_MIN(s->arena_bytes - sdi_plan_arena_bytes(d->unet), streamed);
    if (streamed)
        sdi_info(&s->env, "to save memory, about %.1f of the U-Net's %.1f MB of weights are packed "
                 "anew in each step", (double)(streamed - kept) * 1e-6, (double)streamed * 1e-6);
}

sdiff_status sdi_budget_reserve(const sdi_budget *b)
{
    if (b->arena > room(b))
        return refuse(b);
    SDI_TRY(b->spare ? sdi_session_reserve_cached(b->session, b->denoiser->unet, b->spare)
                     : sdi_session_reserve(b->session));
    tell(b);
    return SDIFF_OK;
}

uint64_t sdi_budget_bytes(const sdi_budget *b)
{
    return b->others + b->arena + b->spare + sdi_session_plan_bytes(b->session);
}
