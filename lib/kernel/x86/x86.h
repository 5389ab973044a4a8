/* SPDX-License-Identifier: MIT
 *
 * What the x86-64 kernels share: detection, the ladder that fills the table, and the hooks through
 * which each family of kernels puts its functions in.
 *
 * Files named *_<isa>.c are compiled with that instruction set's flags (meson.build) and may hold
 * no code that runs at load time; everything else here is plain x86-64.
 */
#ifndef SDI_KERNEL_X86_X86_H
#define SDI_KERNEL_X86_X86_H

#include "kernel/kernel.h"

/* The sets (SDI_SET_*) that were compiled in and that CPU and operating system can run. Each
 * implies the ones before it: AVX512 needs AVX2, AVX512_BF16 and AMX_BF16 need AVX512. */
uint32_t sdi_x86_sets_available(void);

/* Whether vdpbf16ps does twice the multiply-adds of fp32 in a cycle on this CPU. */
int sdi_x86_bf16_dots_are_fast(void);

/* Overwrites what the sets of `mask` (cut to the available ones) do better. kernels->operand says
 * for which element type. */
void sdi_kernels_init_x86(sdi_kernels *kernels, uint32_t mask);

/* The hooks, called by sdi_kernels_init_x86 with a mask of sets that may be executed (AVX2 at
 * least; lower sets are always in it). Each is a ladder: one early return per missing set, later
 * sets overwrite earlier ones. Calls to sets stand in #ifdef SDI_BUILD_<ISA>. */
void sdi_x86_init_f32(sdi_kernels *kernels, uint32_t mask);       // products, f32 operands
void sdi_x86_init_bf16(sdi_kernels *kernels, uint32_t mask);      // products, bf16 operands
void sdi_x86_init_attention(sdi_kernels *kernels, uint32_t mask); // both operands
void sdi_x86_init_rows(sdi_kernels *kernels, uint32_t mask);      // norms, map, conversions

#endif
