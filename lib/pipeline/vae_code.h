/* SPDX-License-Identifier: MIT
 *
 * Pictures to latents and back.
 */
#ifndef SDI_PIPELINE_VAE_CODE_H
#define SDI_PIPELINE_VAE_CODE_H

#include "pipeline/session.h"

int sdi_has_autoencoder(const sdi_model_config *config); // else the U-Net works on pixels

/* Pixels of a side for each latent; 1 for models without an autoencoder. */
int32_t sdi_latent_scale(const sdi_model_config *config);

/* image [b, 3, h, w] in [-1, 1] -> mean and log variance (may be NULL), not scaled, not clamped. */
sdiff_status sdi_vae_encode(sdi_session *session, const float *image, int64_t b, int64_t h,
                            int64_t w, float *mean, float *logvar);
/* z [b, c, h, w], divided by the scaling factor -> image in about [-1, 1]. */
sdiff_status sdi_vae_decode(sdi_session *session, const float *z, int64_t b, int64_t h, int64_t w,
                            float *image);
/* Latents of a picture before any is drawn: a normal distribution. All 0: none. */
typedef struct sdi_posterior {
    float *mean;      // [c, h/scale, w/scale], scaled as the U-Net sees latents
    float *deviation; // the same shape; NULL: the mean is all there is (pixels, codebooks)
} sdi_posterior;

/* planes [3, h, w] in [0, 1], one picture. Models without an autoencoder take the pixels. */
sdiff_status sdi_picture_encode(sdi_session *session, const float *planes, int64_t h, int64_t w,
                                sdi_posterior *out);
void sdi_posterior_free(const sdi_env *env, sdi_posterior *posterior);

/* Plans an encoder (h x w pixels) or decoder (h x w latents) without running it; for the session's
 * tile where that is smaller. */
sdiff_status sdi_vae_plan(sdi_session *session, sdi_network network, int64_t b, int64_t h,
                          int64_t w, sdi_plan **out);
/* The same with tiles as large as fit into an arena of `budget` bytes, or else the smallest. */
sdiff_status sdi_vae_fit(sdi_session *session, sdi_network network, int64_t b, int64_t h, int64_t w,
                         uint64_t budget, sdi_plan **out);

#endif
