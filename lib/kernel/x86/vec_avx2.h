/* SPDX-License-Identifier: MIT
 *
 * The vectors of AVX2 (with FMA and F16C) under the names that finish.h, vmath.h and the *_tmpl.h
 * files are written in.
 */
#ifndef SDI_KERNEL_X86_VEC_AVX2_H
#define SDI_KERNEL_X86_VEC_AVX2_H

#include "base/attributes.h"

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

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

/* Whole vectors. */
static inline vec vec_loadu(const float *from)
{
    return _mm256_loadu_ps(from);
}

static inline void vec_storeu(float *to, vec x)
{
    _mm256_storeu_ps(to, x);
}

static inline vec vec_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
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

/* x - floor(x) of x <= 0; `whole` is what vec_scale_down takes for floor(x). */
static inline vec vec_fraction(vec x, vec *whole)
{
    x = vec_max(vec_set(-127), x);
    *whole = _mm256_floor_ps(x);
    return vec_sub(x, *whole);
}

/* x * 2^whole; 0 for -127. */
static inline vec vec_scale_down(vec x, vec whole)
{
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127));
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}

/* x * 2^n, n whole and small enough that the result is a normal number. */
static inline vec vec_scale(vec x, vec n)
{
    const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
}

static inline int vec_any_greater(vec a, vec b)
{
    return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)) != 0;
}

/* Lanes below `shown` become `hidden`; shown may be any number. */
static inline vec vec_hide_below(vec x, int64_t shown, vec hidden)
{
    return _mm256_blendv_ps(x, hidden, _mm256_castsi256_ps(vec_first(SDI_MAX(shown, 0))));
}

static inline float vec_sum(vec x)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* As many doubles, for long sums. */
typedef struct vec_wide {
    __m256d low, high;
} vec_wide;

static inline vec_wide vec_wide_load(const double *from)
{
    return (vec_wide){_mm256_loadu_pd(from), _mm256_loadu_pd(from + 4)};
}

static inline void vec_wide_store(double *to, vec_wide x)
{
    _mm256_storeu_pd(to, x.low);
    _mm256_storeu_pd(to + 4, x.high);
}

static inline vec_wide vec_wide_add(vec_wide sum, vec x)
{
    return (vec_wide){
        _mm256_add_pd(sum.low, _mm256_cvtps_pd(_mm256_castps256_ps128(x))),
        _mm256_add_pd(sum.high, _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))),
    };
}

static inline vec vec_load_f16(const uint16_t *from)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
}

static inline vec vec_load_bf16(const uint16_t *from)
{
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

/* The first `count` of 32 elements, zeros behind them. */
static inline void vec_copy_32(uint16_t *to, const uint16_t *from, int64_t count)
{
    memset(to + count, 0, (size_t)(32 - count) * sizeof *to);
    memcpy(to, from, (size_t)count * sizeof *to);
}

static inline void vec_store_f16(uint16_t *to, vec x)
{
    _mm_storeu_si128((__m128i *)to, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

/* Nearest even in whole numbers, so that denormals stay; NaN stays NaN. */
static inline void vec_store_bf16(uint16_t *to, vec x)
{
    const __m256i bits = _mm256_castps_si256(x), high = _mm256_srli_epi32(bits, 16);
    const __m256i even = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, even), _mm256_set1_epi32(0x7fff));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    const __m256i out = _mm256_blendv_epi8(_mm256_srli_epi32(up, 16), quiet, nan);
    const __m256i pairs = _mm256_packus_epi32(out, out); // within 128-bit halves
    _mm_storeu_si128((__m128i *)to,
                     _mm256_castsi256_si128(_mm256_permute4x64_epi64(pairs, 0x08)));
}

/* 16 lanes of a GEGLU panel are 8 values and 8 gates already. */
static inline void vec_split_geglu(vec low, vec high, vec *values, vec *gates)
{
    *values = low;
    *gates = high;
}

#endif
