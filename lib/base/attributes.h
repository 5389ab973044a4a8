/* SPDX-License-Identifier: MIT
 *
 * The only place for compiler extensions.
 */
#ifndef SDI_BASE_ATTRIBUTES_H
#define SDI_BASE_ATTRIBUTES_H

#if defined(__GNUC__)
#define SDI_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define SDI_ALIGNED(n) __attribute__((aligned(n)))
#define SDI_CLEANUP(function) __attribute__((cleanup(function), unused))
#else
#define SDI_PRINTF(text, first)
#define SDI_ALIGNED(n)
#endif

#define SDI_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SDI_MIN(a, b) ((a) < (b) ? (a) : (b))
#define SDI_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
