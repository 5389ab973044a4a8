/* SPDX-License-Identifier: MIT
 *
 * Masks for inpainting: gray images that are 255 where a picture is made anew and 0 where it stays.
 * Making only the marked part anew, at the model's size:
 *
 *     sdiff_mask_area(c, mask, 32, 512, 512, &area);
 *     sdiff_image_crop(c, picture, &area, &part);
 *     sdiff_image_crop(c, mask, &area, &part_mask);
 *     ... sdiff_image_to_planes(), sdiff_image_to_plane(), sdiff_pipeline_generate() ...
 *     sdiff_mask_paste(c, picture, made, &area, mask);
 */
#ifndef STABLEDIFF_MASK_H
#define STABLEDIFF_MASK_H

#include "image.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Makes the edges of a mask soft, in place.
 * @param radius standard deviation of the Gaussian in pixels, 0 (nothing happens) … 1024
 * @return SDIFF_OK, INVALID_ARGUMENT (an image that is not gray, a radius out of range), NO_MEMORY;
 *         text: sdiff_context_error()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_mask_blur(sdiff_context *context, sdiff_image *mask, double radius);

/**
 * Makes the marked area larger by so many pixels to all sides, in place; negative: smaller.
 * @param pixels -1024 … 1024
 * @return as sdiff_mask_blur()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_mask_grow(sdiff_context *context, sdiff_image *mask, int32_t pixels);

/**
 * The smallest area that holds everything marked (all that is not 0), with `padding` pixels around
 * it, widened to the proportions of width x height as far as the image goes.
 * @param area receives the area, in pixels of the mask
 * @return SDIFF_OK, INVALID_ARGUMENT (also where the mask marks nothing), NO_MEMORY
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_mask_area(sdiff_context *context, const sdiff_image *mask,
                                       int32_t padding, int32_t width, int32_t height,
                                       sdiff_rect *area);

/**
 * Puts a picture, resized to the area, into another: where the mask is 255; mixed where it is
 * between; where it is 0 every byte stays.
 * @param image RGB or RGBA, changed in place
 * @param patch of any size and number of channels
 * @param area  inside of the image
 * @param mask  gray, of the size of `image`
 * @return as sdiff_mask_blur()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_mask_paste(sdiff_context *context, sdiff_image *image,
                                        const sdiff_image *patch, const sdiff_rect *area,
                                        const sdiff_image *mask);

#ifdef __cplusplus
}
#endif
#endif
