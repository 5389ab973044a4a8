/* SPDX-License-Identifier: MIT
 *
 * Noise levels sigma (x = x0 + sigma * noise) of the training timesteps, the map between both, and
 * the schedules that are written in sigmas (Karras et al. 2022; k-diffusion; ComfyUI; AYS).
 */
#ifndef SDI_SAMPLE_SIGMAS_H
#define SDI_SAMPLE_SIGMAS_H

#include "sample/schedule.h"

/* sigmas[t] = sqrt((1 - alphas_cumprod[t]) / alphas_cumprod[t]), rising with t. */
typedef struct sdi_sigma_table {
    int32_t count;
    double *alphas_cumprod;
    double *sigmas;
} sdi_sigma_table;

sdiff_status sdi_sigma_table_new(const sdi_env *env, const sdi_schedule_config *config,
                                 sdi_sigma_table *table);
void sdi_sigma_table_free(const sdi_env *env, sdi_sigma_table *table);

/* Between timesteps: linear in sigma (diffusers), linear in log sigma (k-diffusion). */
double sdi_sigma_at(const sdi_sigma_table *table, double t);
double sdi_sigma_at_log(const sdi_sigma_table *table, double t);
/* The inverse of sdi_sigma_at_log; levels beyond the table give its ends. */
double sdi_sigma_to_timestep(const sdi_sigma_table *table, double sigma);

typedef enum sdi_schedule_kind {
    SDI_SCHEDULE_DEFAULT,
    SDI_SCHEDULE_KARRAS,
    SDI_SCHEDULE_EXPONENTIAL,
    SDI_SCHEDULE_POLYEXPONENTIAL,
    SDI_SCHEDULE_SGM_UNIFORM,
    SDI_SCHEDULE_SIMPLE,
    SDI_SCHEDULE_BETA,
    SDI_SCHEDULE_AYS,
    SDI_SCHEDULE_TIME_UNIFORM,
    SDI_SCHEDULE_KINDS
} sdi_schedule_kind;

/* Those that need no table but only its ends: karras, exponential and polyexponential. */
typedef struct sdi_sigma_range {
    double min, max;
    double rho; // 0: the schedule's own
} sdi_sigma_range;

/* Writes n falling levels, then 0 (time_uniform: the lowest level): n + 1 numbers. The default is
 * k-diffusion's: timesteps evenly from the last to the first. */
void sdi_sigmas_fill(const sdi_sigma_table *table, sdi_schedule_kind kind,
                     const sdi_sigma_range *range, int32_t n, double *sigmas);

/* x with I_x(a, b) = p: the quantile of the beta distribution (sigmas_beta.c). */
double sdi_beta_quantile(double a, double b, double p);

#endif
