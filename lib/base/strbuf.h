/* SPDX-License-Identifier: MIT
 *
 * A growing string. Errors stick: after a failed append the buffer stays valid, and status tells.
 */
#ifndef SDI_BASE_STRBUF_H
#define SDI_BASE_STRBUF_H

#include "base/env.h"

typedef struct sdi_strbuf {
    const sdi_env *env;
    char *text; // NUL-terminated once anything was appended, else NULL
    size_t length, capacity;
    sdiff_status status;
} sdi_strbuf;

void sdi_strbuf_init(sdi_strbuf *buffer, const sdi_env *env);
void sdi_strbuf_append(sdi_strbuf *buffer, const char *bytes, size_t count);
void sdi_strbuf_printf(sdi_strbuf *buffer, const char *format, ...) SDI_PRINTF(2, 3);
/* Hands the text over to the caller (sdi_free); NULL when an append failed. */
char *sdi_strbuf_take(sdi_strbuf *buffer);
void sdi_strbuf_free(sdi_strbuf *buffer);

#endif
