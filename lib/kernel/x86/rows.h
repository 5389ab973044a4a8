/* SPDX-License-Identifier: MIT
 *
 * The versions of the operations on rows: normalisations, element-wise, conversions.
 */
#ifndef SDI_KERNEL_X86_ROWS_H
#define SDI_KERNEL_X86_ROWS_H

#include "kernel/kernel.h"

void sdi_k_group_norm_avx2(const sdi_exec *exec, const sdi_group_norm *a);
size_t sdi_k_group_norm_scratch_avx2(const sdi_group_norm *a, int32_t workers);
void sdi_k_layer_norm_avx2(const sdi_exec *exec, const sdi_layer_norm *a);
void sdi_k_map_avx2(const sdi_exec *exec, const sdi_map *a);
void sdi_k_convert_to_f32_avx2(float *out, const void *in, sdi_dtype type, size_t count);

void sdi_k_group_norm_avx512(const sdi_exec *exec, const sdi_group_norm *a);
size_t sdi_k_group_norm_scratch_avx512(const sdi_group_norm *a, int32_t workers);
void sdi_k_layer_norm_avx512(const sdi_exec *exec, const sdi_layer_norm *a);
void sdi_k_map_avx512(const sdi_exec *exec, const sdi_map *a);
void sdi_k_convert_to_f32_avx512(float *out, const void *in, sdi_dtype type, size_t count);

#endif
