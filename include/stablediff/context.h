/* SPDX-License-Identifier: MIT
 *
 * The context: threads, memory, log and kernels that the other handles share.
 */
#ifndef STABLEDIFF_CONTEXT_H
#define STABLEDIFF_CONTEXT_H

#include "status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Opaque. Handles made from a context keep it alive, so the order of freeing never matters. */
typedef struct sdiff_context sdiff_context;

/** Severity of a log message. */
typedef enum sdiff_log_level {
    SDIFF_LOG_LEVEL_WARNING = 1, /**< something was ignored or cut, e.g. a prompt at 75 tokens */
    SDIFF_LOG_LEVEL_INFO = 2,    /**< what was loaded, which kernels, how much memory */
    SDIFF_LOG_LEVEL_DEBUG = 3,   /**< timings, every surplus tensor */
    SDIFF_LOG_LEVEL_FORCE_INT32 = 0x7fffffff
} sdiff_log_level;

/**
 * Receives one formatted line without a newline. Called on the thread that made the library call.
 * Failures are returned, not logged.
 */
typedef void (*sdiff_log_fn)(void *user, int32_t level, const char *message);

/**
 * Allocates `size` bytes aligned to `alignment` (a power of two), or returns NULL. May be called
 * from several threads at once.
 */
typedef void *(*sdiff_alloc_fn)(void *user, size_t size, size_t alignment);

/** Frees memory from sdiff_alloc_fn; `size` is what was asked for. */
typedef void (*sdiff_free_fn)(void *user, void *memory, size_t size);

/** One piece of parallel work; `worker` is below the number of threads of the context. */
typedef void (*sdiff_task_fn)(void *argument, int64_t index, int32_t worker);

/**
 * The host's own parallel for: calls task(argument, i, worker) exactly once for each i from 0 to
 * count - 1, on any threads, such that calls that run at the same time have different workers below
 * sdiff_context_params.threads, and returns when all have returned. The sequential version is
 * `for (i = 0; i < count; i++) task(argument, i, 0);`.
 */
typedef void (*sdiff_parallel_fn)(void *user, sdiff_task_fn task, void *argument, int64_t count);

/**
 * How a context works. Fill with sdiff_context_params_init(), then change what differs.
 * @since 1.0
 */
typedef struct sdiff_context_params {
    size_t struct_size;             /**< sizeof(sdiff_context_params), set by the init function */
    sdiff_log_fn log;               /**< NULL (default): silent */
    void *log_user;                 /**< first argument of `log` */
    sdiff_alloc_fn alloc;           /**< NULL (default): the C library's; else `free` too */
    sdiff_free_fn free;             /**< NULL exactly if `alloc` is NULL */
    void *memory_user;              /**< first argument of `alloc` and `free` */
    sdiff_parallel_fn parallel_for; /**< NULL (default): a pool of the context's own threads */
    void *parallel_user;            /**< first argument of `parallel_for` */
    uint64_t memory_limit;          /**< bytes in use at once, 0 (default): no limit. Models and
                                         pictures that would take more are made in ways that take
                                         less: weights stay in the file and are packed when they are
                                         used, guidance is computed in halves, the autoencoder works
                                         on tiles. What needs more even then is refused before work
                                         starts, with the number needed */
    const char *kernels;            /**< kernel sets that may be used, e.g. "ref,openblas,avx2";
                                         NULL (default): the environment variable SDIFF_KERNELS,
                                         else "all". Sets that the CPU lacks are never used */
    int32_t threads;                /**< 0 (default): physical cores available to the process;
                                         1 … 1024. With `parallel_for`: its number of workers */
    int32_t log_level;              /**< highest sdiff_log_level wanted, default INFO */
} sdiff_context_params;

/**
 * Writes the defaults.
 * @param params      NULL is ignored
 * @param struct_size sizeof(sdiff_context_params) as the caller was compiled with
 * @since 1.0
 */
SDIFF_API void sdiff_context_params_init(sdiff_context_params *params, size_t struct_size);

/**
 * Creates a context.
 * @param params  NULL: the defaults. Copied.
 * @param context receives the handle, to be freed with sdiff_context_free(); NULL on failure
 * @return SDIFF_OK, INVALID_ARGUMENT, NO_MEMORY, UNSUPPORTED (a newer, unknown field is set)
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_context_new(const sdiff_context_params *params,
                                         sdiff_context **context);

/** Frees a context; handles made from it stay usable. NULL is ignored. @since 1.0 */
SDIFF_API void sdiff_context_free(sdiff_context *context);

/**
 * The sentence that explains the last failure of a constructor (sdiff_model_open() and the like) on
 * this context; "" if there was none. Valid until the next call on the context.
 *
 * Threads: constructors on one context are to be called by one thread at a time. Handles that exist
 * already can run meanwhile.
 * @since 1.0
 */
SDIFF_API const char *sdiff_context_error(const sdiff_context *context);

/** The number of threads in use. @since 1.0 */
SDIFF_API int32_t sdiff_context_threads(const sdiff_context *context);

/** The kernel sets in use, e.g. "ref+openblas+avx2+avx512". Static for the context. @since 1.0 */
SDIFF_API const char *sdiff_context_kernels(const sdiff_context *context);

/**
 * Bytes that the handles of this context hold now, and the most they ever held. Mapped model files
 * are not counted: the system reclaims them at will.
 * @param used, peak may be NULL
 * @since 1.0
 */
SDIFF_API void sdiff_context_memory(const sdiff_context *context, uint64_t *used, uint64_t *peak);

#ifdef __cplusplus
}
#endif
#endif
