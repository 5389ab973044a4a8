/* SPDX-License-Identifier: MIT
 *
 * Samplers, driven step by step by the host: with networks of this library or with any other model.
 *
 *     sdiff_sampler_begin(s, x);
 *     while (sdiff_sampler_request(s, input, &timestep, &sigma)) {
 *         ... output = network(input, timestep) ...
 *         sdiff_sampler_supply(s, output);
 *     }
 *     sdiff_sampler_latents(s)
 */
#ifndef STABLEDIFF_SAMPLER_H
#define STABLEDIFF_SAMPLER_H

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Opaque: one run of a sampler. */
typedef struct sdiff_sampler sdiff_sampler;

/** Timestep spacing, as diffusers' timestep_spacing. */
typedef enum sdiff_spacing {
    SDIFF_SPACING_MODEL = 0, /**< as the model's scheduler configuration, else leading */
    SDIFF_SPACING_LEADING = 1,
    SDIFF_SPACING_LINSPACE = 2,
    SDIFF_SPACING_TRAILING = 3,
    SDIFF_SPACING_FORCE_INT32 = 0x7fffffff
} sdiff_spacing;

/**
 * Fills `out` with `count` standard normal numbers for the draw-th draw of a run, counted from 0.
 * Non-zero stops the run.
 */
typedef int (*sdiff_noise_fn)(void *user, int64_t draw, float *out, size_t count);

/** Fill with sdiff_sampler_params_init(). @since 1.0 */
typedef struct sdiff_sampler_params {
    size_t struct_size;   /**< sizeof(sdiff_sampler_params), set by the init function */
    const char *name;     /**< "ddim", "euler", "euler_a", "dpmpp_2m", … default "euler" */
    const char *schedule; /**< "default", "karras", … default "default" */
    size_t count;         /**< numbers in the latents; must be set */
    double eta;           /**< negative (default): the sampler's own */
    double strength;      /**< 0 … 1 (default): the part of the steps that is run */
    double beta_start;    /**< 0.00085 */
    double beta_end;      /**< 0.012 */
    const double *sigmas; /**< custom noise levels, falling, the last one 0; NULL (default): none */
    sdiff_noise_fn noise; /**< NULL (default): drawn by the library from `seed` */
    void *noise_user;     /**< first argument of `noise` */
    int64_t seed;         /**< for `noise` NULL, default 0 */
    int32_t steps;        /**< 1 … 10000, default 20 */
    int32_t train_timesteps; /**< 1000 */
    int32_t prediction;   /**< sdiff_prediction, default EPSILON */
    int32_t spacing;      /**< sdiff_spacing, default LEADING */
    int32_t steps_offset; /**< 1 */
    int32_t sigma_count;  /**< values in `sigmas` */
} sdiff_sampler_params;

/** Writes the defaults; see sdiff_context_params_init(). @since 1.0 */
SDIFF_API void sdiff_sampler_params_init(sdiff_sampler_params *params, size_t struct_size);

/**
 * Makes a sampler.
 * @param params  copied; names and `sigmas` are not needed later
 * @param sampler receives the handle, to be freed with sdiff_sampler_free(); NULL on failure
 * @return SDIFF_OK, INVALID_ARGUMENT (an unknown name, `count` 0, a number out of range),
 *         UNSUPPORTED, NO_MEMORY; text: sdiff_context_error()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_sampler_new(sdiff_context *context,
                                         const sdiff_sampler_params *params,
                                         sdiff_sampler **sampler);
/** NULL is ignored. @since 1.0 */
SDIFF_API void sdiff_sampler_free(sdiff_sampler *sampler);

/** Steps that will be run: those of `steps` that `strength` leaves. @since 1.0 */
SDIFF_API int32_t sdiff_sampler_steps(const sdiff_sampler *sampler);
/** Model evaluations of a whole run. @since 1.0 */
SDIFF_API int32_t sdiff_sampler_evaluations(const sdiff_sampler *sampler);
/** Standard normal noise is multiplied by this to become the start. @since 1.0 */
SDIFF_API double sdiff_sampler_init_sigma(const sdiff_sampler *sampler);

/** Forward diffusion of clean latents to the level at which `step` starts, 0 … the number of steps
 *  (clean); each `count` numbers. INVALID_ARGUMENT: no such step. @since 1.0 */
SDIFF_API sdiff_status sdiff_sampler_add_noise(sdiff_sampler *sampler, int32_t step,
                                               const float *clean, const float *noise, float *out);

/** Starts a run from x, `count` numbers, which are copied: noise times sdiff_sampler_init_sigma(),
 *  or the result of sdiff_sampler_add_noise(). A run may be begun again. @since 1.0 */
SDIFF_API sdiff_status sdiff_sampler_begin(sdiff_sampler *sampler, const float *x);

/**
 * Asks for the next evaluation of the model.
 * @param input    receives `count` numbers: what the network is given
 * @param timestep receives the time the network is given (may be fractional)
 * @param sigma    receives the noise level; may be NULL
 * @return 1: evaluate and call sdiff_sampler_supply(); 0: the run has ended
 * @since 1.0
 */
SDIFF_API int sdiff_sampler_request(sdiff_sampler *sampler, float *input, double *timestep,
                                    double *sigma);
/**
 * Gives the model's output for the last request, `count` numbers.
 * @return SDIFF_OK, INVALID_ARGUMENT (nothing was asked for), CANCELLED (by the noise callback);
 *         text: sdiff_sampler_error()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_sampler_supply(sdiff_sampler *sampler, const float *model_output);
/** 1 if the last supply ended a step (two-stage samplers need several). @since 1.0 */
SDIFF_API int sdiff_sampler_stepped(const sdiff_sampler *sampler);
/** The present latents, `count` numbers; may be changed between steps. @since 1.0 */
SDIFF_API float *sdiff_sampler_latents(sdiff_sampler *sampler);
/** The clean latents predicted at the last evaluation, `count` numbers, owned by the sampler.
 *  @since 1.0 */
SDIFF_API const float *sdiff_sampler_predicted_x0(const sdiff_sampler *sampler);

/** The index-th sampler's name, NULL behind the last. @since 1.0 */
SDIFF_API const char *sdiff_sampler_name(int32_t index);
/** The index-th schedule's name, NULL behind the last. @since 1.0 */
SDIFF_API const char *sdiff_schedule_name(int32_t index);

/** The sentence of the last failure on this sampler; "" if none. @since 1.0 */
SDIFF_API const char *sdiff_sampler_error(const sdiff_sampler *sampler);

/** Random number generators whose streams match other programs' seeds. */
typedef enum sdiff_rng {
    SDIFF_RNG_TORCH = 0,  /**< torch.randn on the CPU (mt19937): diffusers, ComfyUI */
    SDIFF_RNG_PHILOX = 1, /**< torch.randn on CUDA: A1111's "GPU" and "NV" */
    SDIFF_RNG_FORCE_INT32 = 0x7fffffff
} sdiff_rng;

/** The first `count` standard normal numbers of a generator as one draw; `rng` is an sdiff_rng.
 *  @return SDIFF_OK, INVALID_ARGUMENT @since 1.0 */
SDIFF_API sdiff_status sdiff_randn(int32_t rng, int64_t seed, float *out, size_t count);

#ifdef __cplusplus
}
#endif
#endif
