/* SPDX-License-Identifier: MIT
 *
 * Version numbers and the export decoration.
 */
#ifndef STABLEDIFF_VERSION_H
#define STABLEDIFF_VERSION_H

#define SDIFF_VERSION_MAJOR 1
#define SDIFF_VERSION_MINOR 0
#define SDIFF_VERSION_PATCH 0

/** The version this header belongs to, as one comparable number: 1.2.3 is 10203. */
#define SDIFF_VERSION_NUMBER 10000

#ifndef SDIFF_API
#if defined(__GNUC__)
#define SDIFF_API __attribute__((visibility("default")))
#else
#define SDIFF_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The version of the library that is running, as SDIFF_VERSION_NUMBER; it may be newer than the
 * header that the host was compiled with.
 * @since 1.0
 */
SDIFF_API int sdiff_version_number(void);

/**
 * The version of the library that is running, for example "1.0.0".
 * @return a static string.
 * @since 1.0
 */
SDIFF_API const char *sdiff_version_string(void);

#ifdef __cplusplus
}
#endif
#endif
