/* SPDX-License-Identifier: MIT
 *
 * Which weights are packed once and stay in memory, when memory is limited. A part whose matrices
 * do not stay is streamed: each run packs them anew from the mapped file, with the same results.
 * Room is left for the work on one picture of the size that the caller names; what is left over
 * goes to the parts that are read most often.
 */
#include "base/log.h"
#include "base/memory.h"
#include "model/load.h"
#include "nn/plan.h"

#include <string.h>

/* Rows of a picture under guidance, and of the text encoder's batch. */
enum { ROWS = 2, SMALLEST_TILE = 8, SPARE = 1 << 18 };

/* ---- working memory -------------------------------------------------------------------------- */

typedef struct work {
    uint64_t arena, plans;
} work;

static sdiff_status plan_one(const sdi_loader *l, sdi_part part, sdi_network_fn network,
                             const void *args, work *w)
{
    sdi_model_part *p = &l->model->parts[part];
    sdi_plan *plan = NULL;
    if (!p->declared)
        return SDIFF_OK;
    SDI_TRY(sdi_plan_new(l->env, &p->weights, network, args,
                         l->options->pool ? sdi_pool_size(l->options->pool) : 1, &plan));
    w->arena = SDI_MAX(w->arena, sdi_plan_arena_bytes(plan));
    w->plans += sdi_plan_bytes(plan);
    sdi_plan_free(l->env, plan);
    return SDIFF_OK;
}

/* Sides in latents. A tile of 0: autoencoders work on the whole picture. */
static sdiff_status plan_work(const sdi_loader *l, int64_t h, int64_t w, int64_t tile, int64_t rows,
                              work *out)
{
    const sdi_model_config *c = &l->model->config;
    const int64_t scale = (int64_t)1 << (c->vae.levels - 1);
    const int64_t th = tile ? SDI_MIN(tile, h) : h, tw = tile ? SDI_MIN(tile, w) : w;
    const sdi_clip_args text = {.config = &c->clip, .b = ROWS, .t = c->clip.positions};
    const sdi_unet_args unet = {.config = &c->unet, .b = rows, .h = h, .w = w,
                                .context_tokens = c->clip.positions};
    const sdi_vae_args decoder = {.config = &c->vae, .b = 1, .h = th, .w = tw};
    const sdi_vae_args encoder = {.config = &c->vae, .b = 1, .h = th * scale, .w = tw * scale};
    memset(out, 0, sizeof *out);
    SDI_TRY(plan_one(l, SDI_PART_TEXT, sdi_clip_text_net, &text, out));
    SDI_TRY(plan_one(l, SDI_PART_UNET, sdi_unet_net, &unet, out));
    SDI_TRY(plan_one(l, SDI_PART_VAE_DECODER, sdi_vae_decoder_net, &decoder, out));
    return plan_one(l, SDI_PART_VAE_ENCODER, sdi_vae_encoder_net, &encoder, out);
}

/* Pictures, latents and contexts beside the plans: more than a request without extras takes. */
static uint64_t other_bytes(const sdi_model_config *c, int64_t h, int64_t w)
{
    const int64_t scale =
        c->has[SDI_PART_VAE_DECODER] ? (int64_t)1 << (c->vae.levels - 1) : 1;
    const int64_t channels = SDI_MAX(c->unet.in_channels, c->vae.latent_channels);
    const uint64_t pixels = (uint64_t)(3 * h * scale * w * scale);
    const uint64_t latents = (uint64_t)(channels * h * w);
    const uint64_t contexts = (uint64_t)(c->clip.positions * c->clip.hidden_size);
    return (5 * pixels + 32 * latents + 12 * contexts) * sizeof(float) + SPARE;
}

/* ---- weights --------------------------------------------------------------------------------- */

static int is_streamable(const sdi_model_part *p, int32_t param)
{
    const sdi_param *parameter = &p->weights.params[param];
    const sdi_tensor_ref *ref = &p->refs[param];
    const sdi_dtype type = sdi_tensor_file_info(ref->file, ref->index)->dtype;
    return (parameter->role == SDI_ROLE_MATRIX || parameter->role == SDI_ROLE_LOOKUP) &&
           (type == SDI_F32 || type == SDI_F16 || type == SDI_BF16) && !parameter->standardize &&
           (ref->pieces == 1 || ref->heads == 1) && sdi_tensor_file_in_place(ref->file, ref->index);
}

