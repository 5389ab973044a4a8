/* SPDX-License-Identifier: MIT
 *
 * The versions of attention. The f32 ones take any float types and serve both operand types.
 */
#ifndef SDI_KERNEL_X86_ATTENTION_H
#define SDI_KERNEL_X86_ATTENTION_H

#include "kernel/kernel.h"

void sdi_k_attention_avx2(const sdi_exec *exec, const sdi_attention *a);
size_t sdi_k_attention_scratch_avx2(const sdi_attention *a, int32_t workers);
void sdi_k_attention_avx512(const sdi_exec *exec, const sdi_attention *a);
size_t sdi_k_attention_scratch_avx512(const sdi_attention *a, int32_t workers);

#endif
