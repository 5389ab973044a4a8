/* SPDX-License-Identifier: MIT
 *
 * The pipeline: a prompt in, pictures out.
 */
#ifndef STABLEDIFF_PIPELINE_H
#define STABLEDIFF_PIPELINE_H

#include "sampler.h"
#include "vae.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Opaque: working memory and results of one user of a model; one thread at a time. */
typedef struct sdiff_pipeline sdiff_pipeline;

/** The state after a step, given to sdiff_step_fn; owned by the library, valid during the call. */
typedef struct sdiff_step {
    size_t struct_size;      /**< bytes of this struct that the library filled */
    const float *latents;    /**< [channels, height, width], noisy, after the step */
    const float *predicted_x0; /**< the same shape: the clean latents predicted in this step */
    double timestep;         /**< time the U-Net was given in this step */
    double sigma;            /**< noise level at the start of the step, x = x0 + sigma * noise */
    double seconds;          /**< duration of the step */
    int32_t image;           /**< index of the picture, from 0 */
    int32_t step;            /**< from 0 */
    int32_t steps;           /**< of this picture; adaptive samplers find their number on the way:
                                  then those known so far */
    int32_t channels, height, width; /**< shape of the latents */
} sdiff_step;

/** Called after each step on the calling thread. 0: go on; else the call returns
 *  SDIFF_ERROR_CANCELLED. Must not call functions of the same pipeline. */
typedef int (*sdiff_step_fn)(void *user, const sdiff_step *step);

/** Progress of the whole call in units of real work, so that equal parts take equal time. */
typedef struct sdiff_progress {
    size_t struct_size; /**< bytes of this struct that the library filled */
    double fraction;    /**< 0 … 1 of the floating-point work of the call */
    double seconds;     /**< since the call began */
    int32_t phase;      /**< 0: text and given pictures, 1: denoising, 2: decoding */
    int32_t image;      /**< index of the picture, from 0 */
    int32_t step;       /**< the present step, from 0 */
    int32_t steps;      /**< of this picture */
} sdiff_progress;

/** Called many times a second at most; return value as of sdiff_step_fn. */
typedef int (*sdiff_progress_fn)(void *user, const sdiff_progress *progress);

/**
 * Guidance for one step, called before each evaluation of the U-Net: return the CFG scale to use.
 * `step` counts from 0; `cfg_scale` is the value of the request.
 */
typedef double (*sdiff_cfg_fn)(void *user, int32_t step, int32_t steps, double cfg_scale);

/** One evaluation of the U-Net, given to sdiff_guide_fn; owned by the library. */
typedef struct sdiff_guide {
    size_t struct_size;  /**< bytes of this struct that the library filled */
    const float *sample; /**< [channels, height, width]: what the U-Net saw,
                              x = (x0 + sigma * noise) / sqrt(1 + sigma^2) */
    float *noise;        /**< the same shape: the predicted noise after classifier-free guidance, to
                              be changed in place */
    double timestep;     /**< time the U-Net was given */
    double sigma;        /**< noise level */
    int32_t image;       /**< index of the picture, from 0 */
    int32_t step, steps; /**< from 0 */
    int32_t channels, height, width;
} sdiff_guide;

/**
 * Classifier guidance (Dhariwal & Nichol 2021): called after each evaluation; subtracts
 * s * sqrt(1 - alpha_bar) * gradient of log p(y | sample) from `noise`, where
 * sqrt(1 - alpha_bar) = sigma / sqrt(1 + sigma^2). Non-zero stops the call.
 */
typedef int (*sdiff_guide_fn)(void *user, const sdiff_guide *guide);

/** What brackets in prompts do. */
typedef enum sdiff_emphasis {
    SDIFF_EMPHASIS_ORIGINAL = 0,    /**< as A1111: multiply, then restore the mean of the chunk */
    SDIFF_EMPHASIS_NO_NORM = 1,     /**< multiply */
    SDIFF_EMPHASIS_INTERPOLATE = 2, /**< as ComfyUI: from the empty prompt by the weight */
    SDIFF_EMPHASIS_IGNORE = 3,      /**< brackets are read, but have no effect */
    SDIFF_EMPHASIS_NONE = 4,        /**< as diffusers: prompts are literal and cut at 75 tokens,
                                         clip skip holds for the prompt and not for the negative
                                         one */
    SDIFF_EMPHASIS_FORCE_INT32 = 0x7fffffff
} sdiff_emphasis;

