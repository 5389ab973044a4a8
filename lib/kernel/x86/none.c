/* SPDX-License-Identifier: MIT
 *
 * No x86 instruction sets in this build.
 */
#include "kernel/x86/x86.h"

uint32_t sdi_x86_sets_available(void)
{
    return 0;
}

void sdi_kernels_init_x86(sdi_kernels *kernels, uint32_t mask)
{
    (void)kernels;
    (void)mask;
}

int sdi_x86_bf16_dots_are_fast(void)
{
    return 0;
}
