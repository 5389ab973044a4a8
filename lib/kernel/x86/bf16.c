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
    static size_t linear_scratch_##isa(const sdi_linear *a, int32_t workers)                       \
    {                                                                                              \
        return sdi_x86_bf16_linear_scratch(&sdi_x86_bf16_##isa, a, workers);                       \
    }                                                                                              \
    static void conv_##isa(const sdi_exec *exec, const sdi_conv *a)                                \
    {                                                                                              \
        sdi_x86_bf16_conv(&sdi_x86_bf16_##isa, exec, a);                                           \
    }                                                                                              \
    static size_t conv_scratch_##isa(const sdi_conv *a, int32_t workers)                           \
    {                                                                                              \
        return sdi_x86_bf16_conv_scratch(&sdi_x86_bf16_##isa, a, workers);                         \
    }                                                                                              \
    static void use_##isa(sdi_kernels *kernels)                                                    \
    {                                                                                              \
        kernels->linear = linear_##isa;                                                            \
        kernels->linear_scratch = linear_scratch_##isa;                                            \
        kernels->conv = conv_##isa;                                                                \
        kernels->conv_scratch = conv_scratch_##isa;                                                \
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
    use_avx2(kernels);
#endif
#ifdef SDI_BUILD_AVX512
    if (!(mask & SDI_SET_AVX512))
        return;
    use_avx512(kernels);
#endif
#ifdef SDI_BUILD_AVX512BF16
    if (!(mask & SDI_SET_AVX512_BF16))
        return;
    use_avx512bf16(kernels);
#endif
#ifdef SDI_BUILD_AMX
    if (!(mask & SDI_SET_AMX_BF16))
        return;
    use_amx(kernels);
#endif
}
