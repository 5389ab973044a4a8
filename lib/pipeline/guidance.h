/* SPDX-License-Identifier: MIT
 *
 * Classifier-free guidance (Ho & Salimans 2022) and its rescaling (Lin et al. 2023, section 3.4).
 */
#ifndef SDI_PIPELINE_GUIDANCE_H
#define SDI_PIPELINE_GUIDANCE_H

#include "sample/schedule.h"

#include <stddef.h>

/* Which evaluations a scale needs: at 1 the negative half has weight 0, at 0 the prompt has. */
int sdi_guidance_needs_prompt(double scale);
int sdi_guidance_needs_negative(double scale);

/* out = negative + scale * (prompt - negative), then for rescale > 0 blended with a copy whose
 * standard deviation is that of `prompt`. out may be `negative` or `prompt`. */
void sdi_guidance_combine(const float *negative, const float *prompt, double scale, double rescale,
                          size_t count, float *out);

/* In place on a prediction for the sample x = alpha * x0 + beta * noise (alpha^2 + beta^2 = 1). */
void sdi_prediction_to_noise(sdi_prediction prediction, const float *sample, double alpha,
                             double beta, size_t count, float *output);
void sdi_noise_to_prediction(sdi_prediction prediction, const float *sample, double alpha,
                             double beta, size_t count, float *output);

#endif
