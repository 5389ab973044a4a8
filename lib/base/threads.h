/* SPDX-License-Identifier: MIT
 *
 * One pool of threads per context: a parallel for whose work is divided by the caller into pieces
 * fixed by shape, never by the number of threads, so that results do not depend on it.
 */
#ifndef SDI_BASE_THREADS_H
#define SDI_BASE_THREADS_H

#include "base/env.h"

typedef struct sdi_pool sdi_pool;

/* Piece `index` of a parallel for. `worker` is below sdi_pool_size() and names the scratch memory
 * that this call may use; two calls that run at the same time have different workers. */
typedef void (*sdi_task_fn)(void *argument, int64_t index, int32_t worker);

/* The host's own parallel for: must call task(argument, i, worker) once for each i in 0..count-1,
 * with workers below `threads`, and return when all have returned. */
typedef void (*sdi_parallel_fn)(void *user, void (*task)(void *argument, int64_t index,
                                                         int32_t worker),
                                void *argument, int64_t count);

/* threads 0: the physical cores that this process may use (affinity, cgroup quota). With a host
 * function no threads are created and `threads` is the number of workers it promises. */
sdiff_status sdi_pool_new(const sdi_env *env, int32_t threads, sdi_parallel_fn host, void *user,
                          sdi_pool **out);
void sdi_pool_free(const sdi_env *env, sdi_pool *pool); // NULL is allowed
int32_t sdi_pool_size(const sdi_pool *pool);

/* Runs task for 0..count-1 and returns when all are done. pool NULL: on the calling thread, as
 * worker 0. Calls from several threads on one pool are safe; one of them gets the threads and the
 * others run alone. A task must not call sdi_parallel_for on the same pool. */
void sdi_parallel_for(sdi_pool *pool, int64_t count, sdi_task_fn task, void *argument);

#endif
