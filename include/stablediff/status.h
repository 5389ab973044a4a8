/* SPDX-License-Identifier: MIT
 *
 * Status codes: what every fallible function of the library returns.
 */
#ifndef STABLEDIFF_STATUS_H
#define STABLEDIFF_STATUS_H

#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Result of a call: SDIFF_OK or one of the negative codes below.
 * The list is append-only; the gaps are room for finer codes. A caller that meets a code it does
 * not know treats it as a failure. The sentence that goes with a failure is read from the handle
 * that the call was made on, for example sdiff_pipeline_error(), and from the context for
 * constructors (sdiff_context_error()).
 * @since 1.0
 */
typedef enum sdiff_status {
    SDIFF_OK = 0,
    SDIFF_ERROR_INVALID_ARGUMENT = -10, /**< a parameter is NULL, out of range or contradictory */
    SDIFF_ERROR_NO_MEMORY = -20,        /**< the allocator refused, or the limit is too low */
    SDIFF_ERROR_IO = -30,               /**< a file cannot be opened, read or written */
    SDIFF_ERROR_FORMAT = -40,           /**< a file is damaged or is not what it claims to be */
    SDIFF_ERROR_MISMATCH = -50,         /**< weights do not fit the network they are meant for */
    SDIFF_ERROR_UNSUPPORTED = -60,      /**< valid, but this library (or this build) cannot do it */
    SDIFF_ERROR_LIMIT = -70,            /**< beyond a documented limit of the library */
    SDIFF_ERROR_CANCELLED = -80,        /**< a callback or sdiff_pipeline_cancel() asked to stop */
    SDIFF_ERROR_INTERNAL = -90,         /**< a defect of the library: please report it */
    SDIFF_STATUS_FORCE_INT32 = 0x7fffffff
} sdiff_status;

/**
 * A fixed English phrase for a status, for example "damaged or unrecognised file".
 * @return a static string; never NULL, also for unknown codes.
 * @since 1.0
 */
SDIFF_API const char *sdiff_status_string(sdiff_status status);

#ifdef __cplusplus
}
#endif
#endif
