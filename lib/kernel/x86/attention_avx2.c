/* SPDX-License-Identifier: MIT
 *
 * Attention with AVX2: the method is in attention_tmpl.h.
 */
#include "kernel/x86/vec_avx2.h"

/* 12 accumulators, 3 vectors of queries, 1 broadcast: all 16 registers. */
enum { QUERY_VECS = 3, TILE_ROWS = 4 };

#include "kernel/x86/attention_tmpl.h"

void sdi_k_attention_f32_avx2(const sdi_exec *exec, const sdi_attention *a)
{
    attention(exec, a, SDI_F32);
}

void sdi_k_attention_bf16_avx2(const sdi_exec *exec, const sdi_attention *a)
{
    attention(exec, a, SDI_BF16);
}

size_t sdi_k_attention_scratch_avx2(const sdi_attention *a, int32_t workers)
{
    return attention_scratch(a, workers);
}
