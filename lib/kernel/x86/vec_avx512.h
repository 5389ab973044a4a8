/* SPDX-License-Identifier: MIT
 *
 * The vectors of AVX-512 (F, BW, VL, DQ) under the names that finish.h, vmath.h and the *_tmpl.h
 * files are written in.
 */
#ifndef SDI_KERNEL_X86_VEC_AVX512_H
#define SDI_KERNEL_X86_VEC_AVX512_H

#include "base/attributes.h"

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

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

/* Whole vectors. */
static inline vec vec_loadu(const float *from)
{
    return _mm512_loadu_ps(from);
}

static inline void vec_storeu(float *to, vec x)
{
    _mm512_storeu_ps(to, x);
}

static inline vec vec_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
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

/* x - floor(x) of x <= 0; `whole` is what vec_scale_down takes for floor(x). */
static inline vec vec_fraction(vec x, vec *whole)
{
    *whole = x; // scalef takes the floor itself
    return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF);
}

/* x * 2^whole; 0 below 2^-126, denormals being off. */
static inline vec vec_scale_down(vec x, vec whole)
{
    return _mm512_scalef_ps(x, whole);
}

/* x * 2^n, n whole and small enough that the result is a normal number. */
static inline vec vec_scale(vec x, vec n)
{
    return _mm512_scalef_ps(x, n);
}

static inline int vec_any_greater(vec a, vec b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0;
}

/* Lanes below `shown` become `hidden`; shown may be any number. */
static inline vec vec_hide_below(vec x, int64_t shown, vec hidden)
{
    return _mm512_mask_blend_ps(vec_first(SDI_MAX(shown, 0)), x, hidden);
}

static inline float vec_sum(vec x)
{
    return _mm512_reduce_add_ps(x);
}

/* As many doubles, for long sums. */
typedef struct vec_wide {
    __m512d low, high;
} vec_wide;

static inline vec_wide vec_wide_load(const double *from)
{
    return (vec_wide){_mm512_loadu_pd(from), _mm512_loadu_pd(from + 8)};
}

static inline void vec_wide_store(double *to, vec_wide x)
{
    _mm512_storeu_pd(to, x.low);
    _mm512_storeu_pd(to + 8, x.high);
}

static inline vec_wide vec_wide_add(vec_wide sum, vec x)
{
    return (vec_wide){
        _mm512_add_pd(sum.low, _mm512_cvtps_pd(_mm512_castps512_ps256(x))),
        _mm512_add_pd(sum.high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1))),
    };
}

static inline vec vec_load_f16(const uint16_t *from)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from));
}

static inline vec vec_load_bf16(const uint16_t *from)
{
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

static inline void vec_store_f16(uint16_t *to, vec x)
{
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

/* The first `count` of 32 elements, zeros behind them. */
static inline void vec_copy_32(uint16_t *to, const uint16_t *from, int64_t count)
{
    const __mmask32 wanted = count >= 32 ? 0xffffffff : ((__mmask32)1 << count) - 1;
    _mm512_storeu_si512(to, _mm512_maskz_loadu_epi16(wanted, from));
}

#ifdef __AVX512BF16__
static inline void vec_store_bf16(uint16_t *to, vec x)
{
    const __m256bh y = _mm512_cvtneps_pbh(x);
    memcpy(to, &y, sizeof y);
}
#else
/* Nearest even in whole numbers, so that denormals stay; NaN stays NaN. */
static inline void vec_store_bf16(uint16_t *to, vec x)
{
    const __m512i bits = _mm512_castps_si512(x), high = _mm512_srli_epi32(bits, 16);
    const __m512i even = _mm512_and_si512(high, _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, even), _mm512_set1_epi32(0x7fff));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i quiet = _mm512_or_si512(high, _mm512_set1_epi32(0x40));
    const __m512i out = _mm512_mask_mov_epi32(_mm512_srli_epi32(up, 16), nan, quiet);
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi32_epi16(out));
}
#endif

/* 32 lanes of a GEGLU panel (8 values, 8 gates, twice) as 16 values and 16 gates. */
static inline void vec_split_geglu(vec low, vec high, vec *values, vec *gates)
{
    *values = _mm512_shuffle_f32x4(low, high, 0x44);
    *gates = _mm512_shuffle_f32x4(low, high, 0xee);
}

#endif
