/* SPDX-License-Identifier: MIT
 *
 * Hint pictures for ControlNets, made from other pictures. Depth: see depth.h. The functions return
 * SDIFF_OK, INVALID_ARGUMENT or NO_MEMORY where nothing else is said; text: sdiff_context_error().
 */
#ifndef STABLEDIFF_HINT_H
#define STABLEDIFF_HINT_H

#include "image.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Edges, white on black, as OpenCV's Canny() finds them.
 * @param blur      standard deviation in pixels of a Gaussian that comes first; 0 as in the
 *                  training of edge ControlNets: none
 * @param low, high thresholds of the gradient, usually 100 and 200: edges above `high`, and what
 *                  hangs together with them above `low`
 * @param out       receives an RGB image, to be freed by the caller
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_hint_canny(sdiff_context *context, const sdiff_image *image,
                                        double blur, double low, double high, sdiff_image **out);

/**
 * Strokes, white on black: what is at least as bright as the threshold.
 * @param threshold 0 … 255, usually 127
 * @param invert    1: what is darker, for drawings on white paper
 * @param out       receives an RGB image, to be freed by the caller
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_hint_scribble(sdiff_context *context, const sdiff_image *image,
                                           int32_t threshold, int32_t invert, sdiff_image **out);

/**
 * Inverse depth as a gray picture, near is white.
 * @param map           [map_height, map_width], any scale
 * @param width, height of the picture, to which the map is resized
 * @param out           receives an RGB image, to be freed by the caller
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_hint_depth(sdiff_context *context, const float *map,
                                        int32_t map_width, int32_t map_height, int32_t width,
                                        int32_t height, sdiff_image **out);

/**
 * Skeletons as OpenPose draws them, from the JSON that it writes ("people" with
 * "pose_keypoints_2d" of 18 points of COCO or 25 of BODY_25; also 17 points of COCO).
 * @param json          UTF-8; coordinates are scaled from "canvas_width" and "canvas_height" where
 *                      it has them, or from 0 … 1
 * @param size          bytes of `json`
 * @param width, height of the picture
 * @param out           receives an RGB image, to be freed by the caller
 * @return also FORMAT: not JSON, or not of this form
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_hint_pose(sdiff_context *context, const char *json, size_t size,
                                       int32_t width, int32_t height, sdiff_image **out);

#ifdef __cplusplus
}
#endif
#endif
