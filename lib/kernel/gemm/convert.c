/* SPDX-License-Identifier: MIT
 *
 * Runs of numbers: activations, exponentials, and the float types.
 */
#include "kernel/gemm/gemm.h"
#include "kernel/gemm/vector.h"

#include <math.h>

enum { LANES = 8 };

void sdi_act_row(sdi_act act, float *x, int64_t count)
{
    switch (act) {
    case SDI_ACT_NONE: break;
    case SDI_ACT_SILU:
        for (int64_t i = 0; i < count; i++)
            x[i] *= sdi_sigmoid(x[i]);
        break;
    case SDI_ACT_GELU:
    case SDI_ACT_GEGLU:
        for (int64_t i = 0; i < count; i++)
            x[i] = sdi_gelu(x[i]);
        break;
    case SDI_ACT_QUICK_GELU:
        for (int64_t i = 0; i < count; i++)
            x[i] *= sdi_sigmoid(1.702f * x[i]);
        break;
    case SDI_ACT_RELU:
        for (int64_t i = 0; i < count; i++)
            x[i] = x[i] < 0 ? 0 : x[i];
        break;
    }
}

float sdi_exp_row(float *x, int64_t count, float shift)
{
    for (int64_t i = 0; i < count; i++) {
        const float d = x[i] - shift;
        x[i] = sdi_exp(d) + (d - d); // d - d is 0, or NaN where sdi_exp would hide one
    }
    float sums[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            sums[lane] += x[i + lane];
    for (; i < count; i++)
        sum += x[i];
    for (int lane = 0; lane < LANES; lane++)
        sum += sums[lane];
    return sum;
}

float sdi_max_row(const float *x, int64_t count)
{
    float maxima[LANES], max = -INFINITY;
    for (int lane = 0; lane < LANES; lane++)
        maxima[lane] = max;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            maxima[lane] = x[i + lane] > maxima[lane] ? x[i + lane] : maxima[lane];
    for (; i < count; i++)
        max = SDI_MAX(max, x[i]);
    for (int lane = 0; lane < LANES; lane++)
        max = SDI_MAX(max, maxima[lane]);
    return max;
}

void sdi_bf16_row(const uint16_t *in, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = sdi_float_of((uint32_t)in[i] << 16);
}

/* Round to nearest even; NaN stays NaN because its quiet bit survives. */
static inline uint32_t round_bits(uint32_t bits)
{
    const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
    return (bits & 0x7fffffff) > 0x7f800000 ? (bits | 0x400000) : rounded;
}

static void round_to_bf16(float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = sdi_float_of(round_bits(sdi_bits_of(x[i])) & 0xffff0000);
}

static void narrow_to_bf16(const float *in, int64_t count, uint16_t *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (uint16_t)(round_bits(sdi_bits_of(in[i])) >> 16);
}

/* Subnormal halves go through whole numbers: as bits of a float they would count as zero while
 * the library flushes denormals. */
static void widen_f16(const uint16_t *in, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i++) {
        const uint32_t half = in[i], exponent = half & 0x7c00;
        const uint32_t normal = ((half & 0x7fff) << 13) + (112u << 23);
        const uint32_t special = (half & 0x7fff) << 13 | 0x7f800000;
        const uint32_t subnormal = sdi_bits_of((float)(int32_t)(half & 0x3ff) * 0x1p-24f);
        const uint32_t magnitude = exponent == 0        ? subnormal
                                   : exponent == 0x7c00 ? special
                                                        : normal;
        out[i] = sdi_float_of(magnitude | (half & 0x8000) << 16);
    }
}

void sdi_k_convert_to_f32_gemm(float *out, const void *in, sdi_dtype type, size_t count)
{
    const int aligned = (uintptr_t)in % sizeof(uint16_t) == 0;
    if (type == SDI_BF16 && aligned)
        sdi_bf16_row(in, (int64_t)count, out);
    else if (type == SDI_F16 && aligned)
        widen_f16(in, (int64_t)count, out);
    else
        sdi_convert_to_f32(out, in, type, count);
}

static void *address(const sdi_mat *m, int64_t row, int64_t column)
{
    return (char *)m->data + (size_t)(row * m->ld + column) * sdi_dtype_size(m->type);
}

const float *sdi_row_read(const sdi_mat *m, int64_t row, int64_t column, int64_t count,
                          float *buffer)
{
    if (m->type == SDI_F32)
        return address(m, row, column);
    sdi_k_convert_to_f32_gemm(buffer, address(m, row, column), m->type, (size_t)count);
    return buffer;
}

void sdi_row_operand(const sdi_mat *m, int64_t row, int64_t column, int64_t count,
                     sdi_dtype operand, float *out)
{
    const float *from = sdi_row_read(m, row, column, count, out);
    if (from != out)
        memcpy(out, from, (size_t)count * sizeof *out);
    if (operand == SDI_BF16 && m->type != SDI_BF16)
        round_to_bf16(out, count);
}

void sdi_row_write(const sdi_mat *m, int64_t row, int64_t column, int64_t count,
                   const float *values)
{
    if (m->type == SDI_BF16)
        narrow_to_bf16(values, count, address(m, row, column));
    else
        sdi_convert_from_f32(address(m, row, column), m->type, values, (size_t)count);
}
