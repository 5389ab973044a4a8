/* SPDX-License-Identifier: MIT
 *
 * Depth of pictures: MiDaS 3.0 DPT-hybrid, as in Stable Diffusion 2 depth-to-image.
 */
#ifndef STABLEDIFF_DEPTH_H
#define STABLEDIFF_DEPTH_H

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Opaque: a depth estimator with working memory of its own; one thread at a time. */
typedef struct sdiff_depth sdiff_depth;

/** The estimator of a loaded model (a depth-to-image checkpoint or folder).
 *  @return UNSUPPORTED where the model has none; text: sdiff_model_error() @since 1.0 */
SDIFF_API sdiff_status sdiff_depth_of_model(sdiff_model *model, sdiff_depth **depth);

/** An estimator alone: a `depth_estimator` folder, its file, a MiDaS checkpoint, or a model that
 *  holds one; only the estimator is loaded. `params` as for sdiff_model_open(). @since 1.0 */
SDIFF_API sdiff_status sdiff_depth_open(sdiff_context *context, const char *path,
                                        const sdiff_model_params *params, sdiff_depth **depth);

/** NULL is ignored. @since 1.0 */
SDIFF_API void sdiff_depth_free(sdiff_depth *depth);

/** The size of the map that sdiff_depth_estimate() gives for a picture of width x height pixels;
 *  nothing is computed. @since 1.0 */
SDIFF_API sdiff_status sdiff_depth_size(const sdiff_depth *depth, int32_t width, int32_t height,
                                        int32_t *map_width, int32_t *map_height);

/**
 * Estimates the depth of a picture, which is resized as the estimator was trained.
 * @param image [3, height, width] in [0, 1]
 * @param map   receives inverse depth [map_height, map_width]: near is large, on no particular
 *              scale; may be given as it is to a depth-to-image pipeline
 * @return SDIFF_OK, INVALID_ARGUMENT, NO_MEMORY; text: sdiff_depth_error()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_depth_estimate(sdiff_depth *depth, const float *image, int32_t width,
                                            int32_t height, float *map);

/**
 * A gray picture of the depth in the picture's own size, near is white: to look at, to keep, or as
 * the hint of a depth ControlNet.
 * @param planes [3, height, width] in [0, 1]
 * @param image  receives an RGB image, to be freed by the caller
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_depth_image(sdiff_depth *depth, const float *planes, int32_t width,
                                         int32_t height, sdiff_image **image);

/** The sentence of the last failure on this handle; "" if none. @since 1.0 */
SDIFF_API const char *sdiff_depth_error(const sdiff_depth *depth);

#ifdef __cplusplus
}
#endif
#endif
