/* SPDX-License-Identifier: MIT
 *
 * The reference's entries of the table.
 */
#include "kernel/ref/ref.h"

void sdi_kernels_init_ref(sdi_kernels *kernels, sdi_dtype operand)
{
    const int bf16 = operand == SDI_BF16;
    *kernels = (sdi_kernels){
        .names = "ref",
        .operand = operand,
        .row_multiple = 1,
        .pack_bytes = bf16 ? sdi_k_pack_bytes_bf16_ref : sdi_k_pack_bytes_f32_ref,
        .pack = bf16 ? sdi_k_pack_bf16_ref : sdi_k_pack_f32_ref,
        .unpack = bf16 ? sdi_k_unpack_bf16_ref : sdi_k_unpack_f32_ref,
        .linear = bf16 ? sdi_k_linear_bf16_ref : sdi_k_linear_f32_ref,
        .linear_scratch = sdi_k_linear_scratch_ref,
        .conv = bf16 ? sdi_k_conv_bf16_ref : sdi_k_conv_f32_ref,
        .conv_scratch = sdi_k_conv_scratch_ref,
        .attention = bf16 ? sdi_k_attention_bf16_ref : sdi_k_attention_f32_ref,
        .attention_scratch = sdi_k_attention_scratch_ref,
        .group_norm = sdi_k_group_norm_ref,
        .group_norm_scratch = sdi_k_group_norm_scratch_ref,
        .layer_norm = sdi_k_layer_norm_ref,
        .map = sdi_k_map_ref,
        .convert_to_f32 = sdi_convert_to_f32,
    };
}
