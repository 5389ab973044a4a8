/* SPDX-License-Identifier: MIT
 *
 * Layer normalisation with AVX-512: the method is in layer_norm_tmpl.h.
 */
#include "kernel/x86/vec_avx512.h"

#include "kernel/x86/layer_norm_tmpl.h"

void sdi_k_layer_norm_avx512(const sdi_exec *exec, const sdi_layer_norm *a)
{
    layer_norm(exec, a);
}
