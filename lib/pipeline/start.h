/* SPDX-License-Identifier: MIT
 *
 * Where a run starts: at noise, or at a picture diffused as far as the strength says. And what
 * modes other than text to image give beside the latents:
 *
 *     picture -> encoder -> clean latents --noise of the first level--> start
 *     mask -> latents' size -> where each step may change them     (models of 4 input channels)
 *     mask, masked picture -> encoder -> more input channels       (9 channels)
 *     depth, given or estimated -> latents' size, [-1, 1] -> one more input channel    (5 channels)
 */
#ifndef SDI_PIPELINE_START_H
#define SDI_PIPELINE_START_H

#include "pipeline/denoise.h"
#include "pipeline/vae_code.h"

typedef struct sdi_start {
    sdi_denoiser *denoiser; // gets what it needs from here; NULL: nothing is planned
    const sdiff_generate_params *request;
    sdi_plan *encoder;            // NULL: nothing is encoded
    sdi_plan *estimator;          // NULL: the host gives the depth, or none is needed
    int64_t map_h, map_w;         // of the estimated depth
    int32_t from_picture;         // the run starts at the picture, else at noise
    sdi_posterior picture, masked; // of all pictures of the call
    float *clean, *noise;         // [c, h, w], of one picture
    float *mask;                  // [h, w]
    float *concat;                // [in_channels - c, h, w]
} sdi_start;

/* Plans the encoder and the depth estimator if the request needs them and sets the denoiser's
 * strength. */
sdiff_status sdi_start_plan(sdi_start *s, sdi_denoiser *denoiser);
double sdi_start_work(const sdi_start *s); // floating-point operations of both
/* Allocates, encodes, resizes: all that is the same for each picture of the call. The session is
 * reserved. */
sdiff_status sdi_start_prepare(sdi_start *s);

/* The draws of one picture that come before the sampler's, in the order of diffusers' pipelines. */
sdiff_status sdi_start_draw(sdi_start *s, sdi_noise *noise, int32_t image);
/* Fills the denoiser's latents for a run of this sampler. */
void sdi_start_place(const sdi_start *s, const sdi_sampler *sampler);

void sdi_start_free(sdi_start *s);

#endif
