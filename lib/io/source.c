/* SPDX-License-Identifier: MIT
 *
 * Where the bytes of a file come from: a mapping, the host's memory, or a reader callback.
 */
#include "io/source.h"

#include "base/memory.h"
#include "base/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct sdi_source {
    atomic_int references;
    char *name;
    const unsigned char *bytes; // NULL for a reader
    uint64_t size;
    int mapped;
    sdi_read_fn read;
    void *user;
};

/* A source without bytes: the caller fills them in. */
static sdiff_status new_source(const sdi_env *env, const char *name, sdi_source **out)
{
    *out = NULL;
    sdi_source *source = sdi_zalloc(env, 1, sizeof *source);
    if (!source)
        return SDIFF_ERROR_NO_MEMORY;
    atomic_init(&source->references, 1);
    source->name = sdi_strdup(env, name);
    if (!source->name) {
        sdi_free(env, source);
        return SDIFF_ERROR_NO_MEMORY;
    }
    *out = source;
    return SDIFF_OK;
}

static sdiff_status fail_path(const sdi_env *env, const char *path, const char *what)
{
    return sdi_fail(env, SDIFF_ERROR_IO, "%s: %s: %s", path, what, strerror(errno));
}

/* Maps an open file; the caller closes it in any case. */
static sdiff_status map_descriptor(const sdi_env *env, int descriptor, sdi_source *source)
{
    struct stat info;
    if (fstat(descriptor, &info) != 0)
        return fail_path(env, source->name, "cannot be examined");
    if (S_ISDIR(info.st_mode))
        return sdi_fail(env, SDIFF_ERROR_IO, "%s: is a folder, a file was needed", source->name);
    if (!S_ISREG(info.st_mode))
        return sdi_fail(env, SDIFF_ERROR_IO, "%s: is not a regular file", source->name);
    source->size = (uint64_t)info.st_size;
    source->bytes = (const unsigned char *)"";
    if (source->size == 0)
        return SDIFF_OK;
    void *bytes = mmap(NULL, (size_t)source->size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (bytes == MAP_FAILED)
        return fail_path(env, source->name, "cannot be mapped into memory");
    source->bytes = bytes;
    source->mapped = 1;
    return SDIFF_OK;
}

sdiff_status sdi_source_open_path(const sdi_env *env, const char *path, sdi_source **out)
{
    sdi_source *source = NULL;
    *out = NULL;
    SDI_TRY(new_source(env, path, &source));
    sdiff_status status = SDIFF_OK;
    /* Not blocking, so that a named pipe is refused instead of waited for. */
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) {
        status = fail_path(env, path, "cannot be opened");
    } else {
        status = map_descriptor(env, descriptor, source);
        close(descriptor);
    }
    if (status != SDIFF_OK) {
        sdi_source_unref(env, source);
        return status;
    }
    *out = source;
    return SDIFF_OK;
}

sdiff_status sdi_source_open_memory(const sdi_env *env, const void *bytes, uint64_t size,
                                    sdi_source **out)
{
    SDI_TRY(new_source(env, "memory", out));
    (*out)->bytes = bytes ? bytes : "";
    (*out)->size = bytes ? size : 0;
    return SDIFF_OK;
}

sdiff_status sdi_source_open_reader(const sdi_env *env, sdi_read_fn read, void *user,
                                    uint64_t size, sdi_source **out)
{
    SDI_TRY(new_source(env, "reader", out));
    (*out)->read = read;
    (*out)->user = user;
    (*out)->size = size;
    return SDIFF_OK;
}

sdi_source *sdi_source_ref(sdi_source *source)
{
    atomic_fetch_add(&source->references, 1);
    return source;
}

void sdi_source_unref(const sdi_env *env, sdi_source *source)
{
    if (!source || atomic_fetch_sub(&source->references, 1) != 1)
        return;
    if (source->mapped)
        munmap((void *)(uintptr_t)source->bytes, (size_t)source->size);
    sdi_free(env, source->name);
    sdi_free(env, source);
}

