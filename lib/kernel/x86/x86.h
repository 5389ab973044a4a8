/* SPDX-License-Identifier: MIT
 *
 * The kernels for x86-64 instruction sets beyond the baseline.
 */
#ifndef SDI_KERNEL_X86_X86_H
#define SDI_KERNEL_X86_X86_H

#include "kernel/kernel.h"

/* Which of the SDI_SET_* bits of x86 this build holds and this CPU and operating system run. */
uint32_t sdi_x86_sets_available(void);

/* Overwrites what the sets of `mask` (available ones only) do better, in rising order. */
void sdi_kernels_init_x86(sdi_kernels *kernels, uint32_t mask);

#endif
