/* SPDX-License-Identifier: MIT
 *
 * Results below the normal range become zero while the library computes: on x86 a single denormal
 * costs more than a hundred cycles, and a network in float32 owes them nothing. Denormal inputs
 * stay what they are: conversions from half precision are made of them. The host's mode is
 * put back.
 */
#ifndef SDI_BASE_FLOAT_MODE_H
#define SDI_BASE_FLOAT_MODE_H

#include <stdint.h>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

typedef uint32_t sdi_float_mode;

static inline sdi_float_mode sdi_float_mode_enter(void)
{
#if defined(__SSE2__)
    enum { FLUSH_TO_ZERO = 0x8000 };
    const sdi_float_mode found = _mm_getcsr();
    _mm_setcsr(found | FLUSH_TO_ZERO);
    return found;
#else
    return 0;
#endif
}

static inline void sdi_float_mode_leave(sdi_float_mode found)
{
#if defined(__SSE2__)
    _mm_setcsr(found);
#else
    (void)found;
#endif
}

#endif
