/* SPDX-License-Identifier: MIT
 *
 * Hint pictures for ControlNets, made from other pictures. All results are RGB.
 */
#ifndef SDI_IMAGE_HINT_H
#define SDI_IMAGE_HINT_H

#include "image/image.h"

/* Inverse depth [map_height, map_width] as gray, near is white, resized. */
sdiff_status sdi_hint_depth(const sdi_env *env, const float *map, int32_t map_width,
                            int32_t map_height, int32_t width, int32_t height, sdi_image **out);

/* Edges, white on black (Canny 1986); sigma of a Gaussian before it, 0: none; thresholds of the
 * gradient as in OpenCV: usual are 100 and 200. */
sdiff_status sdi_hint_canny(const sdi_env *env, const sdi_image *image, double sigma, double low,
                            double high, sdi_image **out);

/* Strokes, white on black: pixels at least as bright as the threshold (0 … 255); `invert`: darker
 * ones, for drawings on white paper. */
sdiff_status sdi_hint_scribble(const sdi_env *env, const sdi_image *image, int32_t threshold,
                               int invert, sdi_image **out);

/* Brightness of every pixel [height, width], 0 … 255, transparent ones as on white paper. */
sdiff_status sdi_hint_gray(const sdi_env *env, const sdi_image *image, float **out);

#endif
