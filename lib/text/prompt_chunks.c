/* SPDX-License-Identifier: MIT
 *
 * Prompts of any length as chunks of 75 tokens between BOS and EOS (A1111's tokenize_line). A full
 * chunk whose last comma is near ends there, and what follows the comma begins the next one.
 */
#include "base/memory.h"
#include "text/prompt.h"

#include <string.h>

typedef struct chunking {
    const sdi_env *env;
    const sdi_tokenizer *tokenizer;
    const sdi_prompt_options *options;
    sdi_ids *names; // the tokens of each embedding's name
    sdi_prompt_chunks *out;
    /* The chunk that is being filled. */
    int32_t ids[SDI_PROMPT_CHUNK];
    float multipliers[SDI_PROMPT_CHUNK];
    int32_t count;
    int32_t last_comma; // -1: none
} chunking;

void sdi_prompt_options_init(sdi_prompt_options *options)
{
    *options = (sdi_prompt_options){.variant = SDI_TOKENIZER_HF_FAST, .backtrack = 20, .pad = -1};
}

static sdiff_status reserve_chunk(const sdi_env *env, sdi_prompt_chunks *out)
{
    if (out->count < out->capacity)
        return SDIFF_OK;
    const int32_t capacity = 2 * out->capacity + 2;
    int32_t *ids = sdi_realloc(env, out->ids, (uint64_t)capacity, SDI_PROMPT_IDS * sizeof *ids);
    if (!ids)
        return SDIFF_ERROR_NO_MEMORY;
    out->ids = ids;
    float *multipliers = sdi_realloc(env, out->multipliers, (uint64_t)capacity,
                                     SDI_PROMPT_IDS * sizeof *multipliers);
    if (!multipliers)
        return SDIFF_ERROR_NO_MEMORY;
    out->multipliers = multipliers;
    out->capacity = capacity;
    return SDIFF_OK;
}

/* Everything behind the first EOS is padding, also where the prompt itself names EOS. */
static void pad_behind_eos(int32_t *ids, int32_t eos, int32_t pad)
{
    int32_t i = 0;
    while (ids[i] != eos)
        i++;
    while (++i < SDI_PROMPT_IDS)
        ids[i] = pad;
}

/* Writes the first `used` tokens of the current chunk out. */
static sdiff_status emit(chunking *c, int32_t used)
{
    SDI_TRY(reserve_chunk(c->env, c->out));
    const int32_t eos = sdi_tokenizer_eos(c->tokenizer);
    int32_t *ids = c->out->ids + (size_t)c->out->count * SDI_PROMPT_IDS;
    float *multipliers = c->out->multipliers + (size_t)c->out->count * SDI_PROMPT_IDS;
    for (int32_t i = 0; i < SDI_PROMPT_IDS; i++) {
        const int inside = i >= 1 && i <= used;
        ids[i] = inside ? c->ids[i - 1] : eos;
        multipliers[i] = inside ? c->multipliers[i - 1] : 1;
    }
    ids[0] = sdi_tokenizer_bos(c->tokenizer);
    if (c->options->pad >= 0)
        pad_behind_eos(ids, eos, c->options->pad);
    c->out->count++;
    c->last_comma = -1;
    return SDIFF_OK;
}

/* Ends the chunk behind its first `used` tokens; the rest begins the next one, with the embeddings
 * that lie there (which the original forgets in the old chunk). */
static sdiff_status next_chunk(chunking *c, int32_t used)
{
    const int32_t old = c->out->count;
    SDI_TRY(emit(c, used));
    c->out->token_count += SDI_PROMPT_CHUNK;
    c->count -= used;
    memmove(c->ids, c->ids + used, (size_t)c->count * sizeof *c->ids);
    memmove(c->multipliers, c->multipliers + used, (size_t)c->count * sizeof *c->multipliers);
    for (int32_t i = c->out->insertion_count - 1; i >= 0; i--) {
        sdi_prompt_insertion *insertion = &c->out->insertions[i];
        if (insertion->chunk != old || insertion->offset < used)
            break;
        insertion->chunk++;
        insertion->offset -= used;
    }
    return SDIFF_OK;
}

static void append(chunking *c, int32_t id, double weight)
{
    c->ids[c->count] = id;
    c->multipliers[c->count++] = (float)weight;
}

/* The embedding whose name stands at ids[0]; -1 if none does. */
static int32_t find_embedding(const chunking *c, const int32_t *ids, int32_t left)
{
    int32_t best = -1;
    for (int32_t i = 0; i < c->options->embedding_count; i++) {
        const sdi_ids *name = &c->names[i];
        if (name->count > 0 && name->count <= left &&
            memcmp(name->ids, ids, (size_t)name->count * sizeof *ids) == 0 &&
            (best < 0 || name->count > c->names[best].count))
            best = i;
    }
    return best;
}

static sdiff_status insert(chunking *c, int32_t embedding, double weight)
{
    sdi_prompt_chunks *out = c->out;
    const int32_t vectors = c->options->embeddings[embedding].vectors;
    if (c->count + vectors > SDI_PROMPT_CHUNK)
        SDI_TRY(next_chunk(c, c->count));
    if (out->insertion_count == out->insertion_capacity) {
        const int32_t capacity = 2 * out->insertion_capacity + 8;
        sdi_prompt_insertion *list =
            sdi_realloc(c->env, out->insertions, (uint64_t)capacity, sizeof *list);
        if (!list)
            return SDIFF_ERROR_NO_MEMORY;
        out->insertions = list;
        out->insertion_capacity = capacity;
    }
    out->insertions[out->insertion_count++] =
        (sdi_prompt_insertion){out->count, c->count, embedding};
    for (int32_t i = 0; i < vectors; i++)
        append(c, 0, weight);
    return SDIFF_OK;
}

