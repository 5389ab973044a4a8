/* SPDX-License-Identifier: MIT
 *
 * Element-wise operations with AVX-512: the method is in map_tmpl.h.
 */
#include "kernel/x86/vec_avx512.h"

#include "kernel/x86/map_tmpl.h"

void sdi_k_map_avx512(const sdi_exec *exec, const sdi_map *a)
{
    map(exec, a);
}
