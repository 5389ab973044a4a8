/* SPDX-License-Identifier: MIT
 *
 * Unpacks a small gzip file held in memory.
 */
#ifndef SDI_IO_GUNZIP_H
#define SDI_IO_GUNZIP_H

#include "base/env.h"

/* No vocabulary file is larger; holds before anything is allocated on a file's word. */
#define SDI_VOCAB_FILE_LIMIT ((size_t)64 << 20)

int sdi_is_gzip(const void *bytes, size_t size);

/* A fresh block (sdi_free). `name` is for errors; more than `limit` bytes are refused. */
sdiff_status sdi_gunzip(const sdi_env *env, const char *name, const void *bytes, size_t size,
                        size_t limit, char **text, size_t *length);

#endif
