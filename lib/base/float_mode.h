/* SPDX-License-Identifier: MIT
 *
 * The floating-point mode that the library computes in, whatever the host has: round to nearest,
 * no exception trapped, denormal inputs as they are (conversions from half precision are made of
 * them). In pieces of parallel work results below the normal range become zero: on x86 a single
 * denormal costs more than a hundred cycles, and a network in float32 owes them nothing. The host's
 * mode is put back, its sticky flags as well.
 */
#ifndef SDI_BASE_FLOAT_MODE_H
#define SDI_BASE_FLOAT_MODE_H

#include "base/attributes.h"

#include <fenv.h>
#include <stdint.h>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

/* ---- pieces of parallel work, on any thread ------------------------------------------------- */

typedef uint32_t sdi_float_mode;

static inline sdi_float_mode sdi_float_mode_enter(void)
{
#if defined(__SSE2__)
    enum { ALL_MASKED = 0x1f80, FLUSH_TO_ZERO = 0x8000 };
    const sdi_float_mode found = _mm_getcsr();
    _mm_setcsr(ALL_MASKED | FLUSH_TO_ZERO);
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

/* ---- calls of the library -------------------------------------------------------------------- */

static inline fenv_t sdi_float_mode_set_default(void)
{
    fenv_t found;
    (void)fegetenv(&found);
    (void)fesetenv(FE_DFL_ENV);
    return found;
}

static inline void sdi_float_mode_restore(const fenv_t *found)
{
    (void)fesetenv(found);
}

/* C's default mode from here to the end of the function. */
#if defined(SDI_CLEANUP)
#define SDI_OWN_FLOAT_MODE                                                                         \
    SDI_CLEANUP(sdi_float_mode_restore) const fenv_t host_float_mode = sdi_float_mode_set_default()
#else
#define SDI_OWN_FLOAT_MODE                                                                         \
    fenv_t host_float_mode;                                                                        \
    (void)fegetenv(&host_float_mode)
#endif

#endif
