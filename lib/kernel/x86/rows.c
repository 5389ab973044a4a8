/* SPDX-License-Identifier: MIT
 *
 * The ladder of the operations on rows.
 */
#include "kernel/x86/rows.h"

#include "kernel/x86/x86.h"

void sdi_x86_init_rows(sdi_kernels *kernels, uint32_t mask)
{
#ifdef SDI_BUILD_AVX2
    if (!(mask & SDI_SET_AVX2))
        return;
    kernels->group_norm = sdi_k_group_norm_avx2;
    kernels->group_norm_scratch = sdi_k_group_norm_scratch_avx2;
    kernels->layer_norm = sdi_k_layer_norm_avx2;
    kernels->map = sdi_k_map_avx2;
    kernels->convert_to_f32 = sdi_k_convert_to_f32_avx2;
#endif
#ifdef SDI_BUILD_AVX512
    if (!(mask & SDI_SET_AVX512))
        return;
    kernels->group_norm = sdi_k_group_norm_avx512;
    kernels->group_norm_scratch = sdi_k_group_norm_scratch_avx512;
    kernels->layer_norm = sdi_k_layer_norm_avx512;
    kernels->map = sdi_k_map_avx512;
    kernels->convert_to_f32 = sdi_k_convert_to_f32_avx512;
#endif
}
