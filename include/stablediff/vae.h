/* SPDX-License-Identifier: MIT
 *
 * The autoencoder on its own: pictures to latents and back.
 */
#ifndef STABLEDIFF_VAE_H
#define STABLEDIFF_VAE_H

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Opaque: an autoencoder with working memory of its own; one thread at a time. */
typedef struct sdiff_vae sdiff_vae;

/**
 * The autoencoder of a loaded model, which it keeps alive.
 * @return SDIFF_OK, INVALID_ARGUMENT, NO_MEMORY. Where the model has none, encoding and decoding
 *         are UNSUPPORTED
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_vae_of_model(sdiff_model *model, sdiff_vae **vae);

/** A stand-alone autoencoder: diffusers folder or file, with or without "first_stage_model."
 *  names. `params` as for sdiff_model_open(). @since 1.0 */
SDIFF_API sdiff_status sdiff_vae_open(sdiff_context *context, const char *path,
                                      const sdiff_model_params *params, sdiff_vae **vae);

/** NULL is ignored. @since 1.0 */
SDIFF_API void sdiff_vae_free(sdiff_vae *vae);

/**
 * Encodes pictures.
 * @param image  [batch, 3, height, width] in [-1, 1]; sides are multiples of the latent scale
 * @param mean   receives [batch, 4, height/scale, width/scale], not scaled (4 channels in Stable
 *               Diffusion: sdiff_model_latent_channels())
 * @param logvar receives the log variance in the same shape (not clamped); may be NULL
 * @return SDIFF_OK, INVALID_ARGUMENT (sides), UNSUPPORTED (half of the autoencoder is missing),
 *         NO_MEMORY; text: sdiff_vae_error()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_vae_encode(sdiff_vae *vae, const float *image, int32_t batch,
                                        int32_t height, int32_t width, float *mean,
                                        float *logvar);

/**
 * Decodes latents.
 * @param z     [batch, 4, height, width], already divided by sdiff_vae_scaling_factor()
 * @param image receives [batch, 3, height*scale, width*scale], about [-1, 1], not clamped
 * @return as sdiff_vae_encode()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_vae_decode(sdiff_vae *vae, const float *z, int32_t batch,
                                        int32_t height, int32_t width, float *image);

SDIFF_API double sdiff_vae_scaling_factor(const sdiff_vae *vae); /**< 0.18215 for SD @since 1.0 */
SDIFF_API int32_t sdiff_vae_latent_scale(const sdiff_vae *vae);  /**< 8 for SD @since 1.0 */
/** The sentence of the last failure on this handle; "" if none. @since 1.0 */
SDIFF_API const char *sdiff_vae_error(const sdiff_vae *vae);

#ifdef __cplusplus
}
#endif
#endif
