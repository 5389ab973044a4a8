/* SPDX-License-Identifier: MIT
 *
 * The directory of a zip archive (PKWARE APPNOTE 6.3, with zip64), read for the sake of torch
 * checkpoints: entries are stored, so that tensors can be used where they lie, or deflated.
 */
#ifndef SDI_IO_ZIP_H
#define SDI_IO_ZIP_H

#include "io/tensor_table.h"

typedef struct sdi_zip_entry {
    const unsigned char *name; // not terminated
    uint32_t name_length;
    uint16_t flags, method;
    uint32_t crc;
    uint64_t packed, bytes;
    uint64_t local; // offset of the local header
} sdi_zip_entry;

typedef struct sdi_zip {
    sdi_source *source; // borrowed
    sdi_zip_entry *entries; // by name
    uint64_t count;
    uint64_t directory_offset;
    const unsigned char *directory;
    uint64_t directory_size;
    void *owned; // the directory's bytes, where the source is a reader
} sdi_zip;

/* The source must outlive the zip. On failure nothing is to be closed. */
sdiff_status sdi_zip_open(const sdi_env *env, sdi_source *source, sdi_zip *zip);
void sdi_zip_close(const sdi_env *env, sdi_zip *zip);

/* NULL where there is none of that name. */
const sdi_zip_entry *sdi_zip_find(const sdi_zip *zip, const char *name, size_t length);

/* Checks an entry's local header and fills offset, packed, bytes and deflated of the storage.
 * Refuses encryption, other methods, and sizes that the archive cannot hold. */
sdiff_status sdi_zip_locate(const sdi_env *env, const sdi_zip *zip, const sdi_zip_entry *entry,
                            sdi_storage *storage);
/* A whole entry of up to `limit` bytes with its check sum verified; as sdi_source_view. */
sdiff_status sdi_zip_view(const sdi_env *env, const sdi_zip *zip, const sdi_zip_entry *entry,
                          uint64_t limit, const unsigned char **bytes, void **owned);

#endif
