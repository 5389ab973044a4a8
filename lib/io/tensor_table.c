/* SPDX-License-Identifier: MIT
 *
 * The list of a file's tensors: filling it, and looking names up.
 */
#include "io/tensor_table.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Beyond what a directory can sensibly need: a file of a thousand tensors has 0.1 MB of names. */
static const uint64_t NAMES_LIMIT = 256u << 20;

sdiff_status sdi_table_new(const sdi_env *env, sdi_tensor_file **out)
{
    *out = sdi_zalloc(env, 1, sizeof **out);
    if (!*out)
        return SDIFF_ERROR_NO_MEMORY;
    sdi_bump_init(&(*out)->names, NAMES_LIMIT);
    return SDIFF_OK;
}

void sdi_tensor_file_free(const sdi_env *env, sdi_tensor_file *file)
{
    if (!file)
        return;
    for (uint64_t i = 0; i < file->source_count; i++)
        sdi_source_unref(env, file->sources[i]);
    sdi_free(env, file->sources);
    sdi_free(env, file->storages);
    sdi_free(env, file->entries);
    sdi_free(env, file->metadata);
    sdi_free(env, file->order);
    sdi_bump_free(env, &file->names);
    sdi_free(env, file);
}

sdiff_status sdi_table_add_source(const sdi_env *env, sdi_tensor_file *file, sdi_source *source,
                                  uint32_t *index)
{
    SDI_TRY(sdi_grow(env, &file->sources, file->source_count, &file->source_capacity,
                     sizeof *file->sources));
    *index = (uint32_t)file->source_count;
    file->sources[file->source_count++] = sdi_source_ref(source);
    return SDIFF_OK;
}

sdiff_status sdi_table_add_storage(const sdi_env *env, sdi_tensor_file *file,
                                   const sdi_storage *storage, uint32_t *index)
{
    SDI_TRY(sdi_grow(env, &file->storages, file->storage_count, &file->storage_capacity,
                     sizeof *file->storages));
    *index = (uint32_t)file->storage_count;
    file->storages[file->storage_count++] = *storage;
    return SDIFF_OK;
}

int sdi_tensor_measure(sdi_tensor_info *info)
{
    uint64_t count = 1;
    int empty = 0;
    for (int32_t d = 0; d < info->rank; d++) {
        if (info->shape[d] < 0)
            return 0;
        /* A zero among huge numbers does not excuse them. */
        empty |= info->shape[d] == 0;
        if (info->shape[d] != 0 && !sdi_mul_ok(count, (uint64_t)info->shape[d], &count))
            return 0;
    }
    uint64_t bytes = 0;
    if (!sdi_mul_ok(count, sdi_dtype_size(info->dtype), &bytes) || bytes > INT64_MAX)
        return 0;
    info->count = empty ? 0 : count;
    info->bytes = empty ? 0 : bytes;
    return 1;
}

sdiff_status sdi_table_add_tensor(const sdi_env *env, sdi_tensor_file *file,
                                  const sdi_tensor_entry *entry, const char *name, size_t length)
{
    if (file->entry_count >= INT32_MAX)
        return sdi_fail(env, SDIFF_ERROR_LIMIT, "more than %d tensors", INT32_MAX);
    SDI_TRY(sdi_grow(env, &file->entries, file->entry_count, &file->entry_capacity,
                     sizeof *file->entries));
    sdi_tensor_entry *own = &file->entries[file->entry_count];
    *own = *entry;
    own->info.name = sdi_bump_string(env, &file->names, name, length);
    if (!own->info.name)
        return sdi_bump_status(&file->names);
    file->entry_count++;
    return SDIFF_OK;
}

sdiff_status sdi_table_add_metadata(const sdi_env *env, sdi_tensor_file *file, const char *key,
                                    size_t key_length, const char *value, size_t value_length)
{
    SDI_TRY(sdi_grow(env, &file->metadata, file->metadata_count, &file->metadata_capacity,
                     sizeof *file->metadata));
    sdi_metadata *own = &file->metadata[file->metadata_count];
    own->key = sdi_bump_string(env, &file->names, key, key_length);
    own->value = sdi_bump_string(env, &file->names, value, value_length);
    if (!own->key || !own->value)
        return sdi_bump_status(&file->names);
    file->metadata_count++;
    return SDIFF_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const sdi_name_slot *)a)->name, ((const sdi_name_slot *)b)->name);
}

static sdiff_status fail_twice(const sdi_env *env, const sdi_tensor_file *file, sdi_name_slot slot)
{
    const sdi_storage *storage = &file->storages[file->entries[slot.index].storage];
    return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: holds two tensors named '%.200s'",
                    sdi_source_name(file->sources[storage->source]), slot.name);
}

sdiff_status sdi_table_finish(const sdi_env *env, sdi_tensor_file *file)
{
    sdi_free(env, file->order);
    file->order = sdi_alloc(env, file->entry_count, sizeof *file->order);
    if (!file->order)
        return SDIFF_ERROR_NO_MEMORY;
    for (uint64_t i = 0; i < file->entry_count; i++)
        file->order[i] = (sdi_name_slot){file->entries[i].info.name, (int32_t)i};
    qsort(file->order, (size_t)file->entry_count, sizeof *file->order, by_name);
    for (uint64_t i = 1; i < file->entry_count; i++)
        if (strcmp(file->order[i - 1].name, file->order[i].name) == 0)
            return fail_twice(env, file, file->order[i]);
    return SDIFF_OK;
}

int32_t sdi_tensor_file_count(const sdi_tensor_file *file)
{
    return (int32_t)file->entry_count;
}

const sdi_tensor_info *sdi_tensor_file_info(const sdi_tensor_file *file, int32_t index)
{
    return &file->entries[index].info;
}

int32_t sdi_tensor_file_find(const sdi_tensor_file *file, const char *name)
{
    const sdi_name_slot wanted = {name, 0};
    const sdi_name_slot *slot = file->entry_count == 0 ? NULL :
        bsearch(&wanted, file->order, (size_t)file->entry_count, sizeof wanted, by_name);
    return slot ? slot->index : -1;
}

const char *sdi_tensor_file_metadata(const sdi_tensor_file *file, const char *key)
{
    for (uint64_t i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i].key, key) == 0)
            return file->metadata[i].value;
    return NULL;
}
