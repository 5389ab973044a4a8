/* SPDX-License-Identifier: MIT
 *
 * sdiff_prompt_describe: a parsed prompt as JSON.
 */
#include "api/tokenizer_handle.h"

#include "text/prompt.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* A list that ran out of memory is NULL, and so is everything that it should have
 * become part of. */
static json_t *add_pair(json_t *list, json_t *first, json_t *second)
{
    json_t *pair = json_array();
    if (json_array_append_new(pair, first) || json_array_append_new(pair, second) ||
        json_array_append_new(list, pair)) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *describe_parts(const sdi_prompt_parts *parts)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < parts->count && list; i++) {
        const sdi_prompt_part *p = &parts->parts[i];
        list = add_pair(list, json_stringn_nocheck(p->text, p->length), json_real(p->weight));
    }
    return list;
}

static json_t *describe_schedule(const sdi_prompt_schedule *schedule)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < schedule->count && list; i++) {
        const sdi_prompt_stage *s = &schedule->stages[i];
        list = add_pair(list, json_integer(s->last_step),
                        json_stringn_nocheck(s->text, s->length));
    }
    return list;
}

static json_t *describe_chunk(const int32_t *ids, const float *multipliers)
{
    json_t *tokens = json_array(), *weights = json_array();
    int failed = 0;
    for (int32_t i = 0; i < SDI_PROMPT_IDS; i++) {
        failed |= json_array_append_new(tokens, json_integer(ids[i]));
        failed |= json_array_append_new(weights, json_real((double)multipliers[i]));
    }
    if (failed) {
        json_decref(tokens);
        json_decref(weights);
        return NULL;
    }
    return json_pack("{s:o, s:o}", "tokens", tokens, "multipliers", weights);
}

static json_t *describe_chunks(const sdi_prompt_chunks *chunks)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < chunks->count && list; i++) {
        const int32_t first = i * SDI_PROMPT_IDS;
        if (json_array_append_new(
                list, describe_chunk(chunks->ids + first, chunks->multipliers + first))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

typedef struct reading {
    sdi_prompt_parts and_parts, weighted;
    sdi_prompt_schedule schedule;
    sdi_prompt_chunks chunks;
} reading;

static sdiff_status read_prompt(const sdi_env *env, const sdi_tokenizer *tokenizer,
                                const sdi_prompt_options *options, const char *prompt,
                                int32_t steps, reading *r)
{
    const size_t length = strlen(prompt);
    SDI_TRY(sdi_prompt_split_and(env, prompt, length, &r->and_parts));
    SDI_TRY(sdi_prompt_parse_schedule(env, prompt, length, steps, SDI_PROMPT_WHEN_POINT,
                                      &r->schedule));
    SDI_TRY(sdi_prompt_parse_weights(env, prompt, length, &r->weighted));
    return sdi_prompt_chunk(env, tokenizer, options, prompt, length, &r->chunks);
}

static void free_reading(const sdi_env *env, reading *r)
{
    sdi_prompt_parts_free(env, &r->and_parts);
    sdi_prompt_parts_free(env, &r->weighted);
    sdi_prompt_schedule_free(env, &r->schedule);
    sdi_prompt_chunks_free(env, &r->chunks);
}

static sdiff_status write_json(const sdi_env *env, const reading *r, char **out)
{
    json_t *json =
        json_pack("{s:o, s:o, s:o, s:i, s:o}", "parts", describe_parts(&r->and_parts), "schedule",
                  describe_schedule(&r->schedule), "parsed", describe_parts(&r->weighted),
                  "token_count", r->chunks.token_count, "chunks", describe_chunks(&r->chunks));
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    *out = text ? sdi_strdup(env, text) : NULL;
    free(text);
    return *out ? SDIFF_OK : sdi_fail(env, SDIFF_ERROR_NO_MEMORY, "out of memory");
}

sdiff_status sdiff_prompt_describe(sdiff_tokenizer *tokenizer, const char *prompt, int32_t variant,
                                   int32_t steps, int32_t backtrack, const char **json)
{
    SDI_OWN_FLOAT_MODE;
    if (json)
        *json = NULL;
    if (!tokenizer || !prompt || !json || variant < SDIFF_TOKENIZER_HF_FAST ||
        variant > SDIFF_TOKENIZER_OPENAI)
        return SDIFF_ERROR_INVALID_ARGUMENT;
    const sdi_env env = sdi_handle_env(tokenizer->context, &tokenizer->error);
    sdi_error_clear(&tokenizer->error);
    if (steps < 1 || steps > 100000 || backtrack < 0 || backtrack > SDI_PROMPT_CHUNK)
        return sdi_fail(&env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "%d steps, %d tokens back: 1 to 100000 and 0 to %d are possible", steps,
                        backtrack, SDI_PROMPT_CHUNK);
    sdi_prompt_options options;
    sdi_prompt_options_init(&options);
    options.variant = (sdi_tokenizer_variant)variant;
    options.backtrack = backtrack;
    options.pad = tokenizer->pad;
    sdi_free(&env, tokenizer->description);
    tokenizer->description = NULL;
    reading r;
    memset(&r, 0, sizeof r);
    sdiff_status status = read_prompt(&env, tokenizer->tokenizer, &options, prompt, steps, &r);
    if (status == SDIFF_OK)
        status = write_json(&env, &r, &tokenizer->description);
    free_reading(&env, &r);
    *json = tokenizer->description;
    return status;
}
