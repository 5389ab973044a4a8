/* SPDX-License-Identifier: MIT
 *
 * Puts the bf16 products into the table.
 */
#include "kernel/x86/bf16.h"

/* The table's functions of one instruction set. */
#define PRODUCTS(isa)                                                                              \
    static void linear_##isa(const sdi_exec *exec, const sdi_linear *a)                            \
    {                                                                                              \
        sdi_x86_bf16_linear(&sdi_x86_bf16_##isa, exec, a);                                         \
    }                                                                                              \
    static void conv_##isa(const sdi_exec *exec, const sdi_conv *a)                                \
    {                                                                                              \
        sdi_x86_bf16_conv(&sdi_x86_bf16_##isa, exec, a);                                           \
    }

#ifdef SDI_BUILD_AVX2
PRODUCTS(avx2)
#endif
#ifdef SDI_BUILD_AVX512
PRODUCTS(avx512)
#endif
#ifdef SDI_BUILD_AVX512BF16
PRODUCTS(avx512bf16)
#endif
#ifdef SDI_BUILD_AMX
PRODUCTS(amx)
#endif

void sdi_x86_init_bf16(sdi_kernels *kernels, uint32_t mask)
{
    if (kernels->operand != SDI_BF16)
        return;
#ifdef SDI_BUILD_AVX2
    kernels->pack_bytes = sdi_x86_bf16_pack_bytes;
    kernels->pack = sdi_x86_bf16_pack;
    kernels->unpack = sdi_x86_bf16_unpack;
    kernels->linear_scratch = sdi_x86_bf16_linear_scratch;
    kernels->conv_scratch = sdi_x86_bf16_conv_scratch;
    kernels->linear = linear_avx2;
    kernels->conv = conv_avx2;
#endif
#ifdef SDI_BUILD_AVX512
    if (!(mask & SDI_SET_AVX512))
        return;
    kernels->linear = linear_avx512;
    kernels->conv = conv_avx512;
#endif
#ifdef SDI_BUILD_AVX512BF16
    if (!(mask & SDI_SET_AVX512_BF16))
        return;
    kernels->linear = linear_avx512bf16;
    kernels->conv = conv_avx512bf16;
#endif
#ifdef SDI_BUILD_AMX
    if (!(mask & SDI_SET_AMX_BF16))
        return;
    kernels->linear = linear_amx;
    kernels->conv = conv_amx;
#endif
}
