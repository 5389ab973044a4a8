/* SPDX-License-Identifier: MIT
 *
 * Walks the merge rules of a byte-pair encoding: one rule a line, two tokens and a blank.
 */
#ifndef SDI_TEXT_MERGES_H
#define SDI_TEXT_MERGES_H

#include "base/strbuf.h"

typedef struct sdi_merges {
    const char *name; // for errors
    const char *text;
    size_t size;
    int32_t limit; // at most so many rules are read, 0: all
    int header;    // the first line is a title, whatever it says
} sdi_merges;

typedef struct sdi_merge {
    const char *left, *right; // into the text
    size_t left_length, right_length;
    int32_t rank; // 0 for the first rule
} sdi_merge;

typedef sdiff_status (*sdi_merge_fn)(const sdi_env *env, void *user, const sdi_merge *merge);

/* Calls fn for each rule in order. A first line "#version..." is a title; lines may end in CRLF.
 * Refuses an empty file, NUL bytes and lines that are not two tokens. */
sdiff_status sdi_merges_walk(const sdi_env *env, const sdi_merges *merges, sdi_merge_fn fn,
                             void *user);

/* Sets `joined` to the token that a rule makes. */
sdiff_status sdi_merge_join(const sdi_merge *merge, sdi_strbuf *joined);

#endif