static sdiff_status make_room(chunking *c, int32_t id)
{
    const int32_t behind_comma = c->count - c->last_comma;
    if (id == sdi_tokenizer_comma(c->tokenizer))
        c->last_comma = c->count;
    else if (c->options->backtrack != 0 && c->count == SDI_PROMPT_CHUNK && c->last_comma >= 0 &&
             behind_comma <= c->options->backtrack)
        SDI_TRY(next_chunk(c, c->last_comma + 1));
    return c->count == SDI_PROMPT_CHUNK ? next_chunk(c, c->count) : SDIFF_OK;
}

static sdiff_status add_ids(chunking *c, const sdi_ids *ids, double weight)
{
    for (int32_t i = 0; i < ids->count;) {
        SDI_TRY(make_room(c, ids->ids[i]));
        const int32_t embedding = find_embedding(c, ids->ids + i, ids->count - i);
        if (embedding >= 0) {
            SDI_TRY(insert(c, embedding, weight));
            i += c->names[embedding].count;
        } else {
            append(c, ids->ids[i++], weight);
        }
    }
    return SDIFF_OK;
}

static sdiff_status add_text(chunking *c, const char *text, size_t length, double weight)
{
    sdi_ids ids = {0};
    sdiff_status status =
        sdi_tokenizer_encode(c->env, c->tokenizer, c->options->variant, text, length, &ids);
    if (status == SDIFF_OK)
        status = add_ids(c, &ids, weight);
    sdi_ids_free(c->env, &ids);
    return status;
}

static sdiff_status add_weighted(chunking *c, const char *text, size_t length)
{
    sdi_prompt_parts parts;
    SDI_TRY(sdi_prompt_parse_weights(c->env, text, length, &parts));
    sdiff_status status = SDIFF_OK;
    for (int32_t i = 0; i < parts.count && status == SDIFF_OK; i++) {
        const sdi_prompt_part *part = &parts.parts[i];
        if (sdi_prompt_is_break(part))
            status = next_chunk(c, c->count);
        else
            status = add_text(c, part->text, part->length, part->weight);
    }
    sdi_prompt_parts_free(c->env, &parts);
    return status;
}

static sdiff_status read_names(chunking *c)
{
    const sdi_prompt_options *options = c->options;
    c->names = sdi_zalloc(c->env, (uint64_t)options->embedding_count, sizeof *c->names);
    if (!c->names)
        return SDIFF_ERROR_NO_MEMORY;
    for (int32_t i = 0; i < options->embedding_count; i++) {
        const sdi_prompt_embedding *embedding = &options->embeddings[i];
        if (embedding->vectors < 1 || embedding->vectors > SDI_PROMPT_CHUNK)
            return sdi_fail(c->env, SDIFF_ERROR_LIMIT,
                            "embedding '%s' has %d vectors, a prompt takes 1 to %d",
                            embedding->name, embedding->vectors, SDI_PROMPT_CHUNK);
        SDI_TRY(sdi_tokenizer_encode(c->env, c->tokenizer, options->variant, embedding->name,
                                     strlen(embedding->name), &c->names[i]));
    }
    return SDIFF_OK;
}

static sdiff_status run(chunking *c, const char *text, size_t length)
{
    SDI_TRY(read_names(c));
    if (c->options->literal)
        SDI_TRY(add_text(c, text, length, 1));
    else
        SDI_TRY(add_weighted(c, text, length));
    if (c->count == 0 && c->out->count > 0)
        return SDIFF_OK;
    c->out->token_count += c->count;
    return emit(c, c->count);
}

sdiff_status sdi_prompt_chunk(const sdi_env *env, const sdi_tokenizer *tokenizer,
                              const sdi_prompt_options *options, const char *text, size_t length,
                              sdi_prompt_chunks *out)
{
    memset(out, 0, sizeof *out);
    chunking c = {.env = env, .tokenizer = tokenizer, .options = options, .out = out};
    c.last_comma = -1;
    const sdiff_status status = run(&c, text, length);
    for (int32_t i = 0; c.names && i < options->embedding_count; i++)
        sdi_ids_free(env, &c.names[i]);
    sdi_free(env, c.names);
    if (status != SDIFF_OK)
        sdi_prompt_chunks_free(env, out);
    return status;
}

sdiff_status sdi_prompt_chunks_extend(const sdi_env *env, const sdi_tokenizer *tokenizer,
                                      const sdi_prompt_options *options, int32_t count,
                                      sdi_prompt_chunks *chunks)
{
    chunking c = {.env = env, .tokenizer = tokenizer, .options = options, .out = chunks};
    while (chunks->count < count)
        SDI_TRY(emit(&c, 0));
    return SDIFF_OK;
}

void sdi_prompt_chunks_free(const sdi_env *env, sdi_prompt_chunks *chunks)
{
    sdi_free(env, chunks->ids);
    sdi_free(env, chunks->multipliers);
    sdi_free(env, chunks->insertions);
    memset(chunks, 0, sizeof *chunks);
}
