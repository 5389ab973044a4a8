/* SPDX-License-Identifier: MIT
 *
 * The vectors of AVX-512 under the names that finish.h and vmath.h are written in.
 */
#ifndef SDI_KERNEL_X86_VEC_AVX512_H
#define SDI_KERNEL_X86_VEC_AVX512_H

#include <immintrin.h>
#include <stdint.h>

typedef __m512 vec;
enum { VEC = 16 };

static inline vec vec_set(float x)
{
    return _mm512_set1_ps(x);
}

static inline __mmask16 vec_first(int64_t count)
{
    return count >= 16 ? 0xffff : (__mmask16)((1u << count) - 1);
}

/* The first `count` elements; others are zero, their memory is not touched. */
static inline vec vec_load(const float *from, int64_t count)
{
    return _mm512_maskz_loadu_ps(vec_first(count), from);
}

static inline void vec_store(float *to, vec x, int64_t count)
{
    _mm512_mask_storeu_ps(to, vec_first(count), x);
}

static inline vec vec_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}

static inline vec vec_div(vec a, vec b)
{
    return _mm512_div_ps(a, b);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* A NaN in x stays. */
static inline vec vec_min(vec limit, vec x)
{
    return _mm512_min_ps(limit, x);
}

static inline vec vec_max(vec limit, vec x)
{
    return _mm512_max_ps(limit, x);
}

static inline vec vec_round(vec x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* x * 2^n, n whole and small enough that the result is a normal number. */
static inline vec vec_scale(vec x, vec n)
{
    return _mm512_scalef_ps(x, n);
}

/* 32 lanes of a GEGLU panel (8 values, 8 gates, twice) as 16 values and 16 gates. */
static inline void vec_split_geglu(vec low, vec high, vec *values, vec *gates)
{
    *values = _mm512_shuffle_f32x4(low, high, 0x44);
    *gates = _mm512_shuffle_f32x4(low, high, 0xee);
}

#endif
