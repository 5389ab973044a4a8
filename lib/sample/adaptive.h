/* SPDX-License-Identifier: MIT
 *
 * The one sampler whose rows depend on latents: DPM-Solver-adaptive chooses each step's length from
 * the difference of two orders. Its table holds the three rows of one attempt and is written anew
 * after each.
 */
#ifndef SDI_SAMPLE_ADAPTIVE_H
#define SDI_SAMPLE_ADAPTIVE_H

#include "sample/plan.h"

typedef struct sdi_adaptive {
    double t, t_end; // t = -log sigma
    double h;        // length of the next attempt
    double way;      // length of the one under way
    int32_t accepted, attempts;
    float *previous; // lower-order result of the last accepted attempt, [count]
} sdi_adaptive;

/* Starts a run at the plan's first level and writes the first attempt's rows. */
void sdi_adaptive_begin(sdi_plan *plan, sdi_adaptive *adaptive, const float *x, size_t count);

/* After the last row of an attempt, with the operands' arrays: accepts it or takes x back, then
 * writes the next rows, or none at the end. `*accepted` tells whether a step ended. */
sdiff_status sdi_adaptive_next(const sdi_env *env, sdi_plan *plan, sdi_adaptive *adaptive,
                               float *const arrays[SDI_OPERANDS], size_t count, int *accepted);

#endif
