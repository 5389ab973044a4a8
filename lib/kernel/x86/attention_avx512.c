/* SPDX-License-Identifier: MIT
 *
 * Attention with AVX-512: the method is in attention_tmpl.h.
 */
#include "kernel/x86/vec_avx512.h"

/* 16 accumulators: enough for two multiply-adds a cycle; d of all networks is a multiple of 8. */
enum { QUERY_VECS = 2, TILE_ROWS = 8 };

#include "kernel/x86/attention_tmpl.h"

void sdi_k_attention_f32_avx512(const sdi_exec *exec, const sdi_attention *a)
{
    attention(exec, a, SDI_F32);
}

void sdi_k_attention_bf16_avx512(const sdi_exec *exec, const sdi_attention *a)
{
    attention(exec, a, SDI_BF16);
}

size_t sdi_k_attention_scratch_avx512(const sdi_attention *a, int32_t workers)
{
    return attention_scratch(a, workers);
}
