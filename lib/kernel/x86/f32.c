/* SPDX-License-Identifier: MIT
 *
 * Puts the float32 products into the table.
 */
#include "kernel/x86/products.h"

#ifdef SDI_BUILD_AVX2
static void linear_avx2(const sdi_exec *exec, const sdi_linear *a)
{
    sdi_x86_linear(&sdi_x86_isa_avx2, exec, a);
}

static size_t linear_scratch_avx2(const sdi_linear *a, int32_t workers)
{
    return sdi_x86_linear_scratch(&sdi_x86_isa_avx2, a, workers);
}

static void conv_avx2(const sdi_exec *exec, const sdi_conv *a)
{
    sdi_x86_conv(&sdi_x86_isa_avx2, exec, a);
}

static size_t conv_scratch_avx2(const sdi_conv *a, int32_t workers)
{
    return sdi_x86_conv_scratch(&sdi_x86_isa_avx2, a, workers);
}
#endif

#ifdef SDI_BUILD_AVX512
static void linear_avx512(const sdi_exec *exec, const sdi_linear *a)
{
    sdi_x86_linear(&sdi_x86_isa_avx512, exec, a);
}

static size_t linear_scratch_avx512(const sdi_linear *a, int32_t workers)
{
    return sdi_x86_linear_scratch(&sdi_x86_isa_avx512, a, workers);
}

static void conv_avx512(const sdi_exec *exec, const sdi_conv *a)
{
    sdi_x86_conv(&sdi_x86_isa_avx512, exec, a);
}

static size_t conv_scratch_avx512(const sdi_conv *a, int32_t workers)
{
    return sdi_x86_conv_scratch(&sdi_x86_isa_avx512, a, workers);
}
#endif

void sdi_x86_init_f32(sdi_kernels *kernels, uint32_t mask)
{
    if (kernels->operand != SDI_F32)
        return;
#ifdef SDI_BUILD_AVX2
    kernels->pack_bytes = sdi_x86_pack_bytes;
    kernels->pack = sdi_x86_pack_avx2;
    kernels->unpack = sdi_x86_unpack;
    kernels->linear = linear_avx2;
    kernels->linear_scratch = linear_scratch_avx2;
    kernels->conv = conv_avx2;
    kernels->conv_scratch = conv_scratch_avx2;
#endif
#ifdef SDI_BUILD_AVX512
    if (!(mask & SDI_SET_AVX512))
        return;
    kernels->linear = linear_avx512;
    kernels->linear_scratch = linear_scratch_avx512;
    kernels->conv = conv_avx512;
    kernels->conv_scratch = conv_scratch_avx512;
#endif
}
