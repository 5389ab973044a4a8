/* SPDX-License-Identifier: MIT
 *
 * Loops over runs of float32 that a compiler vectorises without further flags, and rows of the
 * other float types as such runs.
 */
#ifndef SDI_KERNEL_GEMM_VECTOR_H
#define SDI_KERNEL_GEMM_VECTOR_H

#include "kernel/kernel.h"

static inline float sdi_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t sdi_bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* exp(x) within 2 ulp for |x| <= 87.3, clamped to it outside (so is NaN): x = n ln 2 + r by adding
 * and subtracting 1.5 * 2^23, the Taylor series of exp(r), |r| <= 0.347, up to r^7 (error 1.2e-8),
 * and n added to the exponent. Clamping in integers is 2.5 times as fast in SiLU as in floats. */
static inline float sdi_exp(float x)
{
    const int32_t limit = 0x42ae999a; // 87.3f
    const int32_t size = (int32_t)(sdi_bits_of(x) & 0x7fffffff);
    x = sdi_float_of((uint32_t)(size > limit ? limit : size) | (sdi_bits_of(x) & 0x80000000));
    const float shifted = x * 1.44269504f + 12582912.0f;
    const float n = shifted - 12582912.0f;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return sdi_float_of(sdi_bits_of(p) + (sdi_bits_of(shifted) << 23));
}

static inline float sdi_sigmoid(float x)
{
    return 1.0f / (1.0f + sdi_exp(-x));
}

/* GELU as max(x, 0) - |x|/2 erfc(|x| / sqrt 2), with erfc by formula 7.1.26 of Abramowitz and
 * Stegun (absolute error 1.5e-7). */
static inline float sdi_gelu(float x)
{
    const float size = x < 0 ? -x : x;
    const float t = 1.0f / (1.0f + 0.231641888f * size); // 0.3275911 / sqrt 2
    float p = 1.061405429f;
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const float erfc = p * t * sdi_exp(-0.5f * x * x);
    return (x < 0 ? 0 : x) - 0.5f * size * erfc;
}

/* x[i] = act(x[i]); GEGLU's gates as GELU. */
void sdi_act_row(sdi_act act, float *x, int64_t count);
/* x[i] = exp(x[i] - shift), and their sum. */
float sdi_exp_row(float *x, int64_t count, float shift);
float sdi_max_row(const float *x, int64_t count); // -infinity for none

void sdi_bf16_row(const uint16_t *in, int64_t count, float *out); // widens

/* Columns [column, column + count) of a row as float32: where they are, or converted to buffer. */
const float *sdi_row_read(const sdi_mat *m, int64_t row, int64_t column, int64_t count,
                          float *buffer);
/* The same as operands of products of a type: always copied, rounded for bf16. */
void sdi_row_operand(const sdi_mat *m, int64_t row, int64_t column, int64_t count,
                     sdi_dtype operand, float *out);
void sdi_row_write(const sdi_mat *m, int64_t row, int64_t column, int64_t count,
                   const float *values);

#endif
