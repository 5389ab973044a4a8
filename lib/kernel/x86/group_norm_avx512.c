/* SPDX-License-Identifier: MIT
 *
 * Group normalisation with AVX-512: the method is in group_norm_tmpl.h.
 */
#include "kernel/x86/vec_avx512.h"

#include "kernel/x86/group_norm_tmpl.h"

void sdi_k_group_norm_avx512(const sdi_exec *exec, const sdi_group_norm *a)
{
    group_norm(exec, a);
}

size_t sdi_k_group_norm_scratch_avx512(const sdi_group_norm *a, int32_t workers)
{
    return group_norm_scratch(a, workers);
}
