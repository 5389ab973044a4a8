/* SPDX-License-Identifier: MIT
 *
 * The OpenBLAS set: products by its sgemm, and loops that a compiler vectorises for everything
 * around them.
 *
 * OpenBLAS's threads are not used. They belong to the host (their number is process-wide), and a
 * pool of spinning OpenBLAS threads beside our own makes both slow: an im2col pass on our threads
 * took 3 times as long right after a threaded sgemm. Instead our own threads call sgemm on blocks
 * so small that it runs on the calling thread, which reaches 90 % and more of its large rate.
 */
#ifndef SDI_KERNEL_GEMM_GEMM_H
#define SDI_KERNEL_GEMM_GEMM_H

#include "kernel/kernel.h"

/* Overwrites what this set does better than the reference. */
void sdi_kernels_init_gemm(sdi_kernels *kernels);

size_t sdi_k_pack_bytes_f32_gemm(const sdi_packed *w);
size_t sdi_k_pack_bytes_bf16_gemm(const sdi_packed *w);
void sdi_k_pack_f32_gemm(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                         const void *source, sdi_dtype type);
void sdi_k_pack_bf16_gemm(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                          const void *source, sdi_dtype type);
void sdi_k_unpack_f32_gemm(const sdi_packed *w, int64_t row0, int64_t rows, float *out);
void sdi_k_unpack_bf16_gemm(const sdi_packed *w, int64_t row0, int64_t rows, float *out);

void sdi_k_linear_f32_gemm(const sdi_exec *exec, const sdi_linear *a);
void sdi_k_linear_bf16_gemm(const sdi_exec *exec, const sdi_linear *a);
size_t sdi_k_linear_scratch_gemm(const sdi_linear *a, int32_t workers);
void sdi_k_conv_f32_gemm(const sdi_exec *exec, const sdi_conv *a);
void sdi_k_conv_bf16_gemm(const sdi_exec *exec, const sdi_conv *a);
size_t sdi_k_conv_scratch_gemm(const sdi_conv *a, int32_t workers);
void sdi_k_attention_f32_gemm(const sdi_exec *exec, const sdi_attention *a);
void sdi_k_attention_bf16_gemm(const sdi_exec *exec, const sdi_attention *a);
size_t sdi_k_attention_scratch_gemm(const sdi_attention *a, int32_t workers);
void sdi_k_group_norm_gemm(const sdi_exec *exec, const sdi_group_norm *a);
size_t sdi_k_group_norm_scratch_gemm(const sdi_group_norm *a, int32_t workers);
void sdi_k_layer_norm_gemm(const sdi_exec *exec, const sdi_layer_norm *a);
void sdi_k_map_gemm(const sdi_exec *exec, const sdi_map *a);
void sdi_k_convert_to_f32_gemm(float *out, const void *in, sdi_dtype type, size_t count);

#endif
