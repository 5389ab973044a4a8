/* SPDX-License-Identifier: MIT
 *
 * The prompt language of AUTOMATIC1111's web UI: weights, chunks of 75 tokens, schedules, AND.
 *
 * A prompt goes through these in order, each of which can also be used alone:
 *   sdi_prompt_split_and        "a AND b :0.5"        -> sub-prompts with weights
 *   sdi_prompt_parse_schedule   "[a:b:0.3] [c|d]"     -> which prompt holds up to which step
 *   sdi_prompt_chunk            "(a:1.2), [b] BREAK"  -> ids and multipliers in chunks of 77
 * sdi_prompt_chunk calls sdi_prompt_parse_weights itself.
 *
 * Ownership: results are filled into structs of the caller, which are zero or garbage before and
 * valid and empty after a failure; each has its _free function. All texts in a result belong to
 * it. Prompts are UTF-8 with a length, broken parts become U+FFFD; no call changes the tokenizer.
 * Limits, refused with SDIFF_ERROR_LIMIT: prompts of 1 MiB, 1000 brackets open at once.
 */
#ifndef SDI_TEXT_PROMPT_H
#define SDI_TEXT_PROMPT_H

#include "text/tokenizer.h"

enum {
    SDI_PROMPT_CHUNK = 75, // tokens of the prompt in a chunk
    SDI_PROMPT_IDS = 77,   // with BOS and EOS
    SDI_PROMPT_LONGEST = 1 << 20,
    SDI_PROMPT_DEEPEST = 1000
};

/* A part of a prompt and its weight. The text ends with a NUL and may hold others. */
typedef struct sdi_prompt_part {
    const char *text;
    size_t length;
    double weight;
} sdi_prompt_part;

typedef struct sdi_prompt_parts {
    sdi_prompt_part *parts;
    int32_t count;
    char *pool; // where the texts lie
} sdi_prompt_parts;

void sdi_prompt_parts_free(const sdi_env *env, sdi_prompt_parts *parts);

/* (a) is *1.1, [a] is /1.1, (a:1.3) is *1.3; "\(" and the like are literal; unclosed brackets run
 * to the end. The word BREAK gives a part "BREAK" of weight -1. Neighbours of equal weight are one
 * part. At least one part. A weight that is no number ("1.2.3") is literal text. */
sdiff_status sdi_prompt_parse_weights(const sdi_env *env, const char *text, size_t length,
                                      sdi_prompt_parts *out);
int sdi_prompt_is_break(const sdi_prompt_part *part);

/* "a AND b:0.5": parts at the word AND; a number behind a colon at the end of a part is its weight,
 * else 1. Trailing white space is dropped, leading is kept. At least one part. */
sdiff_status sdi_prompt_split_and(const sdi_env *env, const char *text, size_t length,
                                  sdi_prompt_parts *out);

/* --- schedules ------------------------------------------------------------------------------- */

typedef struct sdi_prompt_stage {
    int32_t last_step; // from 1; holds up to and including it
    const char *text;
    size_t length;
} sdi_prompt_stage;

typedef struct sdi_prompt_schedule {
    sdi_prompt_stage *stages; // ascending, the last one ends with the last step
    int32_t count;
    char *pool;
} sdi_prompt_schedule;

typedef enum sdi_prompt_when {
    SDI_PROMPT_WHEN_POINT = 0,  // a number with a point is a fraction of the steps (since 1.6)
    SDI_PROMPT_WHEN_BELOW_1 = 1 // a number below 1 is (before 1.6)
} sdi_prompt_when;

/* [from:to:when], [to:when], [from::when], and [a|b|c] that changes with every step; nested. A
 * prompt that the grammar does not fit (a stray "|", a backslash at the end) is literal as a
 * whole. steps from 1 to 100000. */
sdiff_status sdi_prompt_parse_schedule(const sdi_env *env, const char *text, size_t length,
                                       int32_t steps, sdi_prompt_when rule,
                                       sdi_prompt_schedule *out);
/* The stage of a step (from 1); steps behind the last take the last stage. */
const sdi_prompt_stage *sdi_prompt_stage_at(const sdi_prompt_schedule *schedule, int32_t step);
void sdi_prompt_schedule_free(const sdi_env *env, sdi_prompt_schedule *schedule);

/* --- chunks ---------------------------------------------------------------------------------- */

/* A textual inversion that may be named in the prompt; found by the tokens of its name, the
 * longest name first. */
typedef struct sdi_prompt_embedding {
    const char *name;
    int32_t vectors; // 1 to 75
} sdi_prompt_embedding;

typedef struct sdi_prompt_options {
    sdi_tokenizer_variant variant;
    int32_t literal;   // non-zero: brackets and BREAK are text, all multipliers are 1
    int32_t backtrack; // how far back a comma may be for a chunk to end there; 0: never
    int32_t pad;       // the id behind the first EOS of a chunk; -1: EOS (SD1), 0 for SD2
    const sdi_prompt_embedding *embeddings; // borrowed
    int32_t embedding_count;
} sdi_prompt_options;

void sdi_prompt_options_init(sdi_prompt_options *options); // hf_fast, weights, 20, -1, none

/* The vectors of embeddings[embedding] replace the token embeddings of ids[chunk][1 + offset ..],
 * whose ids are 0. */
typedef struct sdi_prompt_insertion {
    int32_t chunk, offset, embedding;
} sdi_prompt_insertion;

typedef struct sdi_prompt_chunks {
    int32_t count;       // at least 1
    int32_t *ids;        // [count, 77]
    float *multipliers;  // [count, 77], 1 at BOS, EOS and padding
    int32_t token_count; // as web UIs show it: 75 for each full chunk, and what the last holds
    sdi_prompt_insertion *insertions;
    int32_t insertion_count;
    int32_t capacity, insertion_capacity;
} sdi_prompt_chunks;

sdiff_status sdi_prompt_chunk(const sdi_env *env, const sdi_tokenizer *tokenizer,
                              const sdi_prompt_options *options, const char *text, size_t length,
                              sdi_prompt_chunks *out);
/* Appends empty chunks until there are `count`, so that a prompt and its negative have the same
 * length. */
sdiff_status sdi_prompt_chunks_extend(const sdi_env *env, const sdi_tokenizer *tokenizer,
                                      const sdi_prompt_options *options, int32_t count,
                                      sdi_prompt_chunks *chunks);
void sdi_prompt_chunks_free(const sdi_env *env, sdi_prompt_chunks *chunks);

#endif
