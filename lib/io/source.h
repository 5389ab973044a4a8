/* SPDX-License-Identifier: MIT
 *
 * Where the bytes of a file come from: a path (mapped), the host's memory, or a reader callback.
 */
#ifndef SDI_IO_SOURCE_H
#define SDI_IO_SOURCE_H

#include "base/env.h"

typedef struct sdi_source sdi_source;

/* Reads exactly size bytes at offset; non-zero means failure. */
typedef int (*sdi_read_fn)(void *user, uint64_t offset, void *buffer, uint64_t size);

/* Maps a regular file. The error sentence names the path and the system's reason. */
sdiff_status sdi_source_open_path(const sdi_env *env, const char *path, sdi_source **out);
/* The memory is not copied and must outlive the source. */
sdiff_status sdi_source_open_memory(const sdi_env *env, const void *bytes, uint64_t size,
                                    sdi_source **out);
sdiff_status sdi_source_open_reader(const sdi_env *env, sdi_read_fn read, void *user,
                                    uint64_t size, sdi_source **out);
sdi_source *sdi_source_ref(sdi_source *source);
void sdi_source_unref(const sdi_env *env, sdi_source *source); // NULL is allowed

const char *sdi_source_name(const sdi_source *source); // the path, "memory" or "reader": for errors
uint64_t sdi_source_size(const sdi_source *source);
const unsigned char *sdi_source_bytes(const sdi_source *source); // NULL for a reader

/* Copies a range; a range outside of the source is SDIFF_ERROR_FORMAT. */
sdiff_status sdi_source_read(const sdi_env *env, sdi_source *source, uint64_t offset, void *buffer,
                             uint64_t size);

/* A range without a copy where the source is in memory (*owned NULL), else in a fresh block that
 * the caller frees (sdi_free). Same errors. */
sdiff_status sdi_source_view(const sdi_env *env, sdi_source *source, uint64_t offset, uint64_t size,
                             const unsigned char **bytes, void **owned);

/* A mapped range is about to be read as a whole, or will not be needed soon: its pages then no
 * longer count as the process's memory, and come back when they are touched. */
void sdi_source_expect(const sdi_source *source, uint64_t offset, uint64_t size);
void sdi_source_release(const sdi_source *source, uint64_t offset, uint64_t size);

int sdi_source_is_mapped(const sdi_source *source); // a file, as opposed to memory or a reader

/* The whole of a small file (JSON, vocabulary) in a fresh block with a NUL behind it; refused with
 * SDIFF_ERROR_LIMIT above `limit` bytes. */
sdiff_status sdi_read_small_file(const sdi_env *env, const char *path, uint64_t limit, char **text,
                                 size_t *size);

#endif
