/* SPDX-License-Identifier: MIT
 *
 * Cuts normalised text into the words that byte-pair encoding works on, as CLIP's pattern does:
 * the specials, 's 't 're 've 'm 'll 'd, runs of letters, single numbers, runs of anything else
 * that is not white space.
 */
#ifndef SDI_TEXT_CLIP_SPLIT_H
#define SDI_TEXT_CLIP_SPLIT_H

#include "text/unicode.h"

#define SDI_CLIP_BOS "<|startoftext|>"
#define SDI_CLIP_EOS "<|endoftext|>"

typedef enum sdi_clip_pattern {
    SDI_CLIP_PATTERN_PLAIN = 0,      // without the specials, case as it is (tokenizer.json)
    SDI_CLIP_PATTERN_IGNORE_CASE = 1 // the specials are words; U+017F counts as s (Python)
} sdi_clip_pattern;

/* Finds the next word at or behind *start. Returns 0 at the end, else 1 with [*start, *end). */
int sdi_clip_split(const sdi_codes *text, sdi_clip_pattern pattern, size_t *start, size_t *end);

/* Whether `word` stands at text[at]. */
int sdi_codes_match(const sdi_codes *text, size_t at, const char *word, sdi_clip_pattern pattern);

#endif
