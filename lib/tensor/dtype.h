/* SPDX-License-Identifier: MIT
 *
 * Element types of files and of memory, and conversions of single numbers.
 */
#ifndef SDI_TENSOR_DTYPE_H
#define SDI_TENSOR_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum sdi_dtype {
    SDI_F32 = 0,
    SDI_F16,
    SDI_BF16,
    SDI_F64,
    SDI_I64,
    SDI_I32,
    SDI_I16,
    SDI_I8,
    SDI_U8,
    SDI_BOOL,
    SDI_DTYPE_COUNT
} sdi_dtype;

size_t sdi_dtype_size(sdi_dtype type);      // bytes of an element
const char *sdi_dtype_name(sdi_dtype type); // safetensors' spelling: "F32", "BF16", "I64" ...
int sdi_dtype_is_float(sdi_dtype type);

float sdi_f16_to_f32(uint16_t half);
uint16_t sdi_f32_to_f16(float value); // round to nearest even, overflow to infinity
float sdi_bf16_to_f32(uint16_t brain);
uint16_t sdi_f32_to_bf16(float value); // round to nearest even, NaN stays NaN

/* Widens count elements of any type to float32 (sources need no alignment); narrowing rounds to
 * nearest even. Readable reference loops: kernels have fast versions of the float ones. */
void sdi_convert_to_f32(float *out, const void *in, sdi_dtype type, size_t count);
void sdi_convert_from_f32(void *out, sdi_dtype type, const float *in, size_t count);

#endif
