/* SPDX-License-Identifier: MIT
 *
 * Single components on named tensors: to compare a checkpoint or a conversion with any other
 * program, tensor by tensor, and for hosts that write their own loops.
 */
#ifndef STABLEDIFF_COMPONENT_H
#define STABLEDIFF_COMPONENT_H

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Opaque: an ordered set of named tensors, as in a safetensors file. */
typedef struct sdiff_tensors sdiff_tensors;

/** Element types. */
typedef enum sdiff_dtype {
    SDIFF_DTYPE_F32 = 0,
    SDIFF_DTYPE_F16 = 1,
    SDIFF_DTYPE_BF16 = 2,
    SDIFF_DTYPE_F64 = 3,
    SDIFF_DTYPE_I64 = 4,
    SDIFF_DTYPE_I32 = 5,
    SDIFF_DTYPE_I16 = 6,
    SDIFF_DTYPE_I8 = 7,
    SDIFF_DTYPE_U8 = 8,
    SDIFF_DTYPE_BOOL = 9,
    SDIFF_DTYPE_FORCE_INT32 = 0x7fffffff
} sdiff_dtype;

/** An empty set. @since 1.0 */
SDIFF_API sdiff_status sdiff_tensors_new(sdiff_context *context, sdiff_tensors **tensors);
/** All tensors of a file (safetensors, or any container that models come in). @since 1.0 */
SDIFF_API sdiff_status sdiff_tensors_open(sdiff_context *context, const char *path,
                                          sdiff_tensors **tensors);
/** NULL is ignored. @since 1.0 */
SDIFF_API void sdiff_tensors_free(sdiff_tensors *tensors);
/** Writes safetensors, under a temporary name that is then renamed. @return SDIFF_OK, IO, NO_MEMORY
 *  @since 1.0 */
SDIFF_API sdiff_status sdiff_tensors_save(sdiff_tensors *tensors, const char *path);

/**
 * Adds or replaces a tensor; name and data are copied.
 * @param dtype sdiff_dtype
 * @param rank  0 … 8
 * @param shape [rank], row-major
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_tensors_set(sdiff_tensors *tensors, const char *name, int32_t dtype,
                                         int32_t rank, const int64_t *shape, const void *data);

/** How many there are. @since 1.0 */
SDIFF_API int32_t sdiff_tensors_count(const sdiff_tensors *tensors);
/** The index-th name, in order; NULL behind the last. @since 1.0 */
SDIFF_API const char *sdiff_tensors_name(const sdiff_tensors *tensors, int32_t index);
/** Shape of a tensor: returns its rank and fills shape[8] (1 behind the rank; NULL: not
 *  asked for), or -1 where the name is absent. @since 1.0 */
SDIFF_API int32_t sdiff_tensors_shape(const sdiff_tensors *tensors, const char *name,
                                      int64_t *shape);
/** Its sdiff_dtype, or -1 where the name is absent. @since 1.0 */
SDIFF_API int32_t sdiff_tensors_dtype(const sdiff_tensors *tensors, const char *name);
/**
 * Copies the numbers of a tensor as float32.
 * @param count numbers in `out`: as many as the tensor has
 * @return SDIFF_OK, INVALID_ARGUMENT (the name is absent, another count)
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_tensors_get_f32(sdiff_tensors *tensors, const char *name, float *out,
                                             size_t count);
/** The same as integers; what is none, or beyond 2^62, is INVALID_ARGUMENT. @since 1.0 */
SDIFF_API sdiff_status sdiff_tensors_get_i64(sdiff_tensors *tensors, const char *name,
                                             int64_t *out, size_t count);
/** The sentence of the last failure on this set; "" if none. @since 1.0 */
SDIFF_API const char *sdiff_tensors_error(const sdiff_tensors *tensors);

/**
 * Runs one component of a model on tensors (float32 NCHW), any batch and size that it accepts:
 *
 * - "text": in input_ids [b,77] int64; out hidden_states.0 … .L, last_hidden_state, context
 * - "unet": in sample, timestep [] or [b], context, optionally down_residual.N, mid_residual,
 *   class_labels; out out
 * - "vae-encode": in image [b,3,h,w] in [-1,1]; out mean, logvar
 * - "vae-decode": in z, already divided by the scaling factor; out image
 * - "controlnet" (of a ControlNet's file): in sample, timestep, context, hint [b,3,8h,8w] in
 *   [0,1]; out down.0 …, mid: not weighted
 * - "depth": in pixel_values [b,3,h,w] in [-1,1], sides multiples of 32; out depth [b,1,h,w]
 *
 * @param options pairs of key and value, ended by NULL: {"clip_skip", "2", NULL}; NULL: none
 * @param out     results are added to it
 * @return as sdiff_pipeline_generate(); text: sdiff_model_error()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_model_run(sdiff_model *model, const char *component,
                                       sdiff_tensors *in, const char *const *options,
                                       sdiff_tensors *out);

#ifdef __cplusplus
}
#endif
#endif
