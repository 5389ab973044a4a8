/* SPDX-License-Identifier: MIT
 *
 * Raw deflate streams, as zip entries hold them.
 */
#ifndef SDI_IO_INFLATE_H
#define SDI_IO_INFLATE_H

#include "base/env.h"

/* Writes bytes skip … skip + size - 1 of the inflated stream to out. A stream that ends before
 * that, or is damaged on the way, is SDIFF_ERROR_FORMAT; `name` is the file's. */
sdiff_status sdi_inflate(const sdi_env *env, const char *name, const unsigned char *in,
                         uint64_t in_size, uint64_t skip, void *out, uint64_t size);

uint32_t sdi_crc32(const unsigned char *bytes, uint64_t size);

#endif
