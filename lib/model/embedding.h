/* SPDX-License-Identifier: MIT
 *
 * Textual inversion (Gal et al. 2022): vectors that stand in a prompt where a name is written, in
 * place of rows of the text encoder's table.
 *
 * Ids beyond the table stand for added vectors in the order in which they were added, as diffusers
 * numbers the tokens that it adds: with embeddings of 1 and 3 vectors on a table of 49408 rows the
 * ids are 49408 and 49409, 49410, 49411. A prompt's insertions (text/prompt.h) become such ids by
 * sdi_embeddings_first_id, and sdi_embeddings_rows turns all ids into the rows that the text
 * encoder, planned with from_embeddings, is given.
 */
#ifndef SDI_MODEL_EMBEDDING_H
#define SDI_MODEL_EMBEDDING_H

#include "model/model.h"

enum { SDI_EMBEDDING_VECTORS = 75 }; // more do not fit into one chunk of a prompt

typedef struct sdi_embedding {
    char *name;     // how prompts call it: "my-style", "<cat-toy>"
    float *vectors; // [count, width]
    int32_t count;  // 1 to SDI_EMBEDDING_VECTORS
    int32_t width;  // the text encoder's hidden size
} sdi_embedding;

/* Zeroed is an empty list. In the order in which they were added. */
typedef struct sdi_embeddings {
    sdi_embedding *items;
    int32_t count, capacity;
} sdi_embeddings;

/* Reads a file of any form: A1111's .pt (string_to_param, name) and .safetensors (emb_params), the
 * original .pt, diffusers' .bin and .safetensors (one tensor under the token's name), a bare
 * tensor. `name` overrides the file's own; where neither is there the file's name without its
 * ending is taken. Vectors of another width than `width` are refused with both numbers. */
sdiff_status sdi_embedding_read(const sdi_env *env, const char *path, const char *name,
                                int32_t width, sdi_embedding *out);
void sdi_embedding_free(const sdi_env *env, sdi_embedding *embedding); // zeroed is allowed

/* Takes the embedding over, also on failure. A name that is there already is refused. */
sdiff_status sdi_embeddings_add(const sdi_env *env, sdi_embeddings *list,
                                sdi_embedding *embedding);
void sdi_embeddings_free(const sdi_env *env, sdi_embeddings *list); // and zeroes it
int32_t sdi_embeddings_find(const sdi_embeddings *list, const char *name); // -1: absent

/* The id of the first vector of one embedding, for a table of vocab_size rows. */
int32_t sdi_embeddings_first_id(const sdi_embeddings *list, int32_t vocab_size, int32_t index);

/* Rows [count, hidden_size] for ids of the text encoder's table and beyond it: the values of the
 * input "embeddings" of a plan with from_embeddings. An id that is neither is refused. */
sdiff_status sdi_embeddings_rows(const sdi_env *env, const sdi_model *model,
                                 const sdi_embeddings *list, const int32_t *ids, int64_t count,
                                 float *out);

#endif
