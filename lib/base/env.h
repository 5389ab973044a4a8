/* SPDX-License-Identifier: MIT
 *
 * What a call inside the library may use: memory, the log and the place for its error sentence.
 *
 * Each public handle owns an sdi_env whose error is the handle's own; mem and log are shared by all
 * handles of one context. There is no global state.
 */
#ifndef SDI_BASE_ENV_H
#define SDI_BASE_ENV_H

#include "base/attributes.h"
#include "stablediff/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct sdi_mem sdi_mem;     // base/memory.h
typedef struct sdi_log sdi_log;     // base/log.h
typedef struct sdi_error sdi_error; // below

typedef struct sdi_env {
    sdi_mem *mem;
    const sdi_log *log; // may be NULL: silent
    sdi_error *error;   // may be NULL: the status alone
} sdi_env;

enum { SDI_ERROR_TEXT = 1024 };

/* One sentence in a fixed buffer, so that running out of memory can be reported too. */
struct sdi_error {
    sdiff_status status;
    char text[SDI_ERROR_TEXT];
};

/* Stores the sentence and returns the status: `return sdi_fail(env, SDIFF_ERROR_IO, "...");`.
 * A sentence names what was found and what was needed, without a final period or newline.
 * Control characters and broken UTF-8 that come from files are replaced by '?'. */
sdiff_status sdi_fail(const sdi_env *env, sdiff_status status, const char *format, ...)
    SDI_PRINTF(3, 4);

void sdi_error_clear(sdi_error *error);

/* Returns from the enclosing function with the status of a failing call. */
#define SDI_TRY(call)                                                                              \
    do {                                                                                           \
        const sdiff_status sdi_try_status = (call);                                                \
        if (sdi_try_status != SDIFF_OK)                                                            \
            return sdi_try_status;                                                                 \
    } while (0)

#endif
