/* SPDX-License-Identifier: MIT
 *
 * The floating-point state of kernels: nearest even, no traps, denormals count as zero (slow on
 * many CPUs, and far below what a sum of products keeps). The caller's state comes back with
 * fpu_leave, its exception flags too.
 */
#ifndef SDI_KERNEL_X86_FPU_H
#define SDI_KERNEL_X86_FPU_H

#include <xmmintrin.h>

static inline unsigned fpu_enter(void)
{
    const unsigned callers = _mm_getcsr();
    _mm_setcsr(0x9fc0);
    return callers;
}

static inline void fpu_leave(unsigned callers)
{
    _mm_setcsr(callers);
}

#endif
