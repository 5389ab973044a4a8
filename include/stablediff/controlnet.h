/* SPDX-License-Identifier: MIT
 *
 * ControlNets: pictures are steered by another picture (edges, depth, a pose, strokes).
 */
#ifndef STABLEDIFF_CONTROLNET_H
#define STABLEDIFF_CONTROLNET_H

#include "pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Opaque: a loaded ControlNet. Immutable; any number of pipelines may use it. */
typedef struct sdiff_controlnet sdiff_controlnet;

/**
 * Loads a ControlNet: a diffusers folder (ControlNetModel), or a single file in the names of
 * diffusers or of the original (control_model.*, or without prefix; .safetensors, .pth), also one
 * that holds a whole model beside it.
 * @param params as for sdiff_model_open(); NULL: the defaults
 * @return as sdiff_model_open(); text: sdiff_context_error()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_controlnet_open(sdiff_context *context, const char *path,
                                             const sdiff_model_params *params,
                                             sdiff_controlnet **controlnet);

/** Drops the reference; pipelines that use it keep what they need. NULL is ignored. @since 1.0 */
SDIFF_API void sdiff_controlnet_free(sdiff_controlnet *controlnet);

/** How a ControlNet steers. Fill with sdiff_control_params_init(). @since 1.0 */
typedef struct sdiff_control_params {
    size_t struct_size;       /**< sizeof(sdiff_control_params), set by the init function */
    const float *hint;        /**< the picture that it looks at, [3, height, width] in [0, 1]; one
                                   of the results' size is taken as it is, others are resized */
    const sdiff_image *image; /**< the same as an image, in place of `hint` */
    double weight;            /**< default 1; -100 … 100 */
    double start;             /**< from this part of the steps on, default 0 */
    double end;               /**< to this one, default 1 */
    int32_t width;            /**< of `hint` */
    int32_t height;           /**< of `hint` */
    int32_t guess_mode;       /**< 1: weaker at each layer outwards, down to a tenth, and on the
                                   prompt's side only; it works without a prompt; default 0.
                                   Files in diffusers' names are weighted as diffusers does it,
                                   others as the original */
    int32_t invert;           /**< 1: black and white are exchanged first, default 0 */
} sdiff_control_params;

/** Writes the defaults; see sdiff_context_params_init(). @since 1.0 */
SDIFF_API void sdiff_control_params_init(sdiff_control_params *params, size_t struct_size);

/**
 * Adds a ControlNet to all following calls of a pipeline; several are summed. The hint is copied.
 * @return SDIFF_OK, MISMATCH (made for another family or width: the text has both numbers),
 *         INVALID_ARGUMENT, LIMIT, NO_MEMORY; text: sdiff_pipeline_error()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_pipeline_add_control(sdiff_pipeline *pipeline,
                                                  const sdiff_controlnet *controlnet,
                                                  const sdiff_control_params *params);

/** Removes all ControlNets. @since 1.0 */
SDIFF_API void sdiff_pipeline_clear_controls(sdiff_pipeline *pipeline);

/** How many there are. @since 1.0 */
SDIFF_API int32_t sdiff_pipeline_control_count(const sdiff_pipeline *pipeline);

#ifdef __cplusplus
}
#endif
#endif
