/* SPDX-License-Identifier: MIT
 *
 * The reverse diffusion of one picture: a sampler asks, the U-Net answers, guidance combines.
 */
#ifndef SDI_PIPELINE_DENOISE_H
#define SDI_PIPELINE_DENOISE_H

#include "pipeline/progress.h"
#include "pipeline/session.h"
#include "sample/random.h"
#include "sample/sampler.h"
#include "stablediff/pipeline.h"

/* What stays the same for all pictures of a call. */
typedef struct sdi_denoiser {
    sdi_session *session;
    const sdiff_generate_params *request;
    sdi_plan *unet;
    int32_t halves;          // rows of the U-Net's batch: 1, or 2 for [negative, prompt]
    int64_t c, h, w;         // of the latents
    const sdi_schedule_config *schedule;
    sdi_progress *progress;  // is told which step is being made
    float *sample;           // [halves, in_channels, h, w]
    float *output;           // [halves, c, h, w]
    float *latents;          // [c, h, w], start and result
} sdi_denoiser;

/* Draws of one picture: the host's or the generator's, in order. */
typedef struct sdi_noise {
    sdi_random random;
    const sdi_env *env; // tells that the host stopped
    const sdiff_generate_params *request;
} sdi_noise;

void sdi_noise_init(sdi_noise *noise, const sdi_env *env, const sdiff_generate_params *request,
                    int32_t image);

/* Plans the U-Net and allocates the buffers. */
sdiff_status sdi_denoiser_init(sdi_denoiser *d, sdi_session *session,
                               const sdiff_generate_params *request,
                               const sdi_schedule_config *schedule, int64_t h, int64_t w);
sdiff_status sdi_denoiser_allocate(sdi_denoiser *d);
void sdi_denoiser_free(sdi_denoiser *d);

/* Contexts [2, t, d]: negative, prompt. Runs what depends on them only. */
sdiff_status sdi_denoiser_set_context(sdi_denoiser *d, const float *contexts);

/* A sampler for one picture; `noise` must outlive it. */
sdiff_status sdi_denoiser_sampler(sdi_denoiser *d, sdi_noise *noise, sdi_sampler **out);

/* Runs the sampler from d->latents (standard normal) and leaves the result there. */
sdiff_status sdi_denoise(sdi_denoiser *d, sdi_sampler *sampler, int32_t image);

#endif
