/* SPDX-License-Identifier: MIT
 *
 * The CLIP byte-pair tokenizer (Radford et al. 2021; openai/CLIP simple_tokenizer, Hugging Face
 * CLIPTokenizer). Text in, ids out, without BOS and EOS and untruncated; chunks and padding are the
 * business of the prompt code.
 */
#ifndef SDI_TEXT_TOKENIZER_H
#define SDI_TEXT_TOKENIZER_H

#include "base/env.h"

/* The programs that people use disagree on text that is not plain (docs/traps.md). */
typedef enum sdi_tokenizer_variant {
    SDI_TOKENIZER_HF_FAST = 0, // huggingface tokenizers: the default
    SDI_TOKENIZER_HF_SLOW = 1, // transformers CLIPTokenizer without ftfy
    SDI_TOKENIZER_OPENAI = 2   // openai/CLIP without ftfy (NFC only)
} sdi_tokenizer_variant;

typedef struct sdi_tokenizer sdi_tokenizer;

/* A growing list of ids; zero-initialise, free with sdi_ids_free. */
typedef struct sdi_ids {
    int32_t *ids;
    int32_t count, capacity;
} sdi_ids;

/* vocab.json and merges.txt as texts; the names are for errors. */
sdiff_status sdi_tokenizer_new_hf(const sdi_env *env, const char *vocab_name, const char *vocab,
                                  size_t vocab_size, const char *merges_name, const char *merges,
                                  size_t merges_size, sdi_tokenizer **out);
/* bpe_simple_vocab_16e6.txt.gz or its unpacked text. */
sdiff_status sdi_tokenizer_new_bpe(const sdi_env *env, const char *name, const void *bytes,
                                   size_t size, sdi_tokenizer **out);
/* A folder with vocab.json + merges.txt, one with tokenizer/ in it, one with the .gz, or the .gz
 * itself. SDIFF_ERROR_IO names what was looked for where nothing is found. */
sdiff_status sdi_tokenizer_open(const sdi_env *env, const char *path, sdi_tokenizer **out);
void sdi_tokenizer_free(const sdi_env *env, sdi_tokenizer *tokenizer);

int32_t sdi_tokenizer_vocab_size(const sdi_tokenizer *tokenizer); // largest id + 1
int32_t sdi_tokenizer_bos(const sdi_tokenizer *tokenizer);        // <|startoftext|>
int32_t sdi_tokenizer_eos(const sdi_tokenizer *tokenizer);        // <|endoftext|>
int32_t sdi_tokenizer_comma(const sdi_tokenizer *tokenizer);      // the word ","

/* Appends the ids of text[0..length). Broken UTF-8 is read as U+FFFD, one for each bad part as
 * Python does. Thread-safe: the tokenizer is not changed. */
sdiff_status sdi_tokenizer_encode(const sdi_env *env, const sdi_tokenizer *tokenizer,
                                  sdi_tokenizer_variant variant, const char *text, size_t length,
                                  sdi_ids *out);
sdiff_status sdi_ids_push(const sdi_env *env, sdi_ids *ids, int32_t id);
void sdi_ids_free(const sdi_env *env, sdi_ids *ids);

/* BOS, at most length - 2 ids, EOS, then pad up to `length` (77). Returns how many ids were cut. */
int32_t sdi_tokenizer_frame(const sdi_tokenizer *tokenizer, const sdi_ids *ids, int32_t pad,
                            int32_t length, int32_t *out);

#endif
