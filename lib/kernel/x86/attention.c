/* SPDX-License-Identifier: MIT
 *
 * The ladder of attention.
 */
#include "kernel/x86/attention.h"

#include "kernel/x86/x86.h"

void sdi_x86_init_attention(sdi_kernels *kernels, uint32_t mask)
{
#ifdef SDI_BUILD_AVX2
    if (!(mask & SDI_SET_AVX2))
        return;
    kernels->attention = sdi_k_attention_avx2;
    kernels->attention_scratch = sdi_k_attention_scratch_avx2;
#endif
#ifdef SDI_BUILD_AVX512
    if (!(mask & SDI_SET_AVX512))
        return;
    kernels->attention = sdi_k_attention_avx512;
    kernels->attention_scratch = sdi_k_attention_scratch_avx512;
#endif
}