/** How a picture becomes latents: the encoder gives a normal distribution of them. */
typedef enum sdiff_encode {
    SDIFF_ENCODE_SAMPLE = 0, /**< drawn from it, as diffusers does: takes one draw of noise */
    SDIFF_ENCODE_MODE = 1,   /**< its mean, the same for every seed */
    SDIFF_ENCODE_FORCE_INT32 = 0x7fffffff
} sdiff_encode;

/** A request. Fill with sdiff_generate_params_init(). @since 1.0 */
typedef struct sdiff_generate_params {
    size_t struct_size;          /**< sizeof(sdiff_generate_params), set by the init function */
    const char *prompt;          /**< UTF-8; NULL or "": the empty prompt */
    const char *negative_prompt; /**< UTF-8; NULL or "" (default): the empty prompt */
    const char *sampler;         /**< sdiff_sampler_name(); NULL (default): "dpmpp_2m" */
    const char *schedule;        /**< sdiff_schedule_name(); NULL (default): "default" */
    const float *image;          /**< the picture to start from or to repaint, [3, height, width] in
                                      [0, 1], see sdiff_image_to_planes(); NULL (default): none */
    const float *mask;           /**< inpainting: [height, width], 1: make anew, 0: keep, between:
                                      mix at the end (the model sees 1 from 0.5); needs `image`;
                                      NULL (default): none */
    const float *depth;          /**< for depth-to-image models: inverse depth (near is large)
                                      [depth_height, depth_width] on any scale; NULL (default):
                                      estimated from `image` */
    const float *init_latents;   /**< standard normal start [batch_count, c, h, w] in place of the
                                      generator's (with `image`: the noise that is added); NULL
                                      (default): drawn */
    sdiff_noise_fn noise;        /**< gives every draw of a picture in order, from 0: with `image`
                                      the encoder's, then the start unless `init_latents` is given,
                                      with `mask` the masked picture's, then the sampler's; NULL
                                      (default): from the seed */
    void *noise_user;
    sdiff_step_fn on_step;       /**< NULL (default): none */
    void *step_user;
    sdiff_progress_fn on_progress; /**< NULL (default): none */
    void *progress_user;
    sdiff_cfg_fn cfg;            /**< guidance per step; NULL (default): cfg_scale throughout */
    void *cfg_user;
    sdiff_guide_fn guide;        /**< classifier guidance; NULL (default): none */
    void *guide_user;
    double cfg_scale;            /**< 0: unconditioned; 1: the prompt alone; default 7.5;
                                      -100 … 100 */
    double cfg_rescale;          /**< 0 (default) … 1: Lin et al. 2023, section 3.4 */
    double eta;                  /**< negative (default): the sampler's own */
    double strength;             /**< with `image`: the part of the steps that is run, 0 (the
                                      picture through the autoencoder) … 1 (from pure noise);
                                      negative (default): 0.75, with `mask` 1 */
    int64_t seed;                /**< default 0; picture i of a batch uses seed + i */
    int32_t width;               /**< pixels, multiple of the latent scale; 0 (default): the
                                      model's */
    int32_t height;              /**< likewise */
    int32_t steps;               /**< 1 … 10000, default 20 */
    int32_t batch_count;         /**< pictures, 1 (default) … 1000 */
    int32_t rng;                 /**< sdiff_rng, default TORCH */
    int32_t spacing;             /**< sdiff_spacing, default MODEL */
    int32_t clip_skip;           /**< 0 (default): the model's; 1: last layer; 2: the one before
                                      it; … */
    int32_t no_decode;           /**< 1: stop at the latents; default 0 */
    int32_t emphasis;            /**< sdiff_emphasis, default ORIGINAL: weights "(a:1.2)", "[b]",
                                      "BREAK", schedules "[a:b:0.5]", "[a|b]", "AND", any length */
    int32_t class_label;         /**< class-conditional models: the class, default 0 */
    int32_t final_sigma_min;     /**< where DPM-Solver and UniPC samplers end: 1: at the lowest
                                      noise level of training, as in diffusers before 0.26; 2:
                                      without noise; 0 (default): as the model's configuration
                                      says, else 2, but for UniPC 1 (docs/samplers.md) */
    int32_t depth_width;         /**< of `depth`; 0 (default): width */
    int32_t depth_height;        /**< of `depth`; 0 (default): height */
    int32_t encode_mode;         /**< sdiff_encode, default SAMPLE */
    int32_t keep_unmasked;       /**< 1 (default): pixels where `mask` is 0 are those of `image`,
                                      bit for bit; 0: as decoded */
    int32_t start_from_image;    /**< 1: also at strength 1 the noise is added to `image`, as
                                      diffusers does; 0 (default): strength 1 is text to image */
    int32_t tile;                /**< autoencoder in tiles that overlap by a quarter and are
                                      blended, for large pictures: the side of a tile in pixels, a
                                      multiple of the latent scale, 8 latents or more (the result
                                      differs a little from the whole picture's); 0 (default): only
                                      where the memory limit asks for it */
    int32_t brownian;            /**< 1: k-diffusion's SDE samplers take their noise from a Brownian
                                      path of the picture's seed instead of from the generator, as
                                      A1111 and ComfyUI do; 0 (default): drawn */
} sdiff_generate_params;

