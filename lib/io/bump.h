/* SPDX-License-Identifier: MIT
 *
 * Many small things that live and die together: memory is taken in chunks, handed out from the
 * front, and given back all at once. Bounded, because what is put here comes from files.
 */
#ifndef SDI_IO_BUMP_H
#define SDI_IO_BUMP_H

#include "base/env.h"

typedef struct sdi_bump {
    struct sdi_bump_chunk *chunks; // the newest first
    size_t left;                   // bytes in the newest
    unsigned char *next;
    uint64_t used, limit;
} sdi_bump;

void sdi_bump_init(sdi_bump *bump, uint64_t limit);
void sdi_bump_free(const sdi_env *env, sdi_bump *bump);

/* size bytes aligned to 8, not initialised; NULL and a sentence in env without memory
 * (SDIFF_ERROR_NO_MEMORY) or beyond the limit (SDIFF_ERROR_LIMIT): see sdi_bump_status. */
void *sdi_bump_alloc(const sdi_env *env, sdi_bump *bump, uint64_t size);
char *sdi_bump_string(const sdi_env *env, sdi_bump *bump, const char *text, size_t length);

/* The status that goes with the last NULL. */
sdiff_status sdi_bump_status(const sdi_bump *bump);

/* Makes room for one more element in an array from sdi_realloc that doubles. */
sdiff_status sdi_grow(const sdi_env *env, void *array_of_pointer, uint64_t count,
                      uint64_t *capacity, size_t element);

#endif
