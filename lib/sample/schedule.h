/* SPDX-License-Identifier: MIT
 *
 * Noise schedules: betas and their products in double precision, timesteps and sigmas
 * (Ho et al. 2020; Karras et al. 2022; diffusers' schedulers; k-diffusion).
 */
#ifndef SDI_SAMPLE_SCHEDULE_H
#define SDI_SAMPLE_SCHEDULE_H

#include "base/env.h"

typedef enum sdi_prediction {
    SDI_PREDICT_EPSILON = 0,
    SDI_PREDICT_V = 1,
    SDI_PREDICT_SAMPLE = 2
} sdi_prediction;

typedef enum sdi_beta_schedule {
    SDI_BETA_SCALED_LINEAR = 0, // linear in sqrt(beta): Stable Diffusion
    SDI_BETA_LINEAR = 1,
    SDI_BETA_COSINE = 2 // squaredcos_cap_v2
} sdi_beta_schedule;

typedef enum sdi_spacing {
    SDI_SPACING_LEADING = 0,
    SDI_SPACING_LINSPACE = 1,
    SDI_SPACING_TRAILING = 2
} sdi_spacing;

enum { SDI_MAX_TRAIN_TIMESTEPS = 100000 };

typedef struct sdi_schedule_config {
    int32_t train_timesteps;     // 1000
    double beta_start, beta_end; // 0.00085, 0.012
    sdi_beta_schedule beta_schedule;
    sdi_prediction prediction;
    sdi_spacing spacing;
    int32_t steps_offset; // 1
    int32_t set_alpha_to_one;
    int32_t zero_terminal_snr; // rescale_betas_zero_snr
    int32_t clip_sample;       // DDPM/DDIM of pixel-space models: clamp predicted x0
    double clip_sample_range;  // 1.0
    int32_t final_sigma_min;   // as in sdi_sampler_params
} sdi_schedule_config;

/* Stable Diffusion's published values, leading spacing, epsilon. */
void sdi_schedule_config_init(sdi_schedule_config *config);

/* Cumulative products of alphas, [train_timesteps]; refuses impossible configurations. They
 * fall strictly and stay above 0, but for the last with zero_terminal_snr, which is exactly 0. */
sdiff_status sdi_schedule_alphas(const sdi_env *env, const sdi_schedule_config *config,
                                 double *alphas_cumprod);

#endif
