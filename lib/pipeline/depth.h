/* SPDX-License-Identifier: MIT
 *
 * The depth map of depth-to-image models.
 */
#ifndef SDI_PIPELINE_DEPTH_H
#define SDI_PIPELINE_DEPTH_H

#include "base/env.h"

/* Refuses NaN and infinities. */
sdiff_status sdi_depth_check(const sdi_env *env, const float *depth, int64_t height, int64_t width);

/* Inverse depth [height, width] on any scale to what the U-Net sees: the latents' size [h, w], the
 * farthest -1, the nearest 1. */
void sdi_depth_to_latents(const float *depth, int64_t height, int64_t width, int64_t h, int64_t w,
                          float *out);

#endif
