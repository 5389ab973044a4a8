/* SPDX-License-Identifier: MIT
 *
 * A file that appears complete or not at all: written under a temporary name in the same folder,
 * then renamed. A path that is a device or pipe is written directly.
 */
#ifndef SDI_IO_OUT_FILE_H
#define SDI_IO_OUT_FILE_H

#include "base/env.h"

typedef struct sdi_out_file sdi_out_file;

sdiff_status sdi_out_open(const sdi_env *env, const char *path, sdi_out_file **out);
sdiff_status sdi_out_write(const sdi_env *env, sdi_out_file *file, const void *bytes,
                           uint64_t size);
/* Both end the file's life. Commit puts it in its place; abandon removes what was written. */
sdiff_status sdi_out_commit(const sdi_env *env, sdi_out_file *file);
void sdi_out_abandon(const sdi_env *env, sdi_out_file *file); // NULL is allowed

#endif
