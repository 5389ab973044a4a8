/* SPDX-License-Identifier: MIT
 *
 * Formats log messages for the host's function.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void sdi_log_message(const sdi_env *env, sdi_log_level level, const char *format, ...)
{
    const sdi_log *log = env ? env->log : NULL;
    if (!log || !log->fn || (int32_t)level > log->level)
        return;
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log->fn(log->user, (int32_t)level, text);
}
