/* SPDX-License-Identifier: MIT
 *
 * Widening of files' numbers with AVX-512.
 */
#include "kernel/x86/vec_avx512.h"

#include "kernel/x86/elements.h"
#include "kernel/x86/rows.h"

void sdi_k_convert_to_f32_avx512(float *out, const void *in, sdi_dtype type, size_t count)
{
    if (type == SDI_F32 || type == SDI_F16 || type == SDI_BF16)
        elements_widen(out, in, type, (int64_t)count);
    else
        sdi_convert_to_f32(out, in, type, count);
}
