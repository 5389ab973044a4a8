/* SPDX-License-Identifier: MIT
 *
 * Plans and the arena of one user of a model.
 */
#include "pipeline/session.h"

#include "base/memory.h"

#include <string.h>

static const sdi_part parts[SDI_NET_COUNT] = {
    [SDI_NET_TEXT] = SDI_PART_TEXT,
    [SDI_NET_UNET] = SDI_PART_UNET,
    [SDI_NET_VAE_ENCODER] = SDI_PART_VAE_ENCODER,
    [SDI_NET_VAE_DECODER] = SDI_PART_VAE_DECODER,
    [SDI_NET_DEPTH] = SDI_PART_DEPTH,
};

static const sdi_network_fn builders[SDI_PART_COUNT] = {
    [SDI_PART_TEXT] = sdi_clip_text_net,
    [SDI_PART_UNET] = sdi_unet_net,
    [SDI_PART_VAE_ENCODER] = sdi_vae_encoder_net,
    [SDI_PART_VAE_DECODER] = sdi_vae_decoder_net,
    [SDI_PART_DEPTH] = sdi_dpt_net,
    [SDI_PART_CONTROL] = sdi_controlnet_net,
    [SDI_PART_TAESD_ENCODER] = sdi_taesd_encoder_net,
    [SDI_PART_TAESD_DECODER] = sdi_taesd_decoder_net,
};

void sdi_session_init(sdi_session *session, const sdi_env *env, sdi_model *model, sdi_pool *pool)
{
    memset(session, 0, sizeof *session);
    session->env = *env;
    session->model = sdi_model_ref(model);
    session->pool = pool;
    atomic_init(&session->cancel, 0);
}

void sdi_session_free(sdi_session *session)
{
    for (int i = 0; i < SDI_MAX_SLOTS; i++) {
        sdi_plan_free(&session->env, session->slots[i].plan);
        sdi_model_unref(session->slots[i].model);
    }
    sdi_free(&session->env, session->arena);
    sdi_model_unref(session->model);
    memset(session->slots, 0, sizeof session->slots);
    session->arena = NULL;
    session->model = NULL;
}

static void drop_plan(sdi_session *session, sdi_slot *slot)
{
    if (session->cached == slot->plan)
        session->cached = NULL;
    sdi_plan_free(&session->env, slot->plan);
    slot->plan = NULL;
}

sdiff_status sdi_session_add(sdi_session *session, sdi_model *model, sdi_part part,
                             sdi_network *network)
{
    int i = SDI_NET_FIRST_EXTRA;
    while (i < SDI_MAX_SLOTS && session->slots[i].model)
        i++;
    if (i == SDI_MAX_SLOTS)
        return sdi_fail(&session->env, SDIFF_ERROR_LIMIT,
                        "%d networks were added already, which is as many as are possible",
                        SDI_MAX_SLOTS - SDI_NET_FIRST_EXTRA);
    session->slots[i].model = sdi_model_ref(model);
    session->slots[i].part = part;
    *network = (sdi_network)i;
    return SDIFF_OK;
}

void sdi_session_remove(sdi_session *session, sdi_network network)
{
    sdi_slot *slot = &session->slots[network];
    drop_plan(session, slot);
    sdi_model_unref(slot->model);
    memset(slot, 0, sizeof *slot);
}

sdiff_status sdi_session_plan(sdi_session *session, sdi_network network, const void *args,
                              size_t size, sdi_plan **out)
{
    unsigned char key[SDI_ARGS_SIZE] = {0};
    memcpy(key, args, SDI_MIN(size, sizeof key));
    *out = NULL;
    if (size > sizeof key)
        return sdi_fail(&session->env, SDIFF_ERROR_INTERNAL, "arguments of %zu bytes", size);
    sdi_slot *slot = &session->slots[network];
    const sdi_model *model = slot->model ? slot->model : session->model;
    const sdi_part part = slot->model ? slot->part : parts[network];
    sdi_weights *weights = sdi_model_weights(model, part);
    if (!weights)
        return sdi_fail(&session->env, SDIFF_ERROR_UNSUPPORTED, "the model '%s' %s %s",
                        sdi_model_name(model),
                        sdi_model_has_part(model, part) ? "was opened without the weights of its"
                                                        : "has no",
                        sdi_part_name(part));
    const int version = atomic_load(&weights->version);
    if (!slot->plan || slot->version != version || memcmp(slot->args, key, sizeof key) != 0) {
        drop_plan(session, slot);
        SDI_TRY(sdi_plan_new(&session->env, weights, builders[part], args,
                             sdi_pool_size(session->pool), &slot->plan));
        memcpy(slot->args, key, sizeof key);
        slot->version = version;
    }
    *out = slot->plan;
    return SDIFF_OK;
}

