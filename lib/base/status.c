/* SPDX-License-Identifier: MIT
 *
 * Error sentences and the phrases of status codes.
 */
#include "base/env.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *sdiff_status_string(sdiff_status status)
{
    switch (status) {
    case SDIFF_OK: return "success";
    case SDIFF_ERROR_INVALID_ARGUMENT: return "invalid argument";
    case SDIFF_ERROR_NO_MEMORY: return "not enough memory";
    case SDIFF_ERROR_IO: return "input or output failed";
    case SDIFF_ERROR_FORMAT: return "damaged or unrecognised file";
    case SDIFF_ERROR_MISMATCH: return "weights do not fit the network";
    case SDIFF_ERROR_UNSUPPORTED: return "not supported";
    case SDIFF_ERROR_LIMIT: return "beyond a limit of the library";
    case SDIFF_ERROR_CANCELLED: return "cancelled";
    case SDIFF_ERROR_INTERNAL: return "internal error";
    case SDIFF_STATUS_FORCE_INT32: break;
    }
    return "unknown status";
}

/* Length of the valid UTF-8 sequence at s, or 0. Overlong forms and surrogates are not valid. */
static size_t utf8_length(const unsigned char *s)
{
    const unsigned char c = s[0];
    size_t length = 0;
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf)
        length = 2;
    else if (c >= 0xe0 && c <= 0xef)
        length = 3;
    else if (c >= 0xf0 && c <= 0xf4)
        length = 4;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) || (c == 0xf0 && s[1] < 0x90) ||
        (c == 0xf4 && s[1] > 0x8f))
        return 0;
    return length;
}

/* Names from hostile files end up in sentences: keep them printable and valid UTF-8. */
static void make_printable(char *text)
{
    unsigned char *s = (unsigned char *)text;
    while (*s) {
        const size_t length = utf8_length(s);
        if (length == 0 || *s < 0x20 || *s == 0x7f) {
            *s++ = '?';
            continue;
        }
        s += length;
    }
}

sdiff_status sdi_fail(const sdi_env *env, sdiff_status status, const char *format, ...)
{
    if (!env || !env->error)
        return status;
    va_list arguments;
    va_start(arguments, format);
    /* The arguments may point into the old text (wrapping a sentence in another one). */
    char text[SDI_ERROR_TEXT];
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    make_printable(text);
    env->error->status = status;
    memcpy(env->error->text, text, sizeof text);
    return status;
}

void sdi_error_clear(sdi_error *error)
{
    error->status = SDIFF_OK;
    error->text[0] = '\0';
}
