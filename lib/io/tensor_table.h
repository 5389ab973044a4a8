/* SPDX-License-Identifier: MIT
 *
 * What every container is turned into: a list of names with the place of each tensor's bytes.
 * The readers of the containers (safetensors, torch zip, legacy pickle) fill it.
 */
#ifndef SDI_IO_TENSOR_TABLE_H
#define SDI_IO_TENSOR_TABLE_H

#include "io/bump.h"
#include "io/tensor_file.h"

/* A run of bytes that tensors view: an entry of a zip, or the data part of a safetensors file. */
typedef struct sdi_storage {
    uint32_t source; // index of the source in the table
    int32_t deflated;
    uint64_t offset; // in the source
    uint64_t packed; // bytes in the source
    uint64_t bytes;  // once inflated; equal to packed where nothing is deflated
} sdi_storage;

typedef struct sdi_tensor_entry {
    sdi_tensor_info info;
    int64_t stride[SDI_MAX_RANK]; // elements
    uint64_t start;               // of the first element: bytes from the storage's begin
    uint32_t storage;
    int32_t contiguous; // row-major without gaps: the strides are of no interest
} sdi_tensor_entry;

typedef struct sdi_metadata {
    const char *key, *value;
} sdi_metadata;

typedef struct sdi_name_slot {
    const char *name;
    int32_t index;
} sdi_name_slot;

struct sdi_tensor_file {
    sdi_bump names; // names, keys and values
    sdi_source **sources;
    sdi_storage *storages;
    sdi_tensor_entry *entries;
    sdi_metadata *metadata;
    sdi_name_slot *order; // by name
    uint64_t source_count, storage_count, entry_count, metadata_count;
    uint64_t source_capacity, storage_capacity, entry_capacity, metadata_capacity;
};

/* An empty table; released by sdi_tensor_file_free. */
sdiff_status sdi_table_new(const sdi_env *env, sdi_tensor_file **out);
/* Takes a reference. */
sdiff_status sdi_table_add_source(const sdi_env *env, sdi_tensor_file *file, sdi_source *source,
                                  uint32_t *index);
sdiff_status sdi_table_add_storage(const sdi_env *env, sdi_tensor_file *file,
                                   const sdi_storage *storage, uint32_t *index);

/* Fills count and bytes of info from dtype and shape; false when they pass 63 bits. */
int sdi_tensor_measure(sdi_tensor_info *info);
/* Copies the entry, under a copy of the name. info must have been measured, and all bytes that the
 * entry reaches must lie in its storage. */
sdiff_status sdi_table_add_tensor(const sdi_env *env, sdi_tensor_file *file,
                                  const sdi_tensor_entry *entry, const char *name, size_t length);
sdiff_status sdi_table_add_metadata(const sdi_env *env, sdi_tensor_file *file, const char *key,
                                    size_t key_length, const char *value, size_t value_length);
/* Orders the names for look-ups and refuses a name that occurs twice. To be called again after
 * more tensors were added. */
sdiff_status sdi_table_finish(const sdi_env *env, sdi_tensor_file *file);

/* Part of a storage, inflated where it must be; as sdi_source_view. */
sdiff_status sdi_storage_view(const sdi_env *env, sdi_source *source, const sdi_storage *storage,
                              uint64_t start, uint64_t size, const unsigned char **bytes,
                              void **owned);

/* Readers of the containers: add everything in one source to the table. */
sdiff_status sdi_safetensors_read(const sdi_env *env, sdi_tensor_file *file, sdi_source *source);
sdiff_status sdi_torch_zip_read(const sdi_env *env, sdi_tensor_file *file, sdi_source *source);
sdiff_status sdi_torch_legacy_read(const sdi_env *env, sdi_tensor_file *file, sdi_source *source);
/* Recognises the container by content and calls its reader. */
sdiff_status sdi_container_read(const sdi_env *env, sdi_tensor_file *file, sdi_source *source);
/* A "weight_map" with the files it names, which lie beside `path`. */
sdiff_status sdi_index_read(const sdi_env *env, sdi_tensor_file *file, const char *path);

#endif
