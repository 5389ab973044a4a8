/* SPDX-License-Identifier: MIT
 *
 * Whole models through the public calls: open, run a component on golden or made-up tensors,
 * compare results with goldens or with each other.
 */
#ifndef TEST_PARITY_MODELS_H
#define TEST_PARITY_MODELS_H

#include "support/support.h"

#include "stablediff/stablediff.h"

sdiff_context *models_context(void); // float32 everywhere follows from models_open
/* `path` as it is; fails the test with the sentence. */
sdiff_model *models_open(sdiff_context *context, const char *path);
sdiff_tensors *models_tensors(sdiff_context *context);
sdiff_tensors *models_golden(sdiff_context *context, const char *shared);

/* Fails the test with the model's sentence unless status is SDIFF_OK. */
void models_ok(const sdiff_model *model, sdiff_status status);

/* Puts the tensor `from` of one set under the name `to` into another. */
void models_copy(sdiff_tensors *out, const char *to, sdiff_tensors *in, const char *from);
/* Numbers of a normal distribution under a name. */
void models_random(sdiff_tensors *out, const char *name, int32_t rank, const int64_t *shape,
                   int64_t seed);
float *models_values(sdiff_tensors *tensors, const char *name, size_t *count); // free()

/* Runs a component; the results (sdiff_tensors_free). */
sdiff_tensors *models_run(sdiff_context *context, sdiff_model *model, const char *component,
                          sdiff_tensors *in);

/* Whether two results hold the same bits. */
void models_same(sdiff_tensors *a, sdiff_tensors *b, const char *name);
/* Largest difference divided by the tolerance; at most 1, else the test fails. */
double models_compare(sdiff_tensors *got, const char *name, sdiff_tensors *golden,
                      const char *golden_name, double tolerance);

#endif
