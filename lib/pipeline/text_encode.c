/* SPDX-License-Identifier: MIT
 *
 * The text encoder on rows of ids, in batches of a prompt and its negative.
 */
#include "pipeline/text_encode.h"

#include "base/memory.h"

#include <string.h>

enum { BATCH = 2 };

static const sdi_clip_config *clip_of(const sdi_session *session)
{
    return &sdi_model_get_config(session->model)->clip;
}

sdiff_status sdi_text_plan(sdi_session *session, int32_t rows, int32_t clip_skip, int with_vectors,
                           sdi_plan **out)
{
    sdi_clip_args args;
    memset(&args, 0, sizeof args);
    args.config = clip_of(session);
    args.b = SDI_MIN(rows, BATCH);
    args.t = args.config->positions;
    args.clip_skip = clip_skip;
    args.from_embeddings = with_vectors;
    return sdi_session_plan(session, SDI_NET_TEXT, &args, sizeof args, out);
}

double sdi_text_work(const sdi_plan *plan, int32_t rows)
{
    const int32_t batches = (rows + BATCH - 1) / BATCH;
    return (sdi_plan_flops(plan, NN_ONCE) + sdi_plan_flops(plan, NN_EACH)) * batches;
}

/* ---- token embeddings ------------------------------------------------------------------------ */

static sdiff_status gather(const sdi_session *session, const int32_t *ids, int32_t count,
                           float *out)
{
    const sdi_weights *weights = sdi_model_weights(session->model, SDI_PART_TEXT);
    const int32_t found =
        sdi_weights_find(weights, "text_model.embeddings.token_embedding.weight");
    if (found < 0)
        return sdi_fail(&session->env, SDIFF_ERROR_INTERNAL, "there is no table of tokens");
    const sdi_param *table = &weights->params[found];
    for (int32_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= table->shape[0])
            return sdi_fail(&session->env, SDIFF_ERROR_MISMATCH,
                            "token %d is outside of the model's vocabulary of %lld", ids[i],
                            (long long)table->shape[0]);
        sdi_weights_row(weights, found, ids[i], out + (size_t)i * (size_t)table->shape[1]);
    }
    return SDIFF_OK;
}

/* The embeddings of rows [first, first + count), vectors in their places. */
static sdiff_status set_embeddings(sdi_session *session, sdi_plan *plan, const int32_t *ids,
                                   int32_t first, int32_t count, const sdi_vectors_at *vectors,
                                   int32_t vector_count)
{
    const sdi_clip_config *clip = clip_of(session);
    const size_t width = (size_t)clip->hidden_size, row = (size_t)clip->positions * width;
    float *all = sdi_alloc(&session->env, BATCH * row, sizeof *all);
    if (!all)
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status = gather(session, ids, BATCH * clip->positions, all);
    for (int32_t i = 0; i < vector_count && status == SDIFF_OK; i++) {
        const sdi_vectors_at *v = &vectors[i];
        if (v->row >= first && v->row < first + count)
            memcpy(all + (size_t)(v->row - first) * row + (size_t)v->offset * width, v->vectors,
                   (size_t)v->count * width * sizeof *all);
    }
    if (status == SDIFF_OK)
        status = sdi_plan_set(&session->env, plan, "embeddings", all);
    sdi_free(&session->env, all);
    return status;
}

/* ---- running --------------------------------------------------------------------------------- */

/* One batch: `count` rows, the last one repeated up to the planned number. */
static sdiff_status run_batch(sdi_session *session, sdi_plan *plan, const int32_t *ids,
                              int32_t first, int32_t count, const sdi_vectors_at *vectors,
                              int32_t vector_count, float *out)
{
    const sdi_clip_config *clip = clip_of(session);
    const size_t positions = (size_t)clip->positions;
    int32_t *batch = sdi_alloc(&session->env, BATCH * positions, sizeof *batch);
    float *states =
        sdi_alloc(&session->env, BATCH * positions * (size_t)clip->hidden_size, sizeof *states);
    sdiff_status status = batch && states ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
    for (int32_t i = 0; i < BATCH && status == SDIFF_OK; i++)
        memcpy(batch + (size_t)i * positions,
               ids + (size_t)(first + SDI_MIN(i, count - 1)) * positions,
               positions * sizeof *batch);
    if (status == SDIFF_OK)
        status = sdi_plan_has_input(plan, "embeddings")
                     ? set_embeddings(session, plan, batch, first, count, vectors, vector_count)
                     : sdi_plan_set(&session->env, plan, "input_ids", batch);
    if (status == SDIFF_OK)
        status = sdi_session_run(session, plan, NN_ONCE);
    if (status == SDIFF_OK)
        status = sdi_session_run(session, plan, NN_EACH);
    if (status == SDIFF_OK)
        status = sdi_session_get(session, plan, "context", states);
    if (status == SDIFF_OK)
        memcpy(out, states, (size_t)count * positions * (size_t)clip->hidden_size * sizeof *out);
    sdi_free(&session->env, batch);
    sdi_free(&session->env, states);
    return status;
}

sdiff_status sdi_text_run(sdi_session *session, int32_t clip_skip, const int32_t *ids,
                          int32_t rows, const sdi_vectors_at *vectors, int32_t vector_count,
                          float *contexts)
{
    const sdi_clip_config *clip = clip_of(session);
    const size_t row = (size_t)clip->positions * (size_t)clip->hidden_size;
    sdi_plan *plan = NULL;
    SDI_TRY(sdi_text_plan(session, rows, clip_skip, vector_count > 0, &plan));
    SDI_TRY(sdi_session_reserve(session));
    for (int32_t first = 0; first < rows; first += BATCH)
        SDI_TRY(run_batch(session, plan, ids, first, SDI_MIN(BATCH, rows - first), vectors,
                          vector_count, contexts + (size_t)first * row));
    return SDIFF_OK;
}
