/* SPDX-License-Identifier: MIT
 *
 * The two values that matter: storages (torch.serialization's persistent ids) and the tensors that
 * view them (torch._utils._rebuild_tensor_v2).
 */
#include "io/pickle_machine.h"

#include <string.h>

static int is_int(const sdi_value *value)
{
    return value->kind == SDI_VALUE_INT;
}

/* (key, start, count) of a legacy file's view into a storage, or None. */
static sdiff_status read_view(sdi_machine *m, const sdi_value *view, sdi_pickle_storage *storage)
{
    if (view->kind == SDI_VALUE_NONE)
        return SDIFF_OK;
    if (view->kind != SDI_VALUE_TUPLE || view->count != 3 || !is_int(view->items[1]) ||
        !is_int(view->items[2]))
        return sdi_pickle_fail(m, "a view of a storage needs a key, a start and a count");
    const int64_t start = view->items[1]->integer, count = view->items[2]->integer;
    if (start < 0 || count < 0 || (uint64_t)start > storage->count ||
        (uint64_t)count > storage->count - (uint64_t)start)
        return sdi_pickle_fail(m, "a view of a storage that reaches outside of it");
    storage->view_start = (uint64_t)start;
    storage->view_count = (uint64_t)count;
    return SDIFF_OK;
}

static sdiff_status read_class(sdi_machine *m, const sdi_value *class, sdi_pickle_storage *storage)
{
    if (class->kind != SDI_VALUE_GLOBAL)
        return sdi_pickle_fail(m, "a storage whose type is not a class");
    if (class->tag < 0 || sdi_known_at(class->tag)->action != SDI_KNOWN_STORAGE)
        return sdi_fail(m->env, SDIFF_ERROR_UNSUPPORTED,
                        "%s: the storage type '%.*s' is not supported", m->name,
                        (int)SDI_MIN(class->length, 200u), class->text);
    storage->dtype = sdi_known_at(class->tag)->dtype;
    return SDIFF_OK;
}

sdiff_status sdi_pickle_storage_of(sdi_machine *m, const sdi_value *id, sdi_value **result)
{
    if (id->kind != SDI_VALUE_TUPLE || id->count < 5 || id->count > 6 ||
        !sdi_value_is_text(id->items[0], "storage"))
        return sdi_pickle_fail(m, "a persistent id that does not name a storage");
    const sdi_value *key = id->items[2], *count = id->items[4];
    if (key->kind != SDI_VALUE_STRING || !is_int(count) || count->integer < 0)
        return sdi_pickle_fail(m, "a storage needs a key and a count from 0");
    sdi_pickle_storage *storage = sdi_bump_alloc(m->env, m->memory, sizeof *storage);
    if (!storage)
        return sdi_bump_status(m->memory);
    *storage = (sdi_pickle_storage){.next = m->storages,
                                    .key = key->text,
                                    .key_length = key->length,
                                    .count = (uint64_t)count->integer,
                                    .view_count = (uint64_t)count->integer};
    SDI_TRY(read_class(m, id->items[1], storage));
    if (id->count == 6)
        SDI_TRY(read_view(m, id->items[5], storage));
    SDI_TRY(sdi_pickle_new(m, SDI_VALUE_STORAGE, result));
    (*result)->storage = storage;
    m->storages = storage;
    return SDIFF_OK;
}

/* A tuple of integers; *rank is how many. */
static sdiff_status read_sizes(sdi_machine *m, const sdi_value *tuple, int64_t *sizes,
                               int32_t *rank)
{
    if (tuple->kind != SDI_VALUE_TUPLE && tuple->kind != SDI_VALUE_LIST)
        return sdi_pickle_fail(m, "a tensor's size or stride is not a tuple");
    if (tuple->count > SDI_MAX_RANK)
        return sdi_fail(m->env, SDIFF_ERROR_LIMIT,
                        "%s: a tensor of %llu dimensions, at most %d are possible", m->name,
                        (unsigned long long)tuple->count, SDI_MAX_RANK);
    for (uint64_t i = 0; i < tuple->count; i++) {
        if (!is_int(tuple->items[i]))
            return sdi_pickle_fail(m, "a tensor's size or stride is not of integers");
        sizes[i] = tuple->items[i]->integer;
    }
    *rank = (int32_t)tuple->count;
    return SDIFF_OK;
}

/* (storage, offset, size, stride, …): what follows concerns training only. */
sdiff_status sdi_pickle_tensor_of(sdi_machine *m, const sdi_value *arguments, sdi_value **result)
{
    if (arguments->count < 4)
        return sdi_pickle_fail(m, "a tensor is built from %llu values, at least 4 are needed",
                               (unsigned long long)arguments->count);
    const sdi_value *storage = arguments->items[0], *offset = arguments->items[1];
    if (storage->kind != SDI_VALUE_STORAGE)
        return sdi_pickle_fail(m, "a tensor is built on something that is not a storage");
    if (!is_int(offset))
        return sdi_pickle_fail(m, "a tensor's offset is not an integer");
    sdi_pickle_tensor *tensor = sdi_bump_alloc(m->env, m->memory, sizeof *tensor);
    if (!tensor)
        return sdi_bump_status(m->memory);
    memset(tensor, 0, sizeof *tensor);
    tensor->storage = storage->storage;
    tensor->offset = offset->integer;
    int32_t strides = 0;
    SDI_TRY(read_sizes(m, arguments->items[2], tensor->shape, &tensor->rank));
    SDI_TRY(read_sizes(m, arguments->items[3], tensor->stride, &strides));
    if (strides != tensor->rank)
        return sdi_pickle_fail(m, "a tensor of %d dimensions has %d strides", (int)tensor->rank,
                               (int)strides);
    SDI_TRY(sdi_pickle_new(m, SDI_VALUE_TENSOR, result));
    (*result)->tensor = tensor;
    return SDIFF_OK;
}
