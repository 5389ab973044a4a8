/* SPDX-License-Identifier: MIT
 *
 * Byte-pair encoding (Sennrich et al. 2016, on bytes as in GPT-2): merges the pieces of a word by
 * rank until no rule applies.
 */
#ifndef SDI_TEXT_BPE_H
#define SDI_TEXT_BPE_H

#include "text/merges.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

typedef struct sdi_bpe sdi_bpe;

/* Each byte is written as one printable character (GPT-2's table): itself where it prints in ISO
 * 8859-1, else U+0100 and following. Returns the UTF-8 length (1 or 2). */
size_t sdi_bpe_symbol(unsigned char byte, unsigned char utf8[4]);
/* All bytes in the order of the ids of CLIP's vocabulary: those that print first. */
void sdi_bpe_byte_order(unsigned char order[256]);

/* Every token of a rule, and what it makes, must be in the vocabulary. The vocabulary is not kept.
 * `unknown` is the id of bytes that the vocabulary lacks. */
sdiff_status sdi_bpe_new(const sdi_env *env, const sdi_vocab *vocab, const sdi_merges *merges,
                         int32_t unknown, sdi_bpe **out);
void sdi_bpe_free(const sdi_env *env, sdi_bpe *bpe); // NULL is allowed

/* The id of a word of one byte. */
int32_t sdi_bpe_last_id(const sdi_bpe *bpe, unsigned char byte);

/* Working memory of one encode call; zero-initialise. */
typedef struct sdi_bpe_scratch {
    void *memory;
    size_t capacity; // bytes of the longest word so far
} sdi_bpe_scratch;
void sdi_bpe_scratch_free(const sdi_env *env, sdi_bpe_scratch *scratch);

/* Appends the ids of one word (its last byte takes the "</w>" form). O(n log n). */
sdiff_status sdi_bpe_encode(const sdi_env *env, const sdi_bpe *bpe, sdi_bpe_scratch *scratch,
                            const unsigned char *word, size_t length, sdi_ids *out);

#endif
