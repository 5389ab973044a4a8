/* SPDX-License-Identifier: MIT
 *
 * The versions of attention in fp32. All take any float types; the bf16 ones round q, k and v.
 */
#ifndef SDI_KERNEL_X86_ATTENTION_H
#define SDI_KERNEL_X86_ATTENTION_H

#include "kernel/kernel.h"

/* A piece of work: so many queries of one head. */
typedef struct attention_place {
    int64_t image, query0, column0;
} attention_place;

/* With few keys the heads of the same queries follow each other, because their columns share cache
 * lines; with many, the queries of one head, because they share K and V. */
static inline attention_place attention_place_of(const sdi_attention *a, int64_t queries,
                                                 int64_t index)
{
    const int64_t blocks = (a->tq + queries - 1) / queries;
    const int heads_first = a->tk < a->tq;
    const int64_t rest = index / (heads_first ? a->heads : blocks);
    const int64_t head = heads_first ? index % a->heads : rest % a->heads;
    const int64_t block = heads_first ? rest % blocks : index % blocks;
    return (attention_place){rest / (heads_first ? blocks : a->heads), block * queries,
                             head * a->d};
}

void sdi_k_attention_f32_avx2(const sdi_exec *exec, const sdi_attention *a);
void sdi_k_attention_bf16_avx2(const sdi_exec *exec, const sdi_attention *a);
size_t sdi_k_attention_scratch_avx2(const sdi_attention *a, int32_t workers);
void sdi_k_attention_f32_avx512(const sdi_exec *exec, const sdi_attention *a);
void sdi_k_attention_bf16_avx512(const sdi_exec *exec, const sdi_attention *a);
size_t sdi_k_attention_scratch_avx512(const sdi_attention *a, int32_t workers);

#endif
