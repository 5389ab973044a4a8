/* SPDX-License-Identifier: MIT
 *
 * A growing string.
 */
#include "base/strbuf.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sdi_strbuf_init(sdi_strbuf *buffer, const sdi_env *env)
{
    memset(buffer, 0, sizeof *buffer);
    buffer->env = env;
}

static int reserve(sdi_strbuf *buffer, size_t extra)
{
    if (buffer->status != SDIFF_OK)
        return 0;
    const size_t needed = buffer->length + extra + 1;
    if (needed <= buffer->capacity)
        return 1;
    const size_t capacity = SDI_MAX(needed, 2 * buffer->capacity + 64);
    char *text = sdi_realloc(buffer->env, buffer->text, capacity, 1);
    if (!text) {
        buffer->status = SDIFF_ERROR_NO_MEMORY;
        return 0;
    }
    buffer->text = text;
    buffer->capacity = capacity;
    return 1;
}

void sdi_strbuf_append(sdi_strbuf *buffer, const char *bytes, size_t count)
{
    if (!reserve(buffer, count))
        return;
    if (count)
        memcpy(buffer->text + buffer->length, bytes, count);
    buffer->length += count;
    buffer->text[buffer->length] = '\0';
}

void sdi_strbuf_printf(sdi_strbuf *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    const int count = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (count >= 0 && reserve(buffer, (size_t)count)) {
        vsnprintf(buffer->text + buffer->length, (size_t)count + 1, format, again);
        buffer->length += (size_t)count;
    }
    va_end(again);
}

char *sdi_strbuf_take(sdi_strbuf *buffer)
{
    if (buffer->status == SDIFF_OK && !buffer->text)
        sdi_strbuf_append(buffer, "", 0);
    char *text = buffer->status == SDIFF_OK ? buffer->text : NULL;
    if (!text)
        sdi_free(buffer->env, buffer->text);
    sdi_strbuf_init(buffer, buffer->env);
    return text;
}

void sdi_strbuf_free(sdi_strbuf *buffer)
{
    sdi_free(buffer->env, buffer->text);
    sdi_strbuf_init(buffer, buffer->env);
}
