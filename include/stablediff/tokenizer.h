/* SPDX-License-Identifier: MIT
 *
 * The CLIP tokenizer on its own.
 */
#ifndef STABLEDIFF_TOKENIZER_H
#define STABLEDIFF_TOKENIZER_H

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Opaque: a CLIP byte-pair vocabulary. Immutable; may be shared by threads. */
typedef struct sdiff_tokenizer sdiff_tokenizer;

/**
 * Opens a vocabulary: a folder with vocab.json and merges.txt (or tokenizer/ in it), or
 * bpe_simple_vocab_16e6.txt.gz.
 * @param tokenizer receives the handle, to be freed with sdiff_tokenizer_free(); NULL on failure
 * @return SDIFF_OK, IO, FORMAT, NO_MEMORY; text: sdiff_context_error()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_tokenizer_open(sdiff_context *context, const char *path,
                                            sdiff_tokenizer **tokenizer);

/** The tokenizer of a model; SDIFF_ERROR_UNSUPPORTED where the model came without a vocabulary.
 *  @since 1.0 */
SDIFF_API sdiff_status sdiff_tokenizer_of_model(sdiff_model *model, sdiff_tokenizer **tokenizer);

/** Frees a tokenizer; NULL is ignored. @since 1.0 */
SDIFF_API void sdiff_tokenizer_free(sdiff_tokenizer *tokenizer);

/**
 * Ids of a text, without begin and end marks, not truncated.
 * @param text     UTF-8; broken parts are read as U+FFFD
 * @param length   bytes of text (which may hold NUL), or (size_t)-1: up to the NUL
 * @param variant  sdiff_tokenizer_variant
 * @param ids      receives up to `capacity` ids; may be NULL if capacity is 0
 * @param count    receives the number of ids of the whole text, which may exceed capacity
 * @return SDIFF_OK, INVALID_ARGUMENT, LIMIT (a very long text), NO_MEMORY; text:
 *         sdiff_tokenizer_error()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_tokenizer_encode(sdiff_tokenizer *tokenizer, const char *text,
                                              size_t length, int32_t variant, int32_t *ids,
                                              int32_t capacity, int32_t *count);

/** Id of the begin mark. @since 1.0 */
SDIFF_API int32_t sdiff_tokenizer_bos(const sdiff_tokenizer *tokenizer);
SDIFF_API int32_t sdiff_tokenizer_eos(const sdiff_tokenizer *tokenizer); /**< end mark @since 1.0 */
/** The id that this model's prompts are padded with up to 77. @since 1.0 */
SDIFF_API int32_t sdiff_tokenizer_pad(const sdiff_tokenizer *tokenizer);

/** The sentence of the last failure on this tokenizer; "" if none. @since 1.0 */
SDIFF_API const char *sdiff_tokenizer_error(const sdiff_tokenizer *tokenizer);

#ifdef __cplusplus
}
#endif
#endif
