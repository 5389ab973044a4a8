/* SPDX-License-Identifier: MIT
 *
 * No x86 instruction sets in this build.
 */
#include "kernel/x86/x86.h"

uint32_t sdi_x86_sets_available(uint32_t mask)
{
    (void)mask;
    return 0;
}

void sdi_kernels_init_x86(sdi_kernels *kernels, uint32_t sets)
{
    (void)kernels;
    (void)sets;
}

void sdi_kernels_split_x86(sdi_kernels *kernels, uint32_t sets)
{
    (void)kernels;
    (void)sets;
}

x86_cpu sdi_x86_cpu(void)
{
    const x86_cpu none = {.one_ecx = 0};
    return none;
}

int sdi_x86_bf16_dots_are_fast(const x86_cpu *cpu)
{
    (void)cpu;
    return 0;
}
