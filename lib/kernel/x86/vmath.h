/* SPDX-License-Identifier: MIT
 *
 * Activations on vectors, in float32. Included after vec_<isa>.h; relative errors were measured
 * against double over all floats of the range named.
 */
#ifndef SDI_KERNEL_X86_VMATH_H
#define SDI_KERNEL_X86_VMATH_H

/* e^x for x in [-87, 88], others are clamped: 2^n * e^r, |r| <= ln(2)/2, Taylor's series to r^7. */
static inline vec vec_exp(vec x)
{
    x = vec_max(vec_set(-87.0f), vec_min(vec_set(88.0f), x));
    const vec n = vec_round(vec_mul(x, vec_set(0x1.715476p+0f))); // log2 e
    vec r = vec_fma(n, vec_set(-0x1.62e4p-1f), x);                // ln 2, its first 15 bits
    r = vec_fma(n, vec_set(-0x1.7f7d1cp-20f), r);                 // and the rest
    vec p = vec_set(1.0f / 5040);
    p = vec_fma(p, r, vec_set(1.0f / 720));
    p = vec_fma(p, r, vec_set(1.0f / 120));
    p = vec_fma(p, r, vec_set(1.0f / 24));
    p = vec_fma(p, r, vec_set(1.0f / 6));
    p = vec_fma(p, r, vec_set(0.5f));
    p = vec_fma(p, r, vec_set(1.0f));
    p = vec_fma(p, r, vec_set(1.0f));
    return vec_scale(p, n);
}

/* 2^x for x <= 0, 0 below -127; relative error 4 units of 2^-24: minimax on [0, 1]. */
static inline vec vec_exp2(vec x)
{
    vec whole;
    const vec f = vec_fraction(x, &whole);
    vec p = vec_set(1.877576657e-3f);
    p = vec_fma(p, f, vec_set(8.989340130e-3f));
    p = vec_fma(p, f, vec_set(5.582631803e-2f));
    p = vec_fma(p, f, vec_set(2.401536171e-1f));
    p = vec_fma(p, f, vec_set(6.931530732e-1f));
    p = vec_fma(p, f, vec_set(9.999999251e-1f));
    return vec_scale_down(p, whole);
}

/* x * sigmoid(scale * x) */
static inline vec vec_swish(vec x, float scale)
{
    const vec e = vec_exp(vec_mul(x, vec_set(-scale)));
    return vec_div(x, vec_add(vec_set(1.0f), e));
}

/* erf, a rational function of x^2 on [-4, 4] where it reaches 1 in float32. */
static inline vec vec_erf(vec x)
{
    x = vec_max(vec_set(-4.0f), vec_min(vec_set(4.0f), x));
    const vec s = vec_mul(x, x);
    vec p = vec_set(-2.72614225801306e-10f);
    p = vec_fma(p, s, vec_set(2.77068142495902e-08f));
    p = vec_fma(p, s, vec_set(-2.10102402082508e-06f));
    p = vec_fma(p, s, vec_set(-5.69250639462346e-05f));
    p = vec_fma(p, s, vec_set(-7.34990630326855e-04f));
    p = vec_fma(p, s, vec_set(-2.95459980854025e-03f));
    p = vec_fma(p, s, vec_set(-1.60960333262415e-02f));
    vec q = vec_set(-1.45660718464996e-05f);
    q = vec_fma(q, s, vec_set(-2.13374055278905e-04f));
    q = vec_fma(q, s, vec_set(-1.68282697438203e-03f));
    q = vec_fma(q, s, vec_set(-7.37332916720468e-03f));
    q = vec_fma(q, s, vec_set(-1.42647390514189e-02f));
    return vec_div(vec_mul(x, p), q);
}

/* x/2 * (1 + erf(x / sqrt 2)) */
static inline vec vec_gelu(vec x)
{
    const vec half = vec_mul(x, vec_set(0.5f));
    return vec_fma(half, vec_erf(vec_mul(x, vec_set(0x1.6a09e6p-1f))), half);
}

/* As the reference: of GEGLU, the gate. */
static inline vec vec_activate(sdi_act act, vec x)
{
    switch (act) {
    case SDI_ACT_SILU: return vec_swish(x, 1.0f);
    case SDI_ACT_GELU:
    case SDI_ACT_GEGLU: return vec_gelu(x);
    case SDI_ACT_QUICK_GELU: return vec_swish(x, 1.702f);
    case SDI_ACT_RELU: return vec_max(vec_set(0.0f), x);
    case SDI_ACT_NONE: break;
    }
    return x;
}

#endif
