/* SPDX-License-Identifier: MIT
 *
 * Samplers of the reverse diffusion, driven from outside: a sampler asks for evaluations of the
 * model one after the other, whoever computes them. It knows no network.
 *
 *     sdi_sampler_begin(env, s, noise);
 *     while (sdi_sampler_request(s, input, &ask)) {       // ask.timestep, ask.sigma
 *         model_output = network(input, ask.timestep);    // epsilon, v or x0 prediction
 *         sdi_sampler_supply(env, s, model_output);
 *         if (sdi_sampler_stepped(s)) ...                 // a whole step ended: latents, x0
 *     }
 */
#ifndef SDI_SAMPLE_SAMPLER_H
#define SDI_SAMPLE_SAMPLER_H

#include "sample/schedule.h"

typedef struct sdi_sampler sdi_sampler;

/* Fills `out` with `count` standard normal numbers: the draw-th draw of this run, from 0. */
typedef sdiff_status (*sdi_noise_fn)(void *user, int64_t draw, float *out, size_t count);

typedef struct sdi_sampler_params {
    const char *name;           // "ddim", "euler", "euler_a", "dpmpp_2m", … (docs/samplers.md)
    const char *schedule;       // "default", "karras", "exponential", … NULL: "default"
    sdi_schedule_config config; // betas, prediction, spacing: what the model was trained with
    int32_t steps;              // 1 … SDI_MAX_STEPS, as the user asks for
    double strength;            // 1: from pure noise; below (image to image): the last part only
    double eta;                 // DDIM, ancestral and SDE samplers; negative: the sampler's default
    const double *sigmas;       // custom schedule of the host, `sigma_count` values, or NULL
    int32_t sigma_count;
    size_t count;       // numbers in the latents of one run (batch * c * h * w)
    sdi_noise_fn noise; // may be NULL for samplers that draw none
    void *noise_user;
    double rho;     // of the karras (0: 7) and polyexponential (0: 1) schedules
    double s_churn; // k_euler, k_heun, k_dpm2: noise before steps (Karras et al. 2022); 0: none
    double s_tmin, s_tmax;   // noise levels where s_churn applies; s_tmax 0: no upper end
    double s_noise;          // factor of all noise that k-diffusion samplers add; 0: 1
    int32_t final_sigma_min; // where DPM-Solver and UniPC end: 0: the sampler's own way, 1: at the
                             // lowest training level, 2: at 0 (where the solver can)
    const uint64_t *path_seeds; // SDE samplers but diffusers' dpmpp_2m_sde take noise from one
    int32_t path_count;         // Brownian path an image (`count` / path_count numbers each), as
                                // k-diffusion does, instead of from `noise`; NULL: from `noise`
} sdi_sampler_params;

enum { SDI_MAX_STEPS = 10000 };

typedef struct sdi_ask {
    int32_t step;    // from 0; several requests may have the same step (Heun, DPM2)
    int32_t steps;   // total (k_dpm_adaptive: as many as are known by now)
    double timestep; // what the network is given; fractional for k-diffusion forms
    double sigma;    // noise level in the form x = x0 + sigma * noise
} sdi_ask;

sdiff_status sdi_sampler_new(const sdi_env *env, const sdi_sampler_params *params,
                             sdi_sampler **out);
void sdi_sampler_free(const sdi_env *env, sdi_sampler *sampler);

int32_t sdi_sampler_steps(const sdi_sampler *sampler);       // after strength
int32_t sdi_sampler_evaluations(const sdi_sampler *sampler); // requests of a whole run
// (both are 0 for k_dpm_adaptive, which cannot know them, and where strength leaves no step)
double sdi_sampler_init_sigma(const sdi_sampler *sampler); // the start noise is scaled by it
int32_t sdi_sampler_timesteps(const sdi_sampler *sampler, double *out, int32_t capacity);

/* The state at the start of the run for image to image: x = forward diffusion of clean latents to
 * the first level. `noise` is standard normal. Also used by inpainting with the level of any step
 * (step == steps: the clean latents). */
void sdi_sampler_add_noise(const sdi_sampler *sampler, int32_t step, const float *clean,
                           const float *noise, float *out);

/* Starts a run from x (already scaled by init_sigma, or from add_noise). */
sdiff_status sdi_sampler_begin(const sdi_env *env, sdi_sampler *sampler, const float *x);
/* 1: fills input (scaled as the network wants it) and ask. 0: the run has ended. */
int sdi_sampler_request(sdi_sampler *sampler, float *input, sdi_ask *ask);
sdiff_status sdi_sampler_supply(const sdi_env *env, sdi_sampler *sampler,
                                const float *model_output);
int sdi_sampler_stepped(const sdi_sampler *sampler);               // the last supply ended a step
float *sdi_sampler_latents(sdi_sampler *sampler);                  // state after it; may be changed
const float *sdi_sampler_predicted_x0(const sdi_sampler *sampler); // at the last evaluation

/* Names in the order of docs/samplers.md; NULL behind the last. */
const char *sdi_sampler_name_at(int32_t index);
const char *sdi_sampler_schedule_at(int32_t index);

#endif
