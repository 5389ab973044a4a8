/* SPDX-License-Identifier: MIT
 *
 * From prompts to contexts.
 */
#include "pipeline/conditioning.h"

#include "base/log.h"
#include "base/memory.h"

#include <string.h>

enum { MAX_TEXTS = 4096, BACKTRACK = 20 };

static const sdi_env *env_of(const sdi_conditioning *c)
{
    return &c->session->env;
}

void sdi_conditioning_free(sdi_conditioning *c)
{
    if (!c->session)
        return;
    const sdi_env *env = env_of(c);
    for (int32_t i = 0; i < c->text_count; i++)
        sdi_prompt_chunks_free(env, &c->texts[i]);
    for (int32_t i = 0; i < c->side_count; i++)
        sdi_free(env, c->sides[i].stages);
    sdi_free(env, c->texts);
    sdi_free(env, c->sides);
    sdi_free(env, c->contexts);
    memset(c, 0, sizeof *c);
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct reading {
    sdi_conditioning *c;
    const sdi_text_request *request;
    const sdi_tokenizer *tokenizer;
    sdi_prompt_options options;
    sdi_prompt_embedding *names;
} reading;

static int is_literal(const reading *r)
{
    return r->request->emphasis == SDI_EMPHASIS_NONE;
}

static sdiff_status set_options(reading *r)
{
    const sdi_clip_config *clip = &sdi_model_get_config(r->c->session->model)->clip;
    const sdi_text_request *q = r->request;
    sdi_prompt_options_init(&r->options);
    r->options.variant = r->c->session->variant;
    r->options.literal = is_literal(r);
    r->options.backtrack = BACKTRACK;
    r->options.pad = clip->pad_token;
    if (!q->embedding_count)
        return SDIFF_OK;
    r->names = sdi_alloc(env_of(r->c), (uint64_t)q->embedding_count, sizeof *r->names);
    if (!r->names)
        return SDIFF_ERROR_NO_MEMORY;
    for (int32_t i = 0; i < q->embedding_count; i++)
        r->names[i] = (sdi_prompt_embedding){q->embeddings[i].name, q->embeddings[i].count};
    r->options.embeddings = r->names;
    r->options.embedding_count = q->embedding_count;
    return SDIFF_OK;
}

/* Literal prompts are one chunk, as in diffusers; what does not fit is cut. */
static void cut(const reading *r, sdi_prompt_chunks *chunks)
{
    if (!is_literal(r) || chunks->count == 1)
        return;
    sdi_warn(env_of(r->c), "the prompt has %d tokens, the model reads %d: the rest was cut",
             chunks->token_count, SDI_PROMPT_CHUNK);
    chunks->count = 1;
    int32_t kept = 0;
    while (kept < chunks->insertion_count && chunks->insertions[kept].chunk == 0)
        kept++;
    chunks->insertion_count = kept;
}

static sdiff_status add_text(reading *r, const char *text, size_t length, int32_t *index)
{
    sdi_conditioning *c = r->c;
    if (c->text_count == MAX_TEXTS)
        return sdi_fail(env_of(c), SDIFF_ERROR_LIMIT, "the prompt changes more than %d times",
                        MAX_TEXTS);
    if (c->text_count == c->text_capacity) {
        const int32_t wanted = 2 * c->text_capacity + 4;
        sdi_prompt_chunks *texts =
            sdi_realloc(env_of(c), c->texts, (uint64_t)wanted, sizeof *texts);
        if (!texts)
            return SDIFF_ERROR_NO_MEMORY;
        c->texts = texts;
        c->text_capacity = wanted;
    }
    sdi_prompt_chunks *chunks = &c->texts[c->text_count];
    /* Literal prompts end their only chunk after 75 tokens, wherever commas are. */
    sdi_prompt_options options = r->options;
    if (is_literal(r))
        options.backtrack = 0;
    SDI_TRY(sdi_prompt_chunk(env_of(c), r->tokenizer, &options, text, length, chunks));
    cut(r, chunks);
    *index = c->text_count++;
    return SDIFF_OK;
}

static sdiff_status new_stages(reading *r, sdi_side *side, int32_t count)
{
    side->stages = sdi_zalloc(env_of(r->c), (uint64_t)count, sizeof *side->stages);
    return side->stages ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

static sdiff_status read_side(reading *r, const char *text, size_t length, sdi_side *side)
{
    if (is_literal(r)) {
        SDI_TRY(new_stages(r, side, 1));
        side->count = 1;
        side->stages[0].last_step = INT32_MAX;
        return add_text(r, text, length, &side->stages[0].text);
    }
    sdi_prompt_schedule schedule;
    SDI_TRY(sdi_prompt_parse_schedule(env_of(r->c), text, length, r->request->steps,
                                      SDI_PROMPT_WHEN_POINT, &schedule));
    sdiff_status status = new_stages(r, side, schedule.count);
    for (int32_t i = 0; i < schedule.count && status == SDIFF_OK; i++) {
        const sdi_prompt_stage *s = &schedule.stages[i];
        side->stages[i].last_step = s->last_step;
        status = add_text(r, s->text, s->length, &side->stages[i].text);
        side->count += status == SDIFF_OK;
    }
    sdi_prompt_schedule_free(env_of(r->c), &schedule);
    return status;
}

static sdiff_status new_sides(sdi_conditioning *c, int32_t count)
{
    c->sides = sdi_zalloc(env_of(c), (uint64_t)count, sizeof *c->sides);
    return c->sides ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

static sdiff_status read_sides(reading *r, const sdi_prompt_part *parts, int32_t count)
{
    sdi_conditioning *c = r->c;
    SDI_TRY(new_sides(c, count + 1));
    c->side_count = 1;
    c->sides[0].weight = 1;
    SDI_TRY(read_side(r, r->request->negative, strlen(r->request->negative), &c->sides[0]));
    for (int32_t i = 0; i < count; i++) {
        c->sides[c->side_count++].weight = parts[i].weight;
        SDI_TRY(read_side(r, parts[i].text, parts[i].length, &c->sides[i + 1]));
    }
    return SDIFF_OK;
}

static sdiff_status read_prompts(reading *r)
{
    const char *prompt = r->request->prompt;
    if (is_literal(r)) {
        const sdi_prompt_part whole = {prompt, strlen(prompt), 1};
        return read_sides(r, &whole, 1);
    }
    sdi_prompt_parts parts;
    SDI_TRY(sdi_prompt_split_and(env_of(r->c), prompt, strlen(prompt), &parts));
    const sdiff_status status = read_sides(r, parts.parts, parts.count);
    sdi_prompt_parts_free(env_of(r->c), &parts);
    return status;
}

/* All texts of a batch of the U-Net have the same number of tokens. */
static sdiff_status level(reading *r)
{
    sdi_conditioning *c = r->c;
    int32_t most = 1;
    for (int32_t i = 0; i < c->text_count; i++)
        most = SDI_MAX(most, c->texts[i].count);
    for (int32_t i = 0; i < c->text_count; i++)
        SDI_TRY(sdi_prompt_chunks_extend(env_of(c), r->tokenizer, &r->options, most,
                                         &c->texts[i]));
    c->tokens = most * SDI_PROMPT_IDS;
    return SDIFF_OK;
}

static int has_vectors(const sdi_conditioning *c)
{
    for (int32_t i = 0; i < c->text_count; i++)
        if (c->texts[i].insertion_count)
            return 1;
    return 0;
}

static int32_t rows_of(const sdi_conditioning *c)
{
    const int32_t empty = c->emphasis == SDI_EMPHASIS_INTERPOLATE;
    return c->text_count * (c->tokens / SDI_PROMPT_IDS) + empty;
}

sdiff_status sdi_conditioning_read(sdi_conditioning *c, sdi_session *session,
                                   const sdi_text_request *request)
{
    const sdi_clip_config *clip = &sdi_model_get_config(session->model)->clip;
    memset(c, 0, sizeof *c);
    c->session = session;
    c->width = clip->hidden_size;
    c->emphasis = request->emphasis;
    reading r = {.c = c, .request = request, .tokenizer = sdi_model_tokenizer(session->model)};
    if (!r.tokenizer)
        return sdi_fail(env_of(c), SDIFF_ERROR_UNSUPPORTED, "%s",
                        sdi_model_tokenizer_reason(session->model));
    const int32_t entries = sdi_tokenizer_vocab_size(r.tokenizer);
    if (entries > clip->vocab_size)
        return sdi_fail(env_of(c), SDIFF_ERROR_MISMATCH,
                        "the vocabulary has %d entries, the text encoder's table %d rows: it is "
                        "not this model's",
                        entries, clip->vocab_size);
    if (clip->positions != SDI_PROMPT_IDS)
        return sdi_fail(env_of(c), SDIFF_ERROR_UNSUPPORTED,
                        "the text encoder has %d positions, prompts need %d", clip->positions,
                        SDI_PROMPT_IDS);
    sdiff_status status = set_options(&r);
    if (status == SDIFF_OK)
        status = read_prompts(&r);
    if (status == SDIFF_OK)
        status = level(&r);
    sdi_free(env_of(c), r.names);
    return status == SDIFF_OK ? sdi_text_plan(session, rows_of(c), request->clip_skip,
                                              has_vectors(c), &c->plan)
                              : status;
}

double sdi_conditioning_work(const sdi_conditioning *c)
{
    return sdi_text_work(c->plan, rows_of(c));
}

/* ---- encoding -------------------------------------------------------------------------------- */

typedef struct encoding {
    int32_t *ids; // [rows, 77]
    sdi_vectors_at *vectors;
    int32_t vector_count;
    float *states; // [rows, 77, width]
} encoding;

static void collect(const sdi_conditioning *c, const sdi_text_request *request, encoding *e)
{
    const int32_t chunks = c->tokens / SDI_PROMPT_IDS;
    for (int32_t i = 0; i < c->text_count; i++) {
        const sdi_prompt_chunks *t = &c->texts[i];
        memcpy(e->ids + (size_t)(i * chunks) * SDI_PROMPT_IDS, t->ids,
               (size_t)c->tokens * sizeof *e->ids);
        for (int32_t k = 0; k < t->insertion_count; k++) {
            const sdi_prompt_insertion *at = &t->insertions[k];
            const sdi_embedding *embedding = &request->embeddings[at->embedding];
            e->vectors[e->vector_count++] = (sdi_vectors_at){
                i * chunks + at->chunk, at->offset + 1, embedding->count, embedding->vectors};
        }
    }
}

static int32_t count_vectors(const sdi_conditioning *c)
{
    int32_t count = 0;
    for (int32_t i = 0; i < c->text_count; i++)
        count += c->texts[i].insertion_count;
    return count;
}

/* The ids of an empty prompt: BOS, EOS, padding. */
static void empty_row(const sdi_conditioning *c, int32_t *ids)
{
    const sdi_tokenizer *tokenizer = sdi_model_tokenizer(c->session->model);
    const sdi_ids none = {0};
    sdi_tokenizer_frame(tokenizer, &none, sdi_model_get_config(c->session->model)->clip.pad_token,
                        SDI_PROMPT_IDS, ids);
}

static void emphasise(sdi_conditioning *c, const float *empty)
{
    const int32_t chunks = c->tokens / SDI_PROMPT_IDS;
    if (c->emphasis == SDI_EMPHASIS_NONE)
        return;
    for (int32_t i = 0; i < c->text_count; i++)
        sdi_emphasis_apply((sdi_emphasis)c->emphasis,
                           c->contexts + (size_t)i * (size_t)c->tokens * (size_t)c->width,
                           c->texts[i].multipliers, empty, chunks, SDI_PROMPT_IDS, c->width);
}

static sdiff_status encode(sdi_conditioning *c, const sdi_text_request *request, encoding *e)
{
    const sdi_env *env = env_of(c);
    const int32_t rows = rows_of(c);
    const size_t row = SDI_PROMPT_IDS * (size_t)c->width;
    const int with_empty = c->emphasis == SDI_EMPHASIS_INTERPOLATE;
    e->ids = sdi_alloc(env, (uint64_t)rows * SDI_PROMPT_IDS, sizeof *e->ids);
    e->vectors = sdi_alloc(env, (uint64_t)count_vectors(c), sizeof *e->vectors);
    c->contexts = sdi_alloc(env, (uint64_t)rows * row, sizeof *c->contexts);
    if (!e->ids || !e->vectors || !c->contexts)
        return SDIFF_ERROR_NO_MEMORY;
    collect(c, request, e);
    if (with_empty)
        empty_row(c, e->ids + (size_t)(rows - 1) * SDI_PROMPT_IDS);
    SDI_TRY(sdi_text_run(c->session, request->clip_skip, e->ids, rows, e->vectors, e->vector_count,
                         c->contexts));
    if (c->emphasis == SDI_EMPHASIS_NONE && request->clip_skip) // diffusers: the prompt only
        SDI_TRY(sdi_text_run(c->session, 0, e->ids, 1, e->vectors, e->vector_count, c->contexts));
    emphasise(c, with_empty ? c->contexts + (size_t)(rows - 1) * row : NULL);
    return SDIFF_OK;
}

sdiff_status sdi_conditioning_encode(sdi_conditioning *c, const sdi_text_request *request)
{
    encoding e = {0};
    const sdiff_status status = encode(c, request, &e);
    sdi_free(env_of(c), e.ids);
    sdi_free(env_of(c), e.vectors);
    return status;
}

int32_t sdi_conditioning_text_at(const sdi_conditioning *c, int32_t side, int32_t step)
{
    const sdi_side *s = &c->sides[side];
    int32_t i = 0;
    while (i + 1 < s->count && s->stages[i].last_step < step + 1)
        i++;
    return s->stages[i].text;
}
