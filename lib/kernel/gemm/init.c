/* SPDX-License-Identifier: MIT
 *
 * The OpenBLAS set's entries of the table.
 */
#include "kernel/gemm/gemm.h"

void sdi_kernels_init_gemm(sdi_kernels *kernels)
{
    const int bf16 = kernels->operand == SDI_BF16;
    kernels->pack_bytes = bf16 ? sdi_k_pack_bytes_bf16_gemm : sdi_k_pack_bytes_f32_gemm;
    kernels->pack = bf16 ? sdi_k_pack_bf16_gemm : sdi_k_pack_f32_gemm;
    kernels->unpack = bf16 ? sdi_k_unpack_bf16_gemm : sdi_k_unpack_f32_gemm;
    kernels->linear = bf16 ? sdi_k_linear_bf16_gemm : sdi_k_linear_f32_gemm;
    kernels->linear_scratch = sdi_k_linear_scratch_gemm;
    kernels->conv = bf16 ? sdi_k_conv_bf16_gemm : sdi_k_conv_f32_gemm;
    kernels->conv_scratch = sdi_k_conv_scratch_gemm;
    kernels->attention = bf16 ? sdi_k_attention_bf16_gemm : sdi_k_attention_f32_gemm;
    kernels->attention_scratch = sdi_k_attention_scratch_gemm;
    kernels->group_norm = sdi_k_group_norm_gemm;
    kernels->group_norm_scratch = sdi_k_group_norm_scratch_gemm;
    kernels->layer_norm = sdi_k_layer_norm_gemm;
    kernels->map = sdi_k_map_gemm;
    kernels->convert_to_f32 = sdi_k_convert_to_f32_gemm;
}
