/* SPDX-License-Identifier: MIT
 *
 * The reverse diffusion of one picture: a sampler asks, the U-Net answers, guidance combines.
 */
#ifndef SDI_PIPELINE_DENOISE_H
#define SDI_PIPELINE_DENOISE_H

#include "pipeline/conditioning.h"
#include "pipeline/progress.h"
#include "sample/random.h"
#include "sample/sampler.h"
#include "stablediff/pipeline.h"

enum { SDI_MAX_SIDES = 16 }; // sub-prompts joined by AND, and the negative one

struct sdi_controls; // pipeline/control.h

/* What stays the same for all pictures of a call. */
typedef struct sdi_denoiser {
    sdi_session *session;
    const sdiff_generate_params *request;
    const sdi_schedule_config *schedule;
    const sdi_conditioning *conditioning; // NULL: a model without text
    struct sdi_controls *controls;        // NULL: none
    sdi_progress *progress;               // is told which step is being made; NULL: nobody
    sdi_plan *unet;
    int32_t rows;                 // predictions that guidance combines
    int32_t batch;                // of them in a run of the U-Net: all, or one under a memory limit
    int32_t side[SDI_MAX_SIDES];  // the side of the conditioning that each row stands for
    int32_t text[SDI_MAX_SIDES];  // the text that each row of the batch was last given, -1: none
    int32_t with_residuals;
    int64_t c, h, w;              // of the latents
    float *sample;                // [rows, in_channels, h, w]
    float *output;                // [rows, c, h, w]
    float *latents;               // [c, h, w], start and result
    /* What modes other than text to image add; NULL: not there. */
    const float *concat; // [in_channels - c, h, w]: mask, masked latents, depth …
    const float *clean;  // [c, h, w]: with a mask, what is kept
    const float *noise;  // [c, h, w]: the noise that `clean` is diffused with
    const float *mask;   // [h, w]: 1 where the picture is made, 0 where `clean` is kept
    double strength;     // the part of the steps that is run
} sdi_denoiser;

/* Draws of one picture: the host's or the generator's, in order. */
typedef struct sdi_noise {
    sdi_random random;
    uint64_t seed;      // of the picture
    const sdi_env *env; // tells that the host stopped
    const sdiff_generate_params *request;
    int64_t drawn;  // by now
    int64_t before; // draws that came before the sampler's first
} sdi_noise;

void sdi_noise_init(sdi_noise *noise, const sdi_env *env, const sdiff_generate_params *request,
                    int32_t image);
/* The next draw in order: from the host's function where there is one, else the generator. */
sdiff_status sdi_noise_draw(sdi_noise *noise, float *out, size_t count);

/* Plans the U-Net. */
sdiff_status sdi_denoiser_init(sdi_denoiser *d, sdi_session *session,
                               const sdiff_generate_params *request,
                               const sdi_schedule_config *schedule,
                               const sdi_conditioning *conditioning, int64_t h, int64_t w,
                               int with_residuals);
/* Plans the U-Net anew for one row at a time. */
sdiff_status sdi_denoiser_split(sdi_denoiser *d);
sdiff_status sdi_denoiser_allocate(sdi_denoiser *d);
void sdi_denoiser_free(sdi_denoiser *d);
/* Floating-point operations of so many evaluations of the U-Net. */
double sdi_denoiser_work(const sdi_denoiser *d, int32_t evaluations);
uint64_t sdi_denoiser_count(const sdi_denoiser *d); // c * h * w

/* A sampler for one picture; `noise` must outlive it. */
sdiff_status sdi_denoiser_sampler(sdi_denoiser *d, sdi_noise *noise, sdi_sampler **out);

/* Runs the sampler from d->latents (scaled as the sampler wants its start) and leaves the result
 * there. */
sdiff_status sdi_denoise(sdi_denoiser *d, sdi_sampler *sampler, int32_t image);

#endif
