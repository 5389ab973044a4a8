/* SPDX-License-Identifier: MIT
 *
 * From a request to pictures: text, reverse diffusion, decoding.
 */
#ifndef SDI_PIPELINE_GENERATE_H
#define SDI_PIPELINE_GENERATE_H

#include "pipeline/denoise.h"

typedef struct sdi_pictures {
    int32_t count;
    int32_t channels, latent_height, latent_width;
    int32_t height, width; // of the pictures
    int32_t decoded;
    float *latents; // [count, channels, latent_height, latent_width]
    float *pixels;  // [count, 3, height, width] in [0, 1], if decoded
} sdi_pictures;

void sdi_pictures_free(const sdi_env *env, sdi_pictures *pictures);

/* Refuses what no model could do: numbers out of range, NaN, sizes that are no multiples. Fills in
 * sizes left to the model. */
sdiff_status sdi_request_check(const sdi_session *session, sdiff_generate_params *request);

/* Bytes beside the weights. */
sdiff_status sdi_generate_memory(sdi_session *session, const sdiff_generate_params *request,
                                 uint64_t *bytes);
sdiff_status sdi_generate(sdi_session *session, const sdiff_generate_params *request,
                          sdi_pictures *out);

#endif
