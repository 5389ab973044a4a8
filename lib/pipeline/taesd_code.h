/* SPDX-License-Identifier: MIT
 *
 * The tiny autoencoder: latents, as the U-Net sees them, to pictures and back.
 */
#ifndef SDI_PIPELINE_TAESD_CODE_H
#define SDI_PIPELINE_TAESD_CODE_H

#include "pipeline/session.h"

/* Pixels of a side for each latent. */
int32_t sdi_taesd_scale(const sdi_model *taesd);
/* Adds a half to a session whose model has latents of `channels` and `scale` pixels each. */
sdiff_status sdi_taesd_add(sdi_session *session, sdi_model *taesd, sdi_part half, int32_t channels,
                           int32_t scale, sdi_network *network);

/* Plans one picture of h x w (the encoder's pixels, the decoder's latents). */
sdiff_status sdi_taesd_plan(sdi_session *session, sdi_network network, int64_t h, int64_t w,
                            sdi_plan **out);
/* z [channels, h, w] -> image [3, h*scale, w*scale] in about [-1, 1]. */
sdiff_status sdi_taesd_decode(sdi_session *session, sdi_network network, const float *z, int64_t h,
                              int64_t w, float *image);
/* image [3, h, w] in [-1, 1] -> z [channels, h/scale, w/scale]. */
sdiff_status sdi_taesd_encode(sdi_session *session, sdi_network network, const float *image,
                              int64_t h, int64_t w, float *z);

#endif
