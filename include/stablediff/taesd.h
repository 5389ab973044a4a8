/* SPDX-License-Identifier: MIT
 *
 * Tiny autoencoders (TAESD): pictures of latents in a fraction of the time and memory, for previews
 * and drafts.
 */
#ifndef STABLEDIFF_TAESD_H
#define STABLEDIFF_TAESD_H

#include "pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Opaque: a tiny autoencoder with working memory of its own; one thread at a time. */
typedef struct sdiff_taesd sdiff_taesd;

/**
 * Loads a tiny autoencoder: a diffusers folder (AutoencoderTiny), its file, or one half alone
 * (taesd_decoder.safetensors, taesd_encoder.safetensors, .pth).
 * @param params as for sdiff_model_open(); NULL: the defaults
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_taesd_open(sdiff_context *context, const char *path,
                                        const sdiff_model_params *params, sdiff_taesd **taesd);

/** Drops the reference; pipelines that decode with it keep what they need. NULL is ignored.
 *  @since 1.0 */
SDIFF_API void sdiff_taesd_free(sdiff_taesd *taesd);

/** Pixels of a side for each latent: 8 for Stable Diffusion. @since 1.0 */
SDIFF_API int32_t sdiff_taesd_scale(const sdiff_taesd *taesd);

/**
 * Decodes latents as the U-Net sees them (scaled), one picture.
 * @param latents [channels, height, width]
 * @param image   receives [3, height*scale, width*scale] in [0, 1]
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_taesd_decode(sdiff_taesd *taesd, const float *latents, int32_t height,
                                          int32_t width, float *image);

/**
 * The same as an image: a preview of the latents or the predicted picture of a step. May be called
 * from a step callback.
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_taesd_preview(sdiff_taesd *taesd, const float *latents,
                                           int32_t height, int32_t width, sdiff_image **image);

/**
 * Encodes a picture to latents as the U-Net sees them.
 * @param image   [3, height, width] in [0, 1], sides multiples of the scale
 * @param latents receives [channels, height/scale, width/scale]
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_taesd_encode(sdiff_taesd *taesd, const float *image, int32_t height,
                                          int32_t width, float *latents);

/** The sentence of the last failure on this handle; "" if none. @since 1.0 */
SDIFF_API const char *sdiff_taesd_error(const sdiff_taesd *taesd);

/**
 * Lets a pipeline decode with a tiny autoencoder in place of the model's own; NULL: again with the
 * model's.
 * @return MISMATCH where its latents are others; text: sdiff_pipeline_error()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_pipeline_set_taesd(sdiff_pipeline *pipeline,
                                                const sdiff_taesd *taesd);

#ifdef __cplusplus
}
#endif
#endif
