/* SPDX-License-Identifier: MIT
 *
 * The noise levels that a run visits and the timesteps the network is told there. Each family is
 * one original's set_timesteps().
 */
#ifndef SDI_SAMPLE_LEVELS_H
#define SDI_SAMPLE_LEVELS_H

#include "sample/sampler.h"
#include "sample/sigmas.h"

typedef enum sdi_family {
    SDI_FAMILY_DDIM,  // integer timesteps, state x = sqrt(a) x0 + sqrt(1 - a) noise: DDIM, DDPM,
                      // PNDM
    SDI_FAMILY_LCM,   // the same on every k-th of the 50 timesteps of distillation: LCM, TCD
    SDI_FAMILY_EULER, // sigmas at fractional timesteps, state x = x0 + sigma noise: Euler, Heun,
                      // LMS …
    SDI_FAMILY_DPM,   // DPM-Solver: n + 1 spaced timesteps of which the last is left out, state as
                      // DDIM
    SDI_FAMILY_DPM_SINGLE, // the same, always evenly from the last timestep
    SDI_FAMILY_K           // k-diffusion: sigmas first, state as Euler
} sdi_family;

/* The level behind the last evaluation, for SDI_FAMILY_DPM and _DPM_SINGLE. */
typedef enum sdi_final {
    SDI_FINAL_ZERO,
    SDI_FINAL_SIGMA_MIN // the lowest training level, also where the last evaluation is already
                        // there
} sdi_final;

typedef struct sdi_levels {
    int32_t steps;
    double *timesteps; // [steps]
    double *sigmas;    // [steps + 1], falling; the last may be 0 (DDIM and LCM: NULL)
    double init_sigma; // standard deviation of the start noise
    int32_t from_zero; // state x0 + sigma noise (else sqrt(a) x0 + sqrt(1 - a) noise)
} sdi_levels;

sdiff_status sdi_levels_new(const sdi_env *env, const sdi_sampler_params *params,
                            const sdi_sigma_table *table, sdi_family family, sdi_final final,
                            sdi_levels *levels);
void sdi_levels_free(const sdi_env *env, sdi_levels *levels);

/* "karras" …; SDI_SCHEDULE_KINDS if unknown. NULL means the default. */
sdi_schedule_kind sdi_schedule_find(const char *name);

#endif
