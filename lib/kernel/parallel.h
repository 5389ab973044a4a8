/* SPDX-License-Identifier: MIT
 *
 * How kernels use the pool: pieces fixed by shape, and no waking of threads for tiny work.
 */
#ifndef SDI_KERNEL_PARALLEL_H
#define SDI_KERNEL_PARALLEL_H

#include "kernel/kernel.h"

/* Waking sleeping workers costs about as much as this many simple operations (a multiply-add or an
 * element moved) on one core: about 50 microseconds. */
#define SDI_SERIAL_WORK 100000.0

/* Runs pieces 0..count-1, on the calling thread alone when `work` operations in all do not pay for
 * the others. Results are the same either way: pieces do not know who runs them. */
static inline void sdi_parallel_work(const sdi_exec *exec, int64_t count, double work,
                                     sdi_task_fn task, void *argument)
{
    sdi_parallel_for(work < SDI_SERIAL_WORK ? NULL : exec->pool, count, task, argument);
}

/* Worker's own part of the scratch memory, of `bytes` rounded up to whole cache lines. */
static inline size_t sdi_scratch_round(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static inline void *sdi_scratch_of(const sdi_exec *exec, size_t bytes, int32_t worker)
{
    return (char *)exec->scratch + sdi_scratch_round(bytes) * (size_t)worker;
}

static inline int64_t sdi_pieces(int64_t count, int64_t piece)
{
    return (count + piece - 1) / piece;
}

static inline int64_t sdi_round_up(int64_t count, int64_t unit)
{
    return sdi_pieces(count, unit) * unit;
}

#endif
