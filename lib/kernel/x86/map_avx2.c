/* SPDX-License-Identifier: MIT
 *
 * Element-wise operations with AVX2: the method is in map_tmpl.h.
 */
#include "kernel/x86/vec_avx2.h"

#include "kernel/x86/map_tmpl.h"

void sdi_k_map_avx2(const sdi_exec *exec, const sdi_map *a)
{
    map(exec, a);
}
