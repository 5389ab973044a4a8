/* SPDX-License-Identifier: MIT
 *
 * Kernels over OpenBLAS's single-precision matrix product, and loops that the compiler vectorises
 * for everything around it.
 */
#ifndef SDI_KERNEL_GEMM_GEMM_H
#define SDI_KERNEL_GEMM_GEMM_H

#include "kernel/kernel.h"

/* Overwrites what this set does better than the reference. */
void sdi_kernels_init_gemm(sdi_kernels *kernels);

#endif
