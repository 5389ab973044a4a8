/* SPDX-License-Identifier: MIT
 *
 * Checks one tensor of a torch pickle: shape, strides and offset are only claims about its storage.
 */
#include "io/torch_tree.h"

#include "base/memory.h"

#include <string.h>

/* Views that repeat elements (stride 0) may be larger than their storage, up to this size. */
static const uint64_t EXPANDED_LIMIT = 1 << 20;

typedef struct claim {
    const sdi_env *env;
    const char *file, *name;
    const sdi_pickle_tensor *tensor;
    const sdi_storage *storage;
} claim;

static sdiff_status refuse(const claim *c, const char *what)
{
    return sdi_fail(c->env, SDIFF_ERROR_FORMAT, "%s: tensor '%.200s' %s", c->file, c->name, what);
}

/* The storage must hold the elements that the pickle gives it. */
static sdiff_status check_storage(const claim *c)
{
    const sdi_pickle_storage *storage = c->tensor->storage;
    uint64_t bytes = 0;
    if (!sdi_mul_ok(storage->count, sdi_dtype_size(storage->dtype), &bytes) ||
        bytes > c->storage->bytes)
        return sdi_fail(c->env, SDIFF_ERROR_FORMAT,
                        "%s: tensor '%.200s' is in a storage of %llu %s, which the %llu bytes of "
                        "'%.*s' do not hold",
                        c->file, c->name, (unsigned long long)storage->count,
                        sdi_dtype_name(storage->dtype), (unsigned long long)c->storage->bytes,
                        (int)SDI_MIN(storage->key_length, 100u), storage->key);
    return SDIFF_OK;
}

/* The last element must lie inside of the view; *start is the first, in elements. */
static sdiff_status check_reach(const claim *c, const sdi_tensor_info *info, uint64_t *start)
{
    const sdi_pickle_tensor *t = c->tensor;
    if (t->offset < 0)
        return refuse(c, "begins before its storage");
    uint64_t last = (uint64_t)t->offset;
    for (int32_t d = 0; d < t->rank && info->count > 0; d++) {
        uint64_t step = 0;
        if (t->stride[d] < 0)
            return refuse(c, "has a negative stride");
        if (!sdi_mul_ok((uint64_t)(t->shape[d] - 1), (uint64_t)t->stride[d], &step) ||
            step > INT64_MAX - last)
            return refuse(c, "reaches far outside of its storage");
        last += step;
    }
    if (info->count > 0 && last >= t->storage->view_count)
        return sdi_fail(c->env, SDIFF_ERROR_FORMAT,
                        "%s: tensor '%.200s' reaches to element %llu of a storage of %llu", c->file,
                        c->name, (unsigned long long)last,
                        (unsigned long long)t->storage->view_count);
    *start = info->count > 0 ? t->storage->view_start + (uint64_t)t->offset : 0;
    return SDIFF_OK;
}

static int is_contiguous(const sdi_tensor_entry *entry)
{
    int64_t expected = 1;
    for (int32_t d = entry->info.rank; d-- > 0;) {
        if (entry->info.shape[d] != 1 && entry->stride[d] != expected)
            return 0;
        expected *= entry->info.shape[d];
    }
    return 1;
}

sdiff_status sdi_tree_add_tensor(const sdi_env *env, sdi_tensor_file *file, const char *file_name,
                                 const sdi_pickle_tensor *tensor, uint32_t storage,
                                 const char *name, size_t length)
{
    const claim c = {env, file_name, name, tensor, &file->storages[storage]};
    sdi_tensor_entry entry = {.storage = storage};
    entry.info.dtype = tensor->storage->dtype;
    entry.info.rank = tensor->rank;
    memcpy(entry.info.shape, tensor->shape, sizeof entry.info.shape);
    memcpy(entry.stride, tensor->stride, sizeof entry.stride);
    if (!sdi_tensor_measure(&entry.info))
        return refuse(&c, "has a shape that is negative or larger than any memory");
    uint64_t start = 0;
    SDI_TRY(check_storage(&c));
    SDI_TRY(check_reach(&c, &entry.info, &start));
    if (entry.info.bytes > SDI_MAX(c.storage->bytes, EXPANDED_LIMIT))
        return refuse(&c, "is an expanded view far larger than its storage");
    entry.start = start * sdi_dtype_size(entry.info.dtype);
    entry.contiguous = entry.info.count == 0 || is_contiguous(&entry);
    return sdi_table_add_tensor(env, file, &entry, name, length);
}
