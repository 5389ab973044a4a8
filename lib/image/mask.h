/* SPDX-License-Identifier: MIT
 *
 * Masks: gray images that are 255 where a picture is made anew and 0 where it stays.
 */
#ifndef SDI_IMAGE_MASK_H
#define SDI_IMAGE_MASK_H

#include "image/image.h"

/* In place. The radius is the standard deviation in pixels. */
sdiff_status sdi_mask_blur(const sdi_env *env, sdi_image *mask, double radius);
/* In place: the marked area grows by so many pixels to all sides, or shrinks. */
sdiff_status sdi_mask_grow(const sdi_env *env, sdi_image *mask, int32_t pixels);

/* The smallest area that holds all that is not 0, and `padding` pixels around it, widened to the
 * proportions of width x height as far as the image goes. */
sdiff_status sdi_mask_area(const sdi_env *env, const sdi_image *mask, int32_t padding,
                           int32_t width, int32_t height, sdi_rect *area);

/* Puts `patch`, resized to the area, into `image` (3 or 4 channels): where the mask, of the image's
 * size, is 255; mixed where it is between; where it is 0 nothing changes. */
sdiff_status sdi_mask_paste(const sdi_env *env, sdi_image *image, const sdi_image *patch,
                            const sdi_rect *area, const sdi_image *mask);

#endif
