/* SPDX-License-Identifier: MIT
 *
 * The vectors of AVX2 under the names that finish.h and vmath.h are written in.
 */
#ifndef SDI_KERNEL_X86_VEC_AVX2_H
#define SDI_KERNEL_X86_VEC_AVX2_H

#include <immintrin.h>
#include <stdint.h>

typedef __m256 vec;
enum { VEC = 8 };

static inline vec vec_set(float x)
{
    return _mm256_set1_ps(x);
}

static inline __m256i vec_first(int64_t count)
{
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(count > 8 ? 8 : count)), index);
}

/* The first `count` elements; others are zero, their memory is not touched. */
static inline vec vec_load(const float *from, int64_t count)
{
    return count >= 8 ? _mm256_loadu_ps(from) : _mm256_maskload_ps(from, vec_first(count));
}

static inline void vec_store(float *to, vec x, int64_t count)
{
    if (count >= 8)
        _mm256_storeu_ps(to, x);
    else
        _mm256_maskstore_ps(to, vec_first(count), x);
}

static inline vec vec_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}

static inline vec vec_div(vec a, vec b)
{
    return _mm256_div_ps(a, b);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

/* A NaN in x stays. */
static inline vec vec_min(vec limit, vec x)
{
    return _mm256_min_ps(limit, x);
}

static inline vec vec_max(vec limit, vec x)
{
    return _mm256_max_ps(limit, x);
}

static inline vec vec_round(vec x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* x * 2^n, n whole and small enough that the result is a normal number. */
static inline vec vec_scale(vec x, vec n)
{
    const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
}

/* 16 lanes of a GEGLU panel are 8 values and 8 gates already. */
static inline void vec_split_geglu(vec low, vec high, vec *values, vec *gates)
{
    *values = low;
    *gates = high;
}

#endif
