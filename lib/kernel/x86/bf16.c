/* SPDX-License-Identifier: MIT
 *
 * Puts the bf16 products, or float32 products made of three of them, into the table.
 */
#include "kernel/x86/bf16.h"

/* The table's functions of one instruction set. */
#define PRODUCTS(isa)                                                                              \
    static void linear_##isa(const sdi_exec *exec, const sdi_linear *a)                            \
    {                                                                                              \
        sdi_x86_bf16_linear(&sdi_x86_##isa, exec, a);                                              \
    }                                                                                              \
    static size_t linear_scratch_##isa(const sdi_linear *a, int32_t workers)                       \
    {                                                                                              \
        return sdi_x86_bf16_linear_scratch(&sdi_x86_##isa, a, workers);                            \
    }                                                                                              \
    static void conv_##isa(const sdi_exec *exec, const sdi_conv *a)                                \
    {                                                                                              \
        sdi_x86_bf16_conv(&sdi_x86_##isa, exec, a);                                                \
    }                                                                                              \
    static size_t conv_scratch_##isa(const sdi_conv *a, int32_t workers)                           \
    {                                                                                              \
        return sdi_x86_bf16_conv_scratch(&sdi_x86_##isa, a, workers);                              \
    }                                                                                              \
    static void use_##isa(sdi_kernels *kernels)                                                    \
    {                                                                                              \
        kernels->linear = linear_##isa;                                                            \
        kernels->linear_scratch = linear_scratch_##isa;                                            \
        kernels->conv = conv_##isa;                                                                \
        kernels->conv_scratch = conv_scratch_##isa;                                                \
    }

#ifdef SDI_BUILD_AVX2
PRODUCTS(bf16_avx2)
#endif
#ifdef SDI_BUILD_AVX512
PRODUCTS(bf16_avx512)
#endif
#ifdef SDI_BUILD_AVX512BF16
PRODUCTS(bf16_avx512bf16)
PRODUCTS(split_avx512bf16)
#endif
#ifdef SDI_BUILD_AMX
PRODUCTS(bf16_amx)
PRODUCTS(split_amx)
#endif

void sdi_x86_init_bf16(sdi_kernels *kernels, uint32_t mask)
{
    if (kernels->operand != SDI_BF16)
        return;
#ifdef SDI_BUILD_AVX2
    kernels->pack_bytes = sdi_x86_bf16_pack_bytes;
    kernels->pack = sdi_x86_bf16_pack;
    kernels->unpack = sdi_x86_bf16_unpack;
    use_bf16_avx2(kernels);
#endif
#ifdef SDI_BUILD_AVX512
    if (!(mask & SDI_SET_AVX512))
        return;
    use_bf16_avx512(kernels);
#endif
#ifdef SDI_BUILD_AVX512BF16
    if (!(mask & SDI_SET_AVX512_BF16))
        return;
    use_bf16_avx512bf16(kernels);
#endif
#ifdef SDI_BUILD_AMX
    if (!(mask & SDI_SET_AMX_BF16))
        return;
    use_bf16_amx(kernels);
#endif
}

void sdi_kernels_split_x86(sdi_kernels *kernels, uint32_t sets)
{
#ifdef SDI_BUILD_AVX512BF16
    if (!(sets & (SDI_SET_AVX512_BF16 | SDI_SET_AMX_BF16)))
        return;
    kernels->split = 1;
    kernels->pack_bytes = sdi_x86_split_pack_bytes;
    kernels->pack = sdi_x86_split_pack;
    kernels->unpack = sdi_x86_split_unpack;
    use_split_avx512bf16(kernels);
#endif
#ifdef SDI_BUILD_AMX
    if (!(sets & SDI_SET_AMX_BF16))
        return;
    use_split_amx(kernels);
#endif
}
