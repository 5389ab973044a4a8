/* SPDX-License-Identifier: MIT
 *
 * Inpainting masks [height, width]: 1 where the picture is made anew, 0 where it stays.
 */
#ifndef SDI_PIPELINE_MASK_H
#define SDI_PIPELINE_MASK_H

#include "base/env.h"

/* Refuses numbers outside of [0, 1] and masks that mark nothing. */
sdiff_status sdi_mask_check(const sdi_env *env, const float *mask, int64_t height, int64_t width);

/* To the latents' size [h, w] by nearest neighbour (the upper left pixel of each square), as 0
 * or 1. Refuses a mask of which nothing is left. */
sdiff_status sdi_mask_to_latents(const sdi_env *env, const float *mask, int64_t height,
                                 int64_t width, int64_t h, int64_t w, float *out);

/* The picture with what is to be made anew hidden behind gray. Both [3, pixels] in [0, 1]. */
void sdi_mask_hide(const float *picture, const float *mask, int64_t pixels, float *out);

/* Puts the pixels of the picture back into `made` where the mask is 0, bit for bit, and mixes both
 * where it is between. Both [3, pixels]. */
void sdi_mask_put_back(const float *picture, const float *mask, int64_t pixels, float *made);

#endif
