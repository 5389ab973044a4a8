/* SPDX-License-Identifier: MIT
 *
 * Models: checkpoints as people have them, recognised by content.
 */
#ifndef STABLEDIFF_MODEL_H
#define STABLEDIFF_MODEL_H

#include "image.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Opaque: configuration and weights of the networks of one checkpoint, and its tokenizer. Any
 * number of pipelines, also in different threads, may share it; only the calls of adapter.h
 * change it.
 */
typedef struct sdiff_model sdiff_model;

/** Arithmetic of the networks. */
typedef enum sdiff_compute {
    SDIFF_COMPUTE_AUTO = 0, /**< bf16 where the CPU multiplies it natively and faster, else f32 */
    SDIFF_COMPUTE_F32 = 1,  /**< float32 everywhere */
    SDIFF_COMPUTE_BF16 = 2, /**< operands of products rounded to bfloat16, the rest float32 */
    SDIFF_COMPUTE_BF16X3 = 3, /**< each product made of three bfloat16 ones, off by at most 2^-15,
                                   where that is faster than F32 (AMX tiles); elsewhere as F32.
                                   Memory as F32 */
    SDIFF_COMPUTE_FORCE_INT32 = 0x7fffffff
} sdiff_compute;

/** What the U-Net predicts. */
typedef enum sdiff_prediction {
    SDIFF_PREDICTION_MODEL = 0,   /**< as the model's configuration says (default) */
    SDIFF_PREDICTION_EPSILON = 1, /**< the noise: SD 1.x, SD 2 base */
    SDIFF_PREDICTION_V = 2,       /**< velocity: SD 2.x 768-v */
    SDIFF_PREDICTION_SAMPLE = 3,  /**< the clean sample */
    SDIFF_PREDICTION_FORCE_INT32 = 0x7fffffff
} sdiff_prediction;

/** Which CLIP tokenizer is followed where programs disagree (docs/traps.md). */
typedef enum sdiff_tokenizer_variant {
    SDIFF_TOKENIZER_HF_FAST = 0, /**< Hugging Face tokenizers, today's default */
    SDIFF_TOKENIZER_HF_SLOW = 1, /**< transformers' CLIPTokenizer without ftfy */
    SDIFF_TOKENIZER_OPENAI = 2,  /**< openai/CLIP simple_tokenizer without ftfy */
    SDIFF_TOKENIZER_FORCE_INT32 = 0x7fffffff
} sdiff_tokenizer_variant;

/** How a model is loaded. Fill with sdiff_model_params_init(). @since 1.0 */
typedef struct sdiff_model_params {
    size_t struct_size;  /**< sizeof(sdiff_model_params), set by the init function */
    const char *config;  /**< configuration of a single-file checkpoint (flat JSON or LDM .yaml);
                              NULL: one beside the file, else inferred from the tensors */
    const char *vae;     /**< a VAE that replaces the model's: diffusers folder or file; NULL:
                              none */
    const char *vocab;   /**< folder with vocab.json and merges.txt, or
                              bpe_simple_vocab_16e6.txt.gz; NULL: in the model folder, beside the
                              file, the data directory */
    int32_t compute;     /**< sdiff_compute, default AUTO */
    int32_t prediction;  /**< sdiff_prediction, default MODEL */
    int32_t tokenizer;   /**< sdiff_tokenizer_variant, default HF_FAST */
    int32_t use_ema;     /**< 1: EMA weights where the file has them, default 0 */
    int32_t width;       /**< with a memory limit: pictures of this size are to be made, so that
                              much room is left beside the weights; 0 (default): the
                              model's own size */
    int32_t height;      /**< likewise */
    int32_t describe_only; /**< 1: names, shapes and configurations are read and checked, weights
                                are not: for sdiff_model_info(); the networks cannot run; default
                                0 */
    int32_t reserved;    /**< 0 */
} sdiff_model_params;

/** Writes the defaults; see sdiff_context_params_init(). @since 1.0 */
SDIFF_API void sdiff_model_params_init(sdiff_model_params *params, size_t struct_size);

/**
 * Loads a model from a diffusers folder or a single-file checkpoint (.safetensors, .ckpt). The file
 * is mapped while it is read; unknown tensors are reported through the log and sdiff_model_info().
 * @param path   UTF-8
 * @param params NULL: the defaults. Copied.
 * @param model  receives the handle, to be freed with sdiff_model_free(); NULL on failure
 * @return SDIFF_OK, IO, FORMAT (damaged), MISMATCH (a tensor is missing or misshapen: the sentence
 *         names it), UNSUPPORTED (another kind of model), NO_MEMORY; text: sdiff_context_error()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_model_open(sdiff_context *context, const char *path,
                                        const sdiff_model_params *params, sdiff_model **model);

/**
 * Loads a single-file checkpoint from memory. The bytes are not copied and must stay valid and
 * unchanged until the model is freed.
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_model_open_memory(sdiff_context *context, const void *bytes,
                                               uint64_t size, const sdiff_model_params *params,
                                               sdiff_model **model);

/** Reads exactly `size` bytes at `offset` into `buffer`; non-zero means failure. */
typedef int (*sdiff_read_fn)(void *user, uint64_t offset, void *buffer, uint64_t size);

/**
 * Loads a single-file checkpoint through a callback, which is called from the calling thread and
 * must stay usable until the model is freed.
 * @param size of the whole file in bytes
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_model_open_reader(sdiff_context *context, sdiff_read_fn read,
                                               void *user, uint64_t size,
                                               const sdiff_model_params *params,
                                               sdiff_model **model);

/** Drops the reference; pipelines that use the model keep it alive. NULL is ignored. @since 1.0 */
SDIFF_API void sdiff_model_free(sdiff_model *model);

/**
 * What the model is, as JSON: family, prediction, configuration of each part, parameter counts,
 * dtypes, unmatched tensors.
 * @return owned by the model
 * @since 1.0
 */
SDIFF_API const char *sdiff_model_info(const sdiff_model *model);

/** The same in lines for people. @return owned by the model @since 1.0 */
SDIFF_API const char *sdiff_model_summary(const sdiff_model *model);

/** The picture size the model was trained for, in pixels (e.g. 512, 768 or 64). @since 1.0 */
SDIFF_API int32_t sdiff_model_default_size(const sdiff_model *model);

/** Pixels per latent number along a side: 8 for Stable Diffusion. @since 1.0 */
SDIFF_API int32_t sdiff_model_latent_scale(const sdiff_model *model);

/** Channels of the latents: 4 for Stable Diffusion. @since 1.0 */
SDIFF_API int32_t sdiff_model_latent_channels(const sdiff_model *model);

/**
 * A cheap picture of latents, one pixel per latent, by a linear map to RGB that is fitted to the
 * model's own VAE at the first call. May be called from a step callback.
 * @param latents [channels, height, width] float32, scaled as the U-Net sees them
 * @param image   receives an RGB image, to be freed by the caller
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_model_preview(sdiff_model *model, const float *latents,
                                           int32_t height, int32_t width, sdiff_image **image);

/** The sentence of the last failure on this model; "" if none. @since 1.0 */
SDIFF_API const char *sdiff_model_error(const sdiff_model *model);

#ifdef __cplusplus
}
#endif
#endif
