/* SPDX-License-Identifier: MIT
 *
 * How the prompt code builds its lists of weighted parts.
 */
#ifndef SDI_TEXT_PROMPT_PARTS_H
#define SDI_TEXT_PROMPT_PARTS_H

#include "base/strbuf.h"
#include "text/prompt.h"
#include "text/unicode.h"

/* A part under construction: a range of the pool, whose texts stand one behind the other. */
typedef struct sdi_part_draft {
    size_t start, end;
    double weight;
} sdi_part_draft;

typedef struct sdi_parts_draft {
    const sdi_env *env;
    sdi_strbuf pool;
    sdi_part_draft *parts;
    int32_t count, capacity;
} sdi_parts_draft;

void sdi_parts_draft_init(sdi_parts_draft *draft, const sdi_env *env);
/* A new part of codes[start, end). */
sdiff_status sdi_parts_draft_add(sdi_parts_draft *draft, const sdi_codes *codes, size_t start,
                                 size_t end, double weight);
/* Turns the draft into the result, or, where status tells a failure, into an empty one; frees the
 * draft. */
sdiff_status sdi_parts_draft_finish(sdi_parts_draft *draft, sdiff_status status,
                                    sdi_prompt_parts *out);

/* The prompt as code points; refuses what is too long. */
sdiff_status sdi_prompt_decode(const sdi_env *env, const char *text, size_t length,
                               sdi_codes *codes);

/* Python's \b: whether a word begins or ends before codes[at], the text being [start, end). */
int sdi_is_word_boundary(const sdi_codes *codes, size_t start, size_t end, size_t at);
/* Whether the ASCII word stands at codes[at], with boundaries on both sides. */
int sdi_word_stands_at(const sdi_codes *codes, size_t start, size_t end, size_t at,
                       const char *word);

#endif