/* Headers of blocks included, roughly. */
static uint64_t param_bytes(const sdi_model_part *p, int32_t param)
{
    const sdi_param *parameter = &p->weights.params[param];
    const sdi_tensor_ref *ref = &p->refs[param];
    const uint64_t size = sdi_dtype_size(sdi_tensor_file_info(ref->file, ref->index)->dtype);
    enum { HEADER = 128 };
    if (parameter->role != SDI_ROLE_MATRIX)
        return (uint64_t)parameter->count *
                   (parameter->role == SDI_ROLE_LOOKUP ? SDI_MIN(size, 4) : sizeof(float)) +
               HEADER;
    const sdi_packed *m = &p->weights.matrices[parameter->matrix];
    return p->weights.kernels.pack_bytes(m) / (uint64_t)m->n * (uint64_t)parameter->shape[0] +
           HEADER;
}

/* Bytes of a part when it is resident, and of those what stays when it is streamed. */
static void count_part(const sdi_model_part *p, uint64_t *resident, uint64_t *streamed)
{
    *resident = *streamed = 0;
    for (int32_t i = 0; p->declared && i < p->weights.count; i++) {
        const uint64_t bytes = param_bytes(p, i);
        *resident += bytes;
        *streamed += is_streamable(p, i) ? 0 : bytes;
    }
}

/* ---- choosing -------------------------------------------------------------------------------- */

static void stream_all(sdi_model *m, int32_t streamed)
{
    for (int32_t i = 0; i < SDI_PART_COUNT; i++)
        m->parts[i].weights.streamed = streamed;
}

/* What work needs at least: tiles, halves of guidance one after the other, everything streamed. */
static sdiff_status check_least(const sdi_loader *l, int64_t h, int64_t w, uint64_t weights)
{
    const uint64_t limit = sdi_mem_limit(l->env->mem), used = sdi_mem_used(l->env->mem);
    work least;
    SDI_TRY(plan_work(l, h, w, SMALLEST_TILE, 1, &least));
    const uint64_t needed =
        used + weights + least.arena + least.plans + other_bytes(&l->model->config, h, w);
    if (needed <= limit)
        return SDIFF_OK;
    return sdi_fail(l->env, SDIFF_ERROR_NO_MEMORY,
                    "%s: at least %llu bytes of memory are needed with all means of saving it, the "
                    "limit is %llu", l->model->name, (unsigned long long)needed,
                    (unsigned long long)limit);
}

/* From the part that is read in every step to those read once, or not at all, for a picture. What
 * comes in a file of its own leaves the room to the model that it serves. */
static const sdi_part by_use[] = {SDI_PART_UNET,          SDI_PART_VAE_DECODER,
                                  SDI_PART_TEXT,          SDI_PART_VAE_ENCODER,
                                  SDI_PART_TAESD_DECODER, SDI_PART_TAESD_ENCODER};

static void keep_what_fits(const sdi_loader *l, uint64_t room)
{
    for (size_t i = 0; i < SDI_COUNT(by_use); i++) {
        sdi_model_part *p = &l->model->parts[by_use[i]];
        uint64_t resident, streamed;
        count_part(p, &resident, &streamed);
        if (resident - streamed > room)
            break; // a working cache for the more important part is worth more than the rest
        room -= resident - streamed;
        p->weights.streamed = 0;
    }
}

sdiff_status sdi_choose_residency(sdi_loader *l)
{
    sdi_model *m = l->model;
    const sdi_model_config *c = &m->config;
    const uint64_t limit = sdi_mem_limit(l->env->mem);
    const int64_t scale = c->has[SDI_PART_VAE_DECODER] ? (int64_t)1 << (c->vae.levels - 1) : 1;
    const int64_t own = c->has[SDI_PART_UNET] ? c->unet.sample_size : 64;
    const int64_t h = l->options->height ? (l->options->height + scale - 1) / scale : own;
    const int64_t w = l->options->width ? (l->options->width + scale - 1) / scale : own;
    if (!limit)
        return SDIFF_OK;
    uint64_t weights = 0;
    for (int32_t i = 0; i < SDI_PART_COUNT; i++) {
        uint64_t resident, streamed;
        count_part(&m->parts[i], &resident, &streamed);
        weights += streamed;
    }
    work whole;
    stream_all(m, 1);
    SDI_TRY(check_least(l, h, w, weights));
    SDI_TRY(plan_work(l, h, w, 0, ROWS, &whole));
    const uint64_t taken = sdi_mem_used(l->env->mem) + weights + whole.arena + whole.plans +
                           other_bytes(c, h, w);
    keep_what_fits(l, limit > taken ? limit - taken : 0);
    for (int32_t i = 0; i < SDI_PART_COUNT; i++)
        if (m->parts[i].declared && m->parts[i].weights.streamed)
            sdi_info(l->env,
                     "%s: the %s is packed anew for each run, to stay under the memory limit",
                     m->name, sdi_part_name((sdi_part)i));
    return SDIFF_OK;
}