/* ---- memory ---------------------------------------------------------------------------------- */

uint64_t sdi_session_arena_needed(const sdi_session *session)
{
    uint64_t needed = 0;
    for (int i = 0; i < SDI_MAX_SLOTS; i++)
        if (session->slots[i].plan)
            needed = SDI_MAX(needed, sdi_plan_arena_bytes(session->slots[i].plan));
    return needed;
}

uint64_t sdi_session_plan_bytes(const sdi_session *session)
{
    uint64_t bytes = 0;
    for (int i = 0; i < SDI_MAX_SLOTS; i++)
        if (session->slots[i].plan)
            bytes += sdi_plan_bytes(session->slots[i].plan);
    return bytes;
}

double sdi_session_pack_seconds(const sdi_session *session)
{
    double seconds = 0;
    for (int i = 0; i < SDI_MAX_SLOTS; i++)
        if (session->slots[i].plan)
            seconds += sdi_plan_pack_seconds(session->slots[i].plan);
    return seconds;
}

static void free_arena(sdi_session *session)
{
    if (session->cached)
        sdi_plan_set_cache(session->cached, NULL, 0);
    session->cached = NULL;
    sdi_free(&session->env, session->arena);
    session->arena = NULL;
    session->arena_bytes = 0;
}

void sdi_session_release(sdi_session *session)
{
    free_arena(session);
    for (int i = 0; i < SDI_MAX_SLOTS; i++)
        drop_plan(session, &session->slots[i]);
}

static sdiff_status reserve(sdi_session *session, uint64_t needed)
{
    if (session->arena && session->arena_bytes >= needed)
        return SDIFF_OK;
    free_arena(session);
    session->arena = sdi_alloc(&session->env, needed, 1);
    if (!session->arena)
        return sdi_fail(&session->env, SDIFF_ERROR_NO_MEMORY,
                        "%llu bytes of working memory are needed beside %llu in use and cannot be "
                        "had; a smaller picture needs less",
                        (unsigned long long)needed,
                        (unsigned long long)sdi_mem_used(session->env.mem));
    session->arena_bytes = needed;
    return SDIFF_OK;
}

sdiff_status sdi_session_reserve(sdi_session *session)
{
    return reserve(session, sdi_session_arena_needed(session));
}

sdiff_status sdi_session_reserve_cached(sdi_session *session, sdi_plan *plan, uint64_t spare)
{
    const uint64_t needed = sdi_session_arena_needed(session), own = sdi_plan_arena_bytes(plan);
    const uint64_t useful = SDI_MAX(needed, own + sdi_plan_streamed_bytes(plan));
    SDI_TRY(reserve(session, SDI_MIN(useful, needed + spare)));
    session->cached = plan;
    sdi_plan_set_cache(plan, (char *)session->arena + own, session->arena_bytes - own);
    return SDIFF_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

static sdi_run run_of(const sdi_session *session)
{
    return (sdi_run){.pool = session->pool, .arena = session->arena, .work = session->work,
                     .work_user = session->work_user, .cancel = &session->cancel};
}

sdiff_status sdi_session_run(sdi_session *session, sdi_plan *plan, nn_when when)
{
    const sdi_run run = run_of(session);
    if (session->cached && session->cached != plan) {
        const uint64_t begin = sdi_plan_arena_bytes(session->cached);
        const uint64_t end = sdi_plan_arena_bytes(plan);
        sdi_plan_spoil_cache(session->cached, end > begin ? end - begin : 0);
    }
    return sdi_plan_run(&session->env, plan, when, &run);
}

sdiff_status sdi_session_get(sdi_session *session, const sdi_plan *plan, const char *name,
                             float *out)
{
    const sdi_run run = run_of(session);
    return sdi_plan_get(&session->env, plan, name, &run, out);
}
