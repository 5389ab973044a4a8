/* SPDX-License-Identifier: MIT
 *
 * Group normalisation with AVX2: the method is in group_norm_tmpl.h.
 */
#include "kernel/x86/vec_avx2.h"

#include "kernel/x86/group_norm_tmpl.h"

void sdi_k_group_norm_avx2(const sdi_exec *exec, const sdi_group_norm *a)
{
    group_norm(exec, a);
}

size_t sdi_k_group_norm_scratch_avx2(const sdi_group_norm *a, int32_t workers)
{
    return group_norm_scratch(a, workers);
}
