/* SPDX-License-Identifier: MIT
 *
 * The OpenBLAS set's entries of the table.
 */
#include "kernel/gemm/gemm.h"

void sdi_kernels_init_gemm(sdi_kernels *kernels)
{
    (void)kernels;
}
