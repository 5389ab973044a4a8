/* SPDX-License-Identifier: MIT
 *
 * All memory of the library comes from here: overflow-checked sizes, the host's allocator, a limit,
 * a peak counter, and a switch that makes the n-th allocation fail (for tests).
 */
#ifndef SDI_BASE_MEMORY_H
#define SDI_BASE_MEMORY_H

#include "base/env.h"

typedef void *(*sdi_alloc_fn)(void *user, size_t size, size_t alignment);
typedef void (*sdi_free_fn)(void *user, void *memory, size_t size);

typedef struct sdi_mem_params {
    sdi_alloc_fn alloc; // NULL: the C library's, with huge pages where the system gives them
    sdi_free_fn free;
    void *user;
    uint64_t limit;   // bytes that may be in use at once, 0: no limit
    uint64_t fail_at; // the n-th allocation (from 1) fails, and all after it; 0: never
} sdi_mem_params;

/* Returns NULL when even the bookkeeping cannot be allocated. params may be NULL. */
sdi_mem *sdi_mem_new(const sdi_mem_params *params);
sdi_mem *sdi_mem_ref(sdi_mem *mem);
void sdi_mem_unref(sdi_mem *mem);

uint64_t sdi_mem_used(const sdi_mem *mem);
uint64_t sdi_mem_peak(const sdi_mem *mem);
uint64_t sdi_mem_limit(const sdi_mem *mem);

/* count * size bytes aligned to 64, not initialised (zalloc: zero). NULL and a sentence in env on
 * overflow, limit or lack of memory. A count or size of 0 gives a valid pointer. */
void *sdi_alloc(const sdi_env *env, uint64_t count, uint64_t size);
void *sdi_zalloc(const sdi_env *env, uint64_t count, uint64_t size);

/* Grows or shrinks a block from sdi_alloc; old stays valid and owned by the caller on failure. */
void *sdi_realloc(const sdi_env *env, void *old, uint64_t count, uint64_t size);
char *sdi_strdup(const sdi_env *env, const char *string);
void sdi_free(const sdi_env *env, void *memory); // NULL is allowed

/* a * b, false on overflow of 64 bits. */
int sdi_mul_ok(uint64_t a, uint64_t b, uint64_t *product);

#endif
