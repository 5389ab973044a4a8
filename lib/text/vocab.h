/* SPDX-License-Identifier: MIT
 *
 * A vocabulary while a tokenizer is being built: tokens and their ids.
 */
#ifndef SDI_TEXT_VOCAB_H
#define SDI_TEXT_VOCAB_H

#include "base/env.h"

typedef struct sdi_vocab sdi_vocab;

/* An empty vocabulary; `name` (of the file) is for errors and must outlive it. */
sdiff_status sdi_vocab_new(const sdi_env *env, const char *name, sdi_vocab **out);
/* vocab.json: an object of token: id. Refuses what is no id, ids used twice, an empty object. */
sdiff_status sdi_vocab_from_json(const sdi_env *env, const char *name, const char *text,
                                 size_t size, sdi_vocab **out);
void sdi_vocab_free(const sdi_env *env, sdi_vocab *vocab); // NULL is allowed

/* Adds a token under the next free id; a token that is already there is refused. */
sdiff_status sdi_vocab_append(const sdi_env *env, sdi_vocab *vocab, const char *token,
                              size_t length);

int32_t sdi_vocab_find(const sdi_vocab *vocab, const char *token, size_t length); // -1: absent
int32_t sdi_vocab_size(const sdi_vocab *vocab);                                   // largest id + 1
const char *sdi_vocab_name(const sdi_vocab *vocab);

#endif
