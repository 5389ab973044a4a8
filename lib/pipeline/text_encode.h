/* SPDX-License-Identifier: MIT
 *
 * The text encoder on rows of 77 ids, any number of them, with vectors of textual inversions put
 * in the place of token embeddings.
 */
#ifndef SDI_PIPELINE_TEXT_ENCODE_H
#define SDI_PIPELINE_TEXT_ENCODE_H

#include "pipeline/session.h"

/* `count` vectors of the model's width replace the token embeddings of a row from `offset` on. */
typedef struct sdi_vectors_at {
    int32_t row, offset, count;
    const float *vectors; // [count, width]
} sdi_vectors_at;

/* Plans the encoder for `rows` rows, so that its memory can be reserved. */
sdiff_status sdi_text_plan(sdi_session *session, int32_t rows, int32_t clip_skip, int with_vectors,
                           sdi_plan **out);
/* Contexts [rows, positions, width] of ids [rows, positions]. Reserves what is missing. */
sdiff_status sdi_text_run(sdi_session *session, int32_t clip_skip, const int32_t *ids,
                          int32_t rows, const sdi_vectors_at *vectors, int32_t vector_count,
                          float *contexts);
/* Floating-point operations of that. */
double sdi_text_work(const sdi_plan *plan, int32_t rows);

#endif
