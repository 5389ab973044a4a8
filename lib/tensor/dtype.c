/* SPDX-License-Identifier: MIT
 *
 * Element types and their conversions (IEEE 754 binary16, bfloat16).
 */
#include "tensor/dtype.h"

static const struct {
    const char *name;
    size_t size;
    int is_float;
} types[SDI_DTYPE_COUNT] = {
    [SDI_F32] = {"F32", 4, 1}, [SDI_F16] = {"F16", 2, 1}, [SDI_BF16] = {"BF16", 2, 1},
    [SDI_F64] = {"F64", 8, 1}, [SDI_I64] = {"I64", 8, 0}, [SDI_I32] = {"I32", 4, 0},
    [SDI_I16] = {"I16", 2, 0}, [SDI_I8] = {"I8", 1, 0},   [SDI_U8] = {"U8", 1, 0},
    [SDI_BOOL] = {"BOOL", 1, 0},
};

size_t sdi_dtype_size(sdi_dtype type)
{
    return types[type].size;
}

const char *sdi_dtype_name(sdi_dtype type)
{
    return types[type].name;
}

int sdi_dtype_is_float(sdi_dtype type)
{
    return types[type].is_float;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float sdi_f16_to_f32(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    const uint32_t exponent = (half >> 10) & 31;
    const uint32_t mantissa = half & 0x3ff;
    if (exponent == 31) // infinity or NaN
        return float_of(sign | 0x7f800000 | mantissa << 13);
    if (exponent == 0) { // zero or subnormal: exact as a product
        const float value = (float)mantissa * 0x1p-24f;
        return float_of(sign | bits_of(value));
    }
    return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t sdi_f32_to_f16(float value)
{
    const uint32_t bits = bits_of(value);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    const uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return sign | 0x7e00; // quiet NaN
    if (magnitude >= 0x477ff000)
        return sign | 0x7c00; // rounds to 65536 or more
    if (magnitude < 0x38800000) {
        /* Subnormal result: adding 0.5 puts the rounding at the right bit. */
        const float shifted = float_of(magnitude) + 0.5f;
        return (uint16_t)(sign | (bits_of(shifted) - bits_of(0.5f)));
    }
    const uint32_t odd = magnitude >> 13 & 1;
    return (uint16_t)(sign | (magnitude + 0xc8000fff + odd) >> 13);
}

float sdi_bf16_to_f32(uint16_t brain)
{
    return float_of((uint32_t)brain << 16);
}

uint16_t sdi_f32_to_bf16(float value)
{
    const uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#define WIDEN(type, expression)                                                                    \
    for (size_t i = 0; i < count; i++) {                                                           \
        type x;                                                                                    \
        memcpy(&x, (const char *)in + i * sizeof x, sizeof x);                                     \
        out[i] = (float)(expression);                                                              \
    }                                                                                              \
    return

void sdi_convert_to_f32(float *out, const void *in, sdi_dtype type, size_t count)
{
    switch (type) {
    case SDI_F32: memcpy(out, in, count * sizeof *out); return;
    case SDI_F16: WIDEN(uint16_t, sdi_f16_to_f32(x));
    case SDI_BF16: WIDEN(uint16_t, sdi_bf16_to_f32(x));
    case SDI_F64: WIDEN(double, x);
    case SDI_I64: WIDEN(int64_t, x);
    case SDI_I32: WIDEN(int32_t, x);
    case SDI_I16: WIDEN(int16_t, x);
    case SDI_I8: WIDEN(int8_t, x);
    case SDI_U8:
    case SDI_BOOL: WIDEN(uint8_t, x);
    case SDI_DTYPE_COUNT: return;
    }
}

#define NARROW(type, expression)                                                                   \
    for (size_t i = 0; i < count; i++) {                                                           \
        const type x = (type)(expression);                                                         \
        memcpy((char *)out + i * sizeof x, &x, sizeof x);                                          \
    }                                                                                              \
    return

void sdi_convert_from_f32(void *out, sdi_dtype type, const float *in, size_t count)
{
    switch (type) {
    case SDI_F32: memcpy(out, in, count * sizeof *in); return;
    case SDI_F16: NARROW(uint16_t, sdi_f32_to_f16(in[i]));
    case SDI_BF16: NARROW(uint16_t, sdi_f32_to_bf16(in[i]));
    case SDI_F64: NARROW(double, in[i]);
    case SDI_I64: NARROW(int64_t, in[i]);
    case SDI_I32: NARROW(int32_t, in[i]);
    case SDI_I16: NARROW(int16_t, in[i]);
    case SDI_I8: NARROW(int8_t, in[i]);
    case SDI_U8:
    case SDI_BOOL: NARROW(uint8_t, in[i]);
    case SDI_DTYPE_COUNT: return;
    }
}
