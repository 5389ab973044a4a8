/* SPDX-License-Identifier: MIT
 *
 * The reference kernels: the definition of what each operation computes, in plain loops. Numbers
 * are read from any of the three float types, calculated in double, and rounded once when stored.
 *
 * In the bf16 versions the operands of products are rounded to bfloat16 first (weights are stored
 * so) and their products summed wide: that is the definition of the bf16 mode.
 */
#ifndef SDI_KERNEL_REF_REF_H
#define SDI_KERNEL_REF_REF_H

#include "kernel/kernel.h"

#include <math.h>

/* Fills every entry of the table. */
void sdi_kernels_init_ref(sdi_kernels *kernels, sdi_dtype operand);

void sdi_k_linear_f32_ref(const sdi_exec *exec, const sdi_linear *a);
void sdi_k_linear_bf16_ref(const sdi_exec *exec, const sdi_linear *a);
size_t sdi_k_linear_scratch_ref(const sdi_linear *a, int32_t workers);
void sdi_k_conv_f32_ref(const sdi_exec *exec, const sdi_conv *a);
void sdi_k_conv_bf16_ref(const sdi_exec *exec, const sdi_conv *a);
size_t sdi_k_conv_scratch_ref(const sdi_conv *a, int32_t workers);
void sdi_k_attention_f32_ref(const sdi_exec *exec, const sdi_attention *a);
void sdi_k_attention_bf16_ref(const sdi_exec *exec, const sdi_attention *a);
size_t sdi_k_attention_scratch_ref(const sdi_attention *a, int32_t workers);
void sdi_k_group_norm_ref(const sdi_exec *exec, const sdi_group_norm *a);
size_t sdi_k_group_norm_scratch_ref(const sdi_group_norm *a, int32_t workers);
void sdi_k_layer_norm_ref(const sdi_exec *exec, const sdi_layer_norm *a);
void sdi_k_map_ref(const sdi_exec *exec, const sdi_map *a);

size_t sdi_k_pack_bytes_f32_ref(const sdi_packed *w);
size_t sdi_k_pack_bytes_bf16_ref(const sdi_packed *w);
void sdi_k_pack_f32_ref(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                        const void *source, sdi_dtype type);
void sdi_k_pack_bf16_ref(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                         const void *source, sdi_dtype type);
void sdi_k_unpack_f32_ref(const sdi_packed *w, int64_t row0, int64_t rows, float *out);
void sdi_k_unpack_bf16_ref(const sdi_packed *w, int64_t row0, int64_t rows, float *out);

/* One number of a matrix, and back. */
static inline double sdi_ref_get(const sdi_mat *m, int64_t row, int64_t column)
{
    const int64_t i = row * m->ld + column;
    switch (m->type) {
    case SDI_F16: return sdi_f16_to_f32(((const uint16_t *)m->data)[i]);
    case SDI_BF16: return sdi_bf16_to_f32(((const uint16_t *)m->data)[i]);
    default: return ((const float *)m->data)[i];
    }
}

static inline void sdi_ref_put(const sdi_mat *m, int64_t row, int64_t column, double value)
{
    const int64_t i = row * m->ld + column;
    switch (m->type) {
    case SDI_F16: ((uint16_t *)m->data)[i] = sdi_f32_to_f16((float)value); break;
    case SDI_BF16: ((uint16_t *)m->data)[i] = sdi_f32_to_bf16((float)value); break;
    default: ((float *)m->data)[i] = (float)value; break;
    }
}

/* A number as a product with operands of this type takes it. */
static inline double sdi_ref_operand(double value, sdi_dtype operand)
{
    return operand == SDI_BF16 ? (double)sdi_bf16_to_f32(sdi_f32_to_bf16((float)value)) : value;
}

static inline double sdi_ref_act(sdi_act act, double x)
{
    switch (act) {
    case SDI_ACT_SILU: return x / (1 + exp(-x));
    case SDI_ACT_GELU:
    case SDI_ACT_GEGLU: return x / 2 * (1 + erf(x * 0.70710678118654752440)); // 1 / sqrt 2
    case SDI_ACT_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case SDI_ACT_RELU: return x > 0 || isnan(x) ? x : 0;
    case SDI_ACT_NONE: break;
    }
    return x;
}

#endif