/** Writes the defaults; see sdiff_context_params_init(). @since 1.0 */
SDIFF_API void sdiff_generate_params_init(sdiff_generate_params *params, size_t struct_size);

/**
 * Makes a pipeline on a model, which it keeps alive.
 * @param pipeline receives the handle, to be freed with sdiff_pipeline_free(); NULL on failure
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_pipeline_new(sdiff_model *model, sdiff_pipeline **pipeline);

/** NULL is ignored. @since 1.0 */
SDIFF_API void sdiff_pipeline_free(sdiff_pipeline *pipeline);

/**
 * Memory in bytes that sdiff_pipeline_generate() with these parameters would hold at most beside
 * what the context holds now: with sdiff_context_memory(), the peak before any work. Under a memory
 * limit it is told for the way of working that fits.
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_pipeline_memory(sdiff_pipeline *pipeline,
                                             const sdiff_generate_params *params,
                                             uint64_t *bytes);

/**
 * Makes pictures from a prompt, and from a picture, mask or depth map where they are given. Memory
 * is planned before work starts and refused with the number of bytes needed where it cannot be had.
 * The results stay in the pipeline until the next call.
 * @param params NULL: the defaults
 * @return SDIFF_OK, INVALID_ARGUMENT (a size, step count … that is not possible), NO_MEMORY,
 *         UNSUPPORTED (the model lacks a part, e.g. a vocabulary), CANCELLED; text:
 *         sdiff_pipeline_error()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_pipeline_generate(sdiff_pipeline *pipeline,
                                               const sdiff_generate_params *params);

/**
 * Asks a running sdiff_pipeline_generate() to stop; it takes effect within a step. The one function
 * that may be called from another thread or a signal handler. Without a running call it does
 * nothing.
 * @since 1.0
 */
SDIFF_API void sdiff_pipeline_cancel(sdiff_pipeline *pipeline);

/** Pictures of the last successful call. @since 1.0 */
SDIFF_API int32_t sdiff_pipeline_image_count(const sdiff_pipeline *pipeline);

/** The index-th picture, RGB; owned by the pipeline until the next call. NULL: none. @since 1.0 */
SDIFF_API sdiff_image *sdiff_pipeline_image(sdiff_pipeline *pipeline, int32_t index);

/**
 * The index-th result as numbers.
 * @param latents receives the final latents [c, height/scale, width/scale]; may be NULL
 * @param image   receives the picture [3, height, width] in [0, 1]; may be NULL
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_pipeline_result(sdiff_pipeline *pipeline, int32_t index,
                                             float *latents, float *image);

/** The sentence of the last failure on this pipeline; "" if none. @since 1.0 */
SDIFF_API const char *sdiff_pipeline_error(const sdiff_pipeline *pipeline);

#ifdef __cplusplus
}
#endif
#endif
