/* SPDX-License-Identifier: MIT
 *
 * The allocator behind every handle of one context. A 64-byte header in front of each block keeps
 * its size, so that use, peak and limit are exact and the host's free function is told the size.
 */
#define _GNU_SOURCE
#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

struct sdi_mem {
    sdi_mem_params params;
    atomic_uint_fast64_t references, used, peak, count;
};

typedef struct header {
    uint64_t size; // of the whole block, header included
    char pad[ALIGNMENT - sizeof(uint64_t)];
} header;

/* Large blocks start on a huge page: weights and feature maps are walked in strides that would
 * otherwise miss the TLB on every row. */
static void *default_alloc(void *user, size_t size, size_t alignment)
{
    (void)user;
    const int large = size >= 2 * (size_t)HUGE_PAGE;
    if (large)
        alignment = HUGE_PAGE;
    void *memory = NULL;
    if (posix_memalign(&memory, alignment, size) != 0)
        return NULL;
    if (large)
        (void)madvise(memory, size, MADV_HUGEPAGE);
    return memory;
}

static void default_free(void *user, void *memory, size_t size)
{
    (void)user;
    (void)size;
    free(memory);
}

sdi_mem *sdi_mem_new(const sdi_mem_params *params)
{
    sdi_mem_params p = {0};
    if (params)
        p = *params;
    if (!p.alloc) {
        p.alloc = default_alloc;
        p.free = default_free;
    }
    sdi_mem *mem = p.alloc(p.user, sizeof *mem, ALIGNMENT);
    if (!mem)
        return NULL;
    memset(mem, 0, sizeof *mem);
    mem->params = p;
    atomic_init(&mem->references, 1);
    return mem;
}

sdi_mem *sdi_mem_ref(sdi_mem *mem)
{
    atomic_fetch_add(&mem->references, 1);
    return mem;
}

void sdi_mem_unref(sdi_mem *mem)
{
    if (mem && atomic_fetch_sub(&mem->references, 1) == 1)
        mem->params.free(mem->params.user, mem, sizeof *mem);
}

uint64_t sdi_mem_used(const sdi_mem *mem)
{
    return atomic_load(&mem->used);
}

uint64_t sdi_mem_peak(const sdi_mem *mem)
{
    return atomic_load(&mem->peak);
}

uint64_t sdi_mem_limit(const sdi_mem *mem)
{
    return mem->params.limit;
}

int sdi_mul_ok(uint64_t a, uint64_t b, uint64_t *product)
{
    if (b != 0 && a > UINT64_MAX / b)
        return 0;
    *product = a * b;
    return 1;
}

/* Reserves size bytes under the limit and moves the peak. */
static int account(sdi_mem *mem, uint64_t size)
{
    const uint64_t used = atomic_fetch_add(&mem->used, size) + size;
    if (mem->params.limit && used > mem->params.limit) {
        atomic_fetch_sub(&mem->used, size);
        return 0;
    }
    uint64_t peak = atomic_load(&mem->peak);
    while (used > peak && !atomic_compare_exchange_weak(&mem->peak, &peak, used))
        continue;
    return 1;
}

static void *allocate(sdi_mem *mem, uint64_t size)
{
    const uint64_t n = atomic_fetch_add(&mem->count, 1) + 1;
    if (mem->params.fail_at && n >= mem->params.fail_at)
        return NULL;
    if (!account(mem, size))
        return NULL;
    header *block = mem->params.alloc(mem->params.user, (size_t)size, ALIGNMENT);
    if (!block) {
        atomic_fetch_sub(&mem->used, size);
        return NULL;
    }
    block->size = size;
    return block + 1;
}

void *sdi_alloc(const sdi_env *env, uint64_t count, uint64_t size)
{
    uint64_t bytes = 0;
    if (!sdi_mul_ok(count, size, &bytes) || bytes > PTRDIFF_MAX - sizeof(header)) {
        sdi_fail(env, SDIFF_ERROR_NO_MEMORY, "a size of %llu times %llu bytes is not possible",
                 (unsigned long long)count, (unsigned long long)size);
        return NULL;
    }
    void *memory = allocate(env->mem, bytes + sizeof(header));
    if (!memory && env->mem->params.limit)
        sdi_fail(env, SDIFF_ERROR_NO_MEMORY,
                 "at least %llu bytes of memory are needed, the limit is %llu",
                 (unsigned long long)(sdi_mem_used(env->mem) + bytes),
                 (unsigned long long)env->mem->params.limit);
    else if (!memory)
        sdi_fail(env, SDIFF_ERROR_NO_MEMORY, "out of memory: %llu bytes needed, %llu in use",
                 (unsigned long long)bytes, (unsigned long long)sdi_mem_used(env->mem));
    return memory;
}

void *sdi_zalloc(const sdi_env *env, uint64_t count, uint64_t size)
{
    void *memory = sdi_alloc(env, count, size);
    if (memory)
        memset(memory, 0, (size_t)(count * size));
    return memory;
}

void *sdi_realloc(const sdi_env *env, void *old, uint64_t count, uint64_t size)
{
    void *memory = sdi_alloc(env, count, size);
    if (memory && old) {
        const uint64_t had = ((header *)old - 1)->size - sizeof(header);
        memcpy(memory, old, (size_t)SDI_MIN(had, count * size));
        sdi_free(env, old);
    }
    return memory;
}

char *sdi_strdup(const sdi_env *env, const char *string)
{
    const size_t size = strlen(string) + 1;
    char *copy = sdi_alloc(env, size, 1);
    if (copy)
        memcpy(copy, string, size);
    return copy;
}

void sdi_free(const sdi_env *env, void *memory)
{
    if (!memory)
        return;
    header *block = (header *)memory - 1;
    const uint64_t size = block->size;
    sdi_mem *mem = env->mem; // env may lie in the block
    mem->params.free(mem->params.user, block, (size_t)size);
    atomic_fetch_sub(&mem->used, size);
}
