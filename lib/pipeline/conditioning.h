/* SPDX-License-Identifier: MIT
 *
 * What the U-Net is told: the contexts of all texts that a prompt and its negative stand for, and
 * which of them hold at which step with which weight.
 *
 *     prompt --AND--> sub-prompts --schedule--> texts --chunks--> rows of 77 ids --encoder-->
 *     contexts [texts, tokens, width] --emphasis--> weighted contexts
 */
#ifndef SDI_PIPELINE_CONDITIONING_H
#define SDI_PIPELINE_CONDITIONING_H

#include "model/embedding.h"
#include "pipeline/text_encode.h"
#include "text/emphasis.h"
#include "text/prompt.h"

/* Prompts without the language: literal texts, one chunk, cut at 75 tokens. */
enum { SDI_EMPHASIS_NONE = 4 };

typedef struct sdi_text_request {
    const char *prompt, *negative; // never NULL
    int32_t steps;
    int32_t clip_skip;
    int32_t emphasis; // sdi_emphasis or SDI_EMPHASIS_NONE
    const sdi_embedding *embeddings; // textual inversions that prompts may name
    int32_t embedding_count;
} sdi_text_request;

/* A text holds up to and including a step, counted from 1. */
typedef struct sdi_stage {
    int32_t last_step, text;
} sdi_stage;

typedef struct sdi_side {
    double weight;
    sdi_stage *stages;
    int32_t count;
} sdi_side;

typedef struct sdi_conditioning {
    sdi_session *session;
    sdi_prompt_chunks *texts; // [text_count], all with the same number of chunks
    int32_t text_count, text_capacity;
    sdi_side *sides; // [0]: negative; [1…]: sub-prompts
    int32_t side_count;
    int32_t tokens, width; // of a context
    int32_t emphasis;
    sdi_plan *plan; // of the text encoder
    float *contexts; // [text_count, tokens, width], after sdi_conditioning_encode
} sdi_conditioning;

/* Reads the prompts: afterwards the number of tokens is known and the encoder is planned. */
sdiff_status sdi_conditioning_read(sdi_conditioning *c, sdi_session *session,
                                   const sdi_text_request *request);
/* Runs the text encoder; the session is reserved. */
sdiff_status sdi_conditioning_encode(sdi_conditioning *c, const sdi_text_request *request);
void sdi_conditioning_free(sdi_conditioning *c);

double sdi_conditioning_work(const sdi_conditioning *c); // floating-point operations
/* The text of a side at a step, counted from 0. */
int32_t sdi_conditioning_text_at(const sdi_conditioning *c, int32_t side, int32_t step);

#endif
