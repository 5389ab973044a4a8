/* SPDX-License-Identifier: MIT
 *
 * A sampler, written as a table: one row for each evaluation of the network, in order.
 *
 * Every solver here is linear in the arrays it touches: its coefficients depend on the schedule
 * only, never on latents. So a sampler is a function that writes rows of coefficients, in double
 * precision, and one loop (sampler.c) carries all of them out. For a row, with `out` what the
 * network returned, the loop does
 *
 *     x0     = row.x0     of (x, out)              what the network thinks the clean latents are
 *     m0     = row.keep   of (x, x0, out)          pushed on the history m0, m1, m2, m3 if
 * row.keeps anchor = row.anchor of all of these          if row.anchors: a state that later rows go
 * back to x      = row.next   of all of these, noise   where the next evaluation happens
 *
 * The states are either x0 + sigma * noise or sqrt(a) * x0 + sqrt(1 - a) * noise.
 */
#ifndef SDI_SAMPLE_PLAN_H
#define SDI_SAMPLE_PLAN_H

#include "sample/levels.h"

enum { SDI_HISTORY = 4 };

typedef enum sdi_operand {
    SDI_OP_X,      // the state that was evaluated
    SDI_OP_ANCHOR, // a state kept by an earlier row (in `anchor`: before this row changes it)
    SDI_OP_X0,     // clean latents as predicted now, clipped if the configuration says so
    SDI_OP_OUT,    // the network's output
    SDI_OP_M0,     // history, newest first
    SDI_OP_M1,
    SDI_OP_M2,
    SDI_OP_M3,
    SDI_OP_NOISE, // standard normal, drawn for this row
    SDI_OPERANDS
} sdi_operand;

typedef struct sdi_form {
    double c[SDI_OPERANDS];
} sdi_form;

typedef struct sdi_row {
    double timestep, sigma;
    double input;  // the network is given input * x
    double before; // noise added to x before the evaluation (s_churn, restart)
    sdi_form x0, keep, anchor, next;
    double noise_from, noise_to; // SDE solvers: levels whose way the noise belongs to; else 0
    int32_t step;
    uint8_t keeps, anchors, draws, ends_step;
} sdi_row;

/* A noise level in both notations. */
typedef struct sdi_level {
    double timestep;
    double sigma;         // of x0 + sigma * noise
    double alpha, signal; // alpha = sqrt(signal), signal = alphas_cumprod there
    double spread;        // sqrt(1 - signal) = sigma * alpha
    double lambda;        // log(alpha / spread) = -log(sigma): +infinity where sigma is 0
} sdi_level;

typedef struct sdi_plan {
    const sdi_env *env;
    const sdi_sampler_params *params;
    const sdi_sigma_table *table;
    const sdi_levels *levels;
    int32_t first;  // step that the run starts with (strength)
    double eta;     // as asked for or the sampler's default
    int diffusers;  // draws noise where diffusers' scheduler does, used or not
    double s_noise; // 1 unless asked for
    int32_t order;  // variants of one solver: what their registry entry says
    int32_t variant;
    sdi_row *rows;
    int32_t count, capacity;
    sdi_row spare; // taken by writers after an allocation failed
    sdiff_status status;
} sdi_plan;

/* Starts a row: fills level, input scale and x0; the writer fills the rest. Never NULL: a failure
 * sticks in plan->status. The pointer holds until the next row is started. */
sdi_row *sdi_plan_row(sdi_plan *plan, int32_t step, const sdi_level *level);

/* Level of a step's start (step == levels->steps: behind the last), of a sigma, of a timestep. */
sdi_level sdi_plan_level(const sdi_plan *plan, int32_t step);
sdi_level sdi_plan_level_at(const sdi_plan *plan, double sigma);
/* A step's start after s_churn; *before is the noise that lifts the state to it, mostly 0. */
sdi_level sdi_plan_churned(const sdi_plan *plan, int32_t step, double *before);
sdi_level sdi_level_of_signal(double timestep, double signal);

/* Predicted noise in terms of x and out: never of x0, which may be clipped. */
sdi_form sdi_plan_epsilon(const sdi_plan *plan, const sdi_level *level);
/* (x - x0) / sigma: the slope dx/dsigma of states x0 + sigma * noise, also from a clipped x0. */
sdi_form sdi_slope(double sigma);

void sdi_form_add(sdi_form *form, double factor, const sdi_form *other);

/* Splits sigma_next into a deterministic part and fresh noise (k-diffusion's ancestral step). */
void sdi_ancestral_step(double sigma, double sigma_next, double eta, double *down, double *up);

/* Variants of the DPM solvers. */
enum { SDI_DPM_HEUN = 1, SDI_DPM_NOISE = 2, SDI_DPM_SDE = 4 };

/* One DPM-Solver step of order 1 to 3 from level exp(-t) to exp(-(t + h)), with as many rows. */
void sdi_plan_dpm_step(sdi_plan *plan, int32_t step, double t, double h, int32_t order);

/* One function a sampler; each is declared here and defined in its own file. */
void sdi_plan_ddim(sdi_plan *plan);
void sdi_plan_ddpm(sdi_plan *plan);
void sdi_plan_pndm(sdi_plan *plan);
void sdi_plan_lcm(sdi_plan *plan);
void sdi_plan_k_lcm(sdi_plan *plan);
void sdi_plan_tcd(sdi_plan *plan);
void sdi_plan_euler(sdi_plan *plan);
void sdi_plan_euler_a(sdi_plan *plan);
void sdi_plan_heun(sdi_plan *plan);
void sdi_plan_restart(sdi_plan *plan);
void sdi_plan_dpm2(sdi_plan *plan);
void sdi_plan_dpm2_a(sdi_plan *plan);
void sdi_plan_lms(sdi_plan *plan);
void sdi_plan_dpmpp_2s_a(sdi_plan *plan);
void sdi_plan_dpmpp_sde(sdi_plan *plan);
void sdi_plan_dpmpp_2m_sde(sdi_plan *plan);
void sdi_plan_dpmpp_3m_sde(sdi_plan *plan);
void sdi_plan_dpm_fast(sdi_plan *plan);
void sdi_plan_dpm_adaptive(sdi_plan *plan);
void sdi_plan_dpm_multistep(sdi_plan *plan);
void sdi_plan_dpm_single(sdi_plan *plan);
void sdi_plan_unipc(sdi_plan *plan);
void sdi_plan_deis(sdi_plan *plan);

#endif
