/* SPDX-License-Identifier: MIT
 *
 * The x86 ladder: which family of kernels goes into the table.
 */
#include "kernel/x86/x86.h"

/* A set stands on the ones before it: asking for AVX-512 alone means everything up to AVX-512. */
static uint32_t with_lower(uint32_t mask)
{
    if (mask & SDI_SET_AMX_BF16)
        mask |= SDI_SET_AVX512_BF16;
    if (mask & SDI_SET_AVX512_BF16)
        mask |= SDI_SET_AVX512;
    if (mask & SDI_SET_AVX512)
        mask |= SDI_SET_AVX2;
    return mask;
}

void sdi_kernels_init_x86(sdi_kernels *kernels, uint32_t sets)
{
    sets = with_lower(sets);
    if (!(sets & SDI_SET_AVX2))
        return;
    sdi_x86_init_f32(kernels, sets);
    sdi_x86_init_bf16(kernels, sets);
    sdi_x86_init_attention(kernels, sets);
    sdi_x86_init_rows(kernels, sets);
}