const char *sdi_source_name(const sdi_source *source)
{
    return source->name;
}

uint64_t sdi_source_size(const sdi_source *source)
{
    return source->size;
}

const unsigned char *sdi_source_bytes(const sdi_source *source)
{
    return source->bytes;
}

static sdiff_status check_range(const sdi_env *env, const sdi_source *source, uint64_t offset,
                                uint64_t size)
{
    if (offset <= source->size && size <= source->size - offset)
        return SDIFF_OK;
    return sdi_fail(env, SDIFF_ERROR_FORMAT,
                    "%s: %llu bytes at offset %llu are needed, the file ends at %llu",
                    source->name, (unsigned long long)size, (unsigned long long)offset,
                    (unsigned long long)source->size);
}

sdiff_status sdi_source_read(const sdi_env *env, sdi_source *source, uint64_t offset, void *buffer,
                             uint64_t size)
{
    SDI_TRY(check_range(env, source, offset, size));
    if (size == 0)
        return SDIFF_OK;
    if (source->bytes) {
        memcpy(buffer, source->bytes + offset, (size_t)size);
        return SDIFF_OK;
    }
    if (source->read(source->user, offset, buffer, size) != 0)
        return sdi_fail(env, SDIFF_ERROR_IO,
                        "%s: the host's reader failed on %llu bytes at offset %llu", source->name,
                        (unsigned long long)size, (unsigned long long)offset);
    return SDIFF_OK;
}

sdiff_status sdi_source_view(const sdi_env *env, sdi_source *source, uint64_t offset, uint64_t size,
                             const unsigned char **bytes, void **owned)
{
    *bytes = NULL;
    *owned = NULL;
    SDI_TRY(check_range(env, source, offset, size));
    if (source->bytes) {
        *bytes = source->bytes + offset;
        return SDIFF_OK;
    }
    void *block = sdi_alloc(env, size, 1);
    if (!block)
        return SDIFF_ERROR_NO_MEMORY;
    const sdiff_status status = sdi_source_read(env, source, offset, block, size);
    if (status != SDIFF_OK) {
        sdi_free(env, block);
        return status;
    }
    *bytes = block;
    *owned = block;
    return SDIFF_OK;
}

static int is_mapped(const sdi_source *source, uint64_t offset, uint64_t size)
{
    return source->mapped && offset <= source->size && size <= source->size - offset;
}

void sdi_source_expect(const sdi_source *source, uint64_t offset, uint64_t size)
{
    if (is_mapped(source, offset, size))
        sdi_pages_expect(source->bytes + offset, (size_t)size);
}

void sdi_source_release(const sdi_source *source, uint64_t offset, uint64_t size)
{
    if (is_mapped(source, offset, size))
        sdi_pages_release(source->bytes + offset, (size_t)size);
}

int sdi_source_is_mapped(const sdi_source *source)
{
    return source->mapped;
}

sdiff_status sdi_read_small_file(const sdi_env *env, const char *path, uint64_t limit, char **text,
                                 size_t *size)
{
    sdi_source *source = NULL;
    *text = NULL;
    SDI_TRY(sdi_source_open_path(env, path, &source));
    sdiff_status status = SDIFF_ERROR_NO_MEMORY;
    char *copy = NULL;
    if (source->size > limit) {
        status = sdi_fail(env, SDIFF_ERROR_LIMIT, "%s: has %llu bytes, at most %llu are read", path,
                          (unsigned long long)source->size, (unsigned long long)limit);
    } else if ((copy = sdi_alloc(env, source->size + 1, 1)) != NULL) {
        memcpy(copy, source->bytes, (size_t)source->size);
        copy[source->size] = '\0';
        *text = copy;
        *size = (size_t)source->size;
        status = SDIFF_OK;
    }
    sdi_source_unref(env, source);
    return status;
}
