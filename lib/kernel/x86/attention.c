/* SPDX-License-Identifier: MIT
 *
 * The ladder of attention.
 */
#include "kernel/x86/attention.h"

#include "kernel/x86/bf16.h"

#ifdef SDI_BUILD_AVX512BF16
static void attention_avx512bf16(const sdi_exec *exec, const sdi_attention *a)
{
    sdi_x86_bf16_attention(&sdi_x86_bf16_avx512bf16, exec, a);
}
#endif

#ifdef SDI_BUILD_AMX
static void attention_amx(const sdi_exec *exec, const sdi_attention *a)
{
    sdi_x86_bf16_attention(&sdi_x86_bf16_amx, exec, a);
}
#endif

void sdi_x86_init_attention(sdi_kernels *kernels, uint32_t mask)
{
    const int bf16 = kernels->operand == SDI_BF16;
#ifdef SDI_BUILD_AVX2
    if (!(mask & SDI_SET_AVX2))
        return;
    kernels->attention = bf16 ? sdi_k_attention_bf16_avx2 : sdi_k_attention_f32_avx2;
    kernels->attention_scratch = sdi_k_attention_scratch_avx2;
#endif
#ifdef SDI_BUILD_AVX512
    if (!(mask & SDI_SET_AVX512))
        return;
    kernels->attention = bf16 ? sdi_k_attention_bf16_avx512 : sdi_k_attention_f32_avx512;
    kernels->attention_scratch = sdi_k_attention_scratch_avx512;
#endif
    if (!bf16)
        return;
#ifdef SDI_BUILD_AVX512BF16
    if (!(mask & SDI_SET_AVX512_BF16))
        return;
    kernels->attention = attention_avx512bf16;
    kernels->attention_scratch = sdi_x86_bf16_attention_scratch;
#endif
#ifdef SDI_BUILD_AMX
    if (!(mask & SDI_SET_AMX_BF16))
        return;
    kernels->attention = attention_amx;
#endif
}
