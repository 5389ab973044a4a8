/* SPDX-License-Identifier: MIT
 *
 * Chunked memory for the small parts of a file's contents.
 */
#include "io/bump.h"

#include "base/memory.h"

#include <string.h>

enum { CHUNK = 64 << 10, ALIGNMENT = 8 };

typedef struct sdi_bump_chunk {
    struct sdi_bump_chunk *older;
} chunk;

void sdi_bump_init(sdi_bump *bump, uint64_t limit)
{
    memset(bump, 0, sizeof *bump);
    bump->limit = limit;
}

void sdi_bump_free(const sdi_env *env, sdi_bump *bump)
{
    while (bump->chunks) {
        chunk *older = bump->chunks->older;
        sdi_free(env, bump->chunks);
        bump->chunks = older;
    }
    sdi_bump_init(bump, bump->limit);
}

sdiff_status sdi_bump_status(const sdi_bump *bump)
{
    return bump->used > bump->limit ? SDIFF_ERROR_LIMIT : SDIFF_ERROR_NO_MEMORY;
}

void *sdi_bump_alloc(const sdi_env *env, sdi_bump *bump, uint64_t size)
{
    const uint64_t padded = size > UINT64_MAX - ALIGNMENT ? UINT64_MAX : size + ALIGNMENT - 1;
    const uint64_t rounded = padded / ALIGNMENT * ALIGNMENT;
    if (rounded > bump->limit || bump->used > bump->limit - rounded) {
        bump->used = UINT64_MAX;
        sdi_fail(env, SDIFF_ERROR_LIMIT, "the file's directory needs more than %llu bytes",
                 (unsigned long long)bump->limit);
        return NULL;
    }
    if (rounded > bump->left) {
        const uint64_t room = SDI_MAX(rounded, (uint64_t)CHUNK);
        chunk *fresh = sdi_alloc(env, sizeof *fresh + room, 1);
        if (!fresh)
            return NULL;
        fresh->older = bump->chunks;
        bump->chunks = fresh;
        bump->next = (unsigned char *)(fresh + 1);
        bump->left = (size_t)room;
    }
    void *memory = bump->next;
    bump->next += rounded;
    bump->left -= (size_t)rounded;
    bump->used += rounded;
    return memory;
}

char *sdi_bump_string(const sdi_env *env, sdi_bump *bump, const char *text, size_t length)
{
    char *copy = sdi_bump_alloc(env, bump, (uint64_t)length + 1);
    if (copy) {
        if (length)
            memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

sdiff_status sdi_grow(const sdi_env *env, void *array_of_pointer, uint64_t count,
                      uint64_t *capacity, size_t element)
{
    if (count < *capacity)
        return SDIFF_OK;
    const uint64_t wanted = count < 16 ? 32 : 2 * count;
    void *array = NULL;
    memcpy(&array, array_of_pointer, sizeof array);
    array = sdi_realloc(env, array, wanted, element);
    if (!array)
        return SDIFF_ERROR_NO_MEMORY;
    memcpy(array_of_pointer, &array, sizeof array);
    *capacity = wanted;
    return SDIFF_OK;
}
