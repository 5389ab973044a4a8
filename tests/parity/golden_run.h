/* SPDX-License-Identifier: MIT
 *
 * Whole pictures through the public API against golden runs: the draws come from the golden file,
 * the latents after each step and the picture are compared with it.
 */
#ifndef TEST_GOLDEN_RUN_H
#define TEST_GOLDEN_RUN_H

#include "parity.h"

#include "stablediff/stablediff.h"

typedef struct golden_run {
    parity *p;
    sdiff_context *context;
    sdiff_model *model;
    sdiff_pipeline *pipeline;
    sdiff_generate_params request;
    double latent_tolerance, image_tolerance;
    int64_t shape[4]; // of noise.0: [b, c, h, w] of the latents
    int32_t image;    // whose draws are given, from 0
    int32_t steps;    // that were compared
    int32_t from_seed; // 1: draws come from request.seed
} golden_run;

/* `model` below shared/. The request has the defaults, literal prompts, and the sizes and draws of
 * the golden file that p holds. */
void golden_open(golden_run *r, parity *p, const char *model);
/* Makes the pictures; fails unless every step and the pictures agree. */
void golden_check(golden_run *r);
void golden_close(golden_run *r);

/* A context and a model for runs without goldens. */
void golden_open_model(golden_run *r, const char *model);
void golden_generate(golden_run *r); // fails with the pipeline's sentence

#endif
