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

/* What CPUID and XGETBV say. */
typedef struct x86_cpu {
    char maker[12];
    uint32_t one_ecx, seven_ebx, seven_edx, seven1_eax; // of leaf 1, leaf 7, leaf 7.1
    uint32_t xcr0;                                       // registers that the system saves
    uint32_t tiles, tile_rows, tile_row_bytes;           // of palette 1
    uint32_t product_k, product_row_bytes;               // largest of a tile product
} x86_cpu;

x86_cpu sdi_x86_cpu(void);
/* The sets (SDI_SET_*) that were compiled in and that such a CPU can run. */
uint32_t sdi_x86_sets_of(const x86_cpu *cpu);
/* Whether vdpbf16ps does twice the multiply-adds of fp32 in a cycle on such a CPU. */
int sdi_x86_bf16_dots_are_fast(const x86_cpu *cpu);

/* The sets of `mask` that CPU and operating system can run. Tiles are asked of the system only if
 * they are in the mask: a permission cannot be given back, and raises what the system demands of
 * alternative signal stacks. */
uint32_t sdi_x86_sets_available(uint32_t mask);

/* Overwrites what these sets, and those that they stand on, do better; they must be there.
 * kernels->operand says for which element type. */
void sdi_kernels_init_x86(sdi_kernels *kernels, uint32_t sets);

/* sdi_kernels_split with these sets; kernels->split stays 0 if they multiply no bf16 numbers. */
void sdi_kernels_split_x86(sdi_kernels *kernels, uint32_t sets);

/* The hooks, called by sdi_kernels_init_x86 with a mask of sets that may be executed (AVX2 at
 * least; lower sets are always in it). Each is a ladder: one early return per missing set, later
 * sets overwrite earlier ones. Calls to sets stand in #ifdef SDI_BUILD_<ISA>. */
void sdi_x86_init_f32(sdi_kernels *kernels, uint32_t mask);       // products, f32 operands
void sdi_x86_init_bf16(sdi_kernels *kernels, uint32_t mask);      // products, bf16 operands
void sdi_x86_init_attention(sdi_kernels *kernels, uint32_t mask); // both operands
void sdi_x86_init_rows(sdi_kernels *kernels, uint32_t mask);      // norms, map, conversions

#endif
