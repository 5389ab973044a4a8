/* SPDX-License-Identifier: MIT
 *
 * The per-context log: what succeeded oddly (unused tensors, truncated prompts) and timings.
 * Failures are returned, not logged. Silent unless the host gives a function.
 */
#ifndef SDI_BASE_LOG_H
#define SDI_BASE_LOG_H

#include "base/env.h"

typedef enum sdi_log_level {
    SDI_LOG_WARNING = 1,
    SDI_LOG_INFO = 2,
    SDI_LOG_DEBUG = 3
} sdi_log_level;

typedef void (*sdi_log_fn)(void *user, int32_t level, const char *message);

struct sdi_log {
    sdi_log_fn fn;
    void *user;
    int32_t level; // messages above it are not formatted
};

void sdi_log_message(const sdi_env *env, sdi_log_level level, const char *format, ...)
    SDI_PRINTF(3, 4);

#define sdi_warn(env, ...) sdi_log_message(env, SDI_LOG_WARNING, __VA_ARGS__)
#define sdi_info(env, ...) sdi_log_message(env, SDI_LOG_INFO, __VA_ARGS__)
#define sdi_debug(env, ...) sdi_log_message(env, SDI_LOG_DEBUG, __VA_ARGS__)

#endif
