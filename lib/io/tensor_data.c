/* SPDX-License-Identifier: MIT
 *
 * The bytes of one tensor: straight from the mapping where they lie there in order, else read,
 * inflated or gathered by strides into a fresh block.
 */
#include "base/memory.h"
#include "io/inflate.h"
#include "io/tensor_table.h"

#include <string.h>

/* Bytes from the first to the last element, both included: what must be at hand to gather. */
static uint64_t extent(const sdi_tensor_entry *entry)
{
    const uint64_t size = sdi_dtype_size(entry->info.dtype);
    if (entry->contiguous || entry->info.count == 0)
        return entry->info.bytes;
    uint64_t last = 0;
    for (int32_t d = 0; d < entry->info.rank; d++)
        last += (uint64_t)(entry->info.shape[d] - 1) * (uint64_t)entry->stride[d];
    return (last + 1) * size;
}

/* `in` begins at the first element. The last axis is copied as a run where its stride is 1. */
static void gather(unsigned char *out, const unsigned char *in, const sdi_tensor_entry *entry)
{
    const size_t size = sdi_dtype_size(entry->info.dtype);
    const int32_t inner = entry->info.rank - 1;
    const uint64_t run = entry->stride[inner] == 1 ? (uint64_t)entry->info.shape[inner] : 1;
    int64_t at[SDI_MAX_RANK] = {0};
    uint64_t from = 0; // elements
    for (uint64_t done = 0; done < entry->info.count; done += run) {
        memcpy(out + done * size, in + from * size, (size_t)run * size);
        at[inner] += (int64_t)run;
        from += run * (uint64_t)entry->stride[inner];
        for (int32_t d = inner; d > 0 && at[d] == entry->info.shape[d]; d--) {
            from -= (uint64_t)entry->info.shape[d] * (uint64_t)entry->stride[d];
            from += (uint64_t)entry->stride[d - 1];
            at[d] = 0;
            at[d - 1]++;
        }
    }
}

static sdiff_status inflate_part(const sdi_env *env, sdi_source *source, const sdi_storage *storage,
                                 uint64_t start, uint64_t size, void *out)
{
    const unsigned char *packed = NULL;
    void *owned = NULL;
    SDI_TRY(sdi_source_view(env, source, storage->offset, storage->packed, &packed, &owned));
    const sdiff_status status = sdi_inflate(env, sdi_source_name(source), packed, storage->packed,
                                            start, out, size);
    sdi_free(env, owned);
    return status;
}

sdiff_status sdi_storage_view(const sdi_env *env, sdi_source *source, const sdi_storage *storage,
                              uint64_t start, uint64_t size, const unsigned char **bytes,
                              void **owned)
{
    if (!storage->deflated)
        return sdi_source_view(env, source, storage->offset + start, size, bytes, owned);
    *bytes = NULL;
    *owned = NULL;
    void *block = sdi_alloc(env, size, 1);
    if (!block)
        return SDIFF_ERROR_NO_MEMORY;
    const sdiff_status status = inflate_part(env, source, storage, start, size, block);
    if (status != SDIFF_OK) {
        sdi_free(env, block);
        return status;
    }
    *bytes = block;
    *owned = block;
    return SDIFF_OK;
}

sdiff_status sdi_tensor_file_data(const sdi_env *env, sdi_tensor_file *file, int32_t index,
                                  const void **data, void **owned)
{
    const sdi_tensor_entry *entry = &file->entries[index];
    const sdi_storage *storage = &file->storages[entry->storage];
    const unsigned char *bytes = NULL;
    void *block = NULL;
    *data = NULL;
    *owned = NULL;
    SDI_TRY(sdi_storage_view(env, file->sources[storage->source], storage, entry->start,
                             extent(entry), &bytes, &block));
    if (!entry->contiguous && entry->info.count > 0) {
        void *gathered = sdi_alloc(env, entry->info.bytes, 1);
        if (gathered)
            gather(gathered, bytes, entry);
        sdi_free(env, block);
        if (!gathered)
            return SDIFF_ERROR_NO_MEMORY;
        block = gathered;
        bytes = gathered;
    }
    *data = bytes;
    *owned = block;
    return SDIFF_OK;
}

/* The tensor's bytes in its source, if they are read from there as they are. */
static const sdi_source *find_bytes(const sdi_tensor_file *file, int32_t index, uint64_t *offset)
{
    const sdi_tensor_entry *entry = &file->entries[index];
    const sdi_storage *storage = &file->storages[entry->storage];
    *offset = storage->offset + entry->start;
    return storage->deflated ? NULL : file->sources[storage->source];
}

void sdi_tensor_file_expect(const sdi_tensor_file *file, int32_t index)
{
    uint64_t offset = 0;
    const sdi_source *source = find_bytes(file, index, &offset);
    if (source)
        sdi_source_expect(source, offset, extent(&file->entries[index]));
}

void sdi_tensor_file_release(const sdi_tensor_file *file, int32_t index)
{
    uint64_t offset = 0;
    const sdi_source *source = find_bytes(file, index, &offset);
    if (source)
        sdi_source_release(source, offset, extent(&file->entries[index]));
}

int sdi_tensor_file_is_mapped(const sdi_tensor_file *file)
{
    for (uint64_t i = 0; i < file->source_count; i++)
        if (!sdi_source_is_mapped(file->sources[i]))
            return 0;
    return 1;
}

int sdi_tensor_file_in_place(const sdi_tensor_file *file, int32_t index)
{
    const sdi_tensor_entry *entry = &file->entries[index];
    const sdi_storage *storage = &file->storages[entry->storage];
    return !storage->deflated && (entry->contiguous || entry->info.count == 0) &&
           sdi_source_bytes(file->sources[storage->source]) != NULL;
}
