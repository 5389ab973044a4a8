/* SPDX-License-Identifier: MIT
 *
 * A cheap picture of latents: one pixel per latent by a linear map to RGB, fitted to the model's
 * own decoder, so that it fits every autoencoder.
 */
#ifndef SDI_PIPELINE_PREVIEW_H
#define SDI_PIPELINE_PREVIEW_H

#include "image/image.h"
#include "pipeline/session.h"

enum { SDI_PREVIEW_MAX_CHANNELS = 16 };

typedef struct sdi_preview {
    int32_t fitted, channels;
    float weight[3][SDI_PREVIEW_MAX_CHANNELS + 1]; // the last one is the constant
} sdi_preview;

/* Fits once; later calls return at once. */
sdiff_status sdi_preview_fit(const sdi_env *env, sdi_model *model, sdi_pool *pool,
                             sdi_preview *preview);
/* latents [channels, height, width], scaled as the U-Net sees them. */
sdiff_status sdi_preview_image(const sdi_env *env, const sdi_preview *preview,
                               const float *latents, int32_t height, int32_t width,
                               sdi_image **out);

#endif
