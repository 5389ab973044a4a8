/* SPDX-License-Identifier: MIT
 *
 * The versions of attention in fp32. All take any float types; the bf16 ones round q, k and v.
 */
#ifndef SDI_KERNEL_X86_ATTENTION_H
#define SDI_KERNEL_X86_ATTENTION_H

#include "kernel/kernel.h"

void sdi_k_attention_f32_avx2(const sdi_exec *exec, const sdi_attention *a);
void sdi_k_attention_bf16_avx2(const sdi_exec *exec, const sdi_attention *a);
size_t sdi_k_attention_scratch_avx2(const sdi_attention *a, int32_t workers);
void sdi_k_attention_f32_avx512(const sdi_exec *exec, const sdi_attention *a);
void sdi_k_attention_bf16_avx512(const sdi_exec *exec, const sdi_attention *a);
size_t sdi_k_attention_scratch_avx512(const sdi_attention *a, int32_t workers);

#endif
