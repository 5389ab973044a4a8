/* SPDX-License-Identifier: MIT
 *
 * The form of torch.save before 1.6: five pickles one after the other (a magic number, the
 * protocol, the machine's properties, the object, the list of storage keys), then for each key a
 * 64-bit count of elements and the elements.
 */
#include "base/memory.h"
#include "io/bytes.h"
#include "io/torch_tree.h"

#include <stdlib.h>
#include <string.h>

/* The pickles stand in front; the data behind them may have any size. */
static const uint64_t PICKLES_LIMIT = 64 << 20;

enum { PROTOCOL = 1001 };

/* One storage, by key. */
typedef struct block {
    const sdi_pickle_storage *storage; // one of those that the object names
    uint64_t offset;                   // of its data, 0 until found
} block;

typedef struct legacy {
    const sdi_env *env;
    sdi_tensor_file *file;
    sdi_source *source;
    const char *name;
    uint32_t source_index;
    const unsigned char *bytes; // the front of the file
    uint64_t size, at;          // of the front, and behind the last pickle
    block *blocks;              // by key
    uint64_t block_count;
} legacy;

static sdiff_status next_pickle(legacy *l, sdi_pickle *pickle)
{
    SDI_TRY(sdi_pickle_read(l->env, l->name, l->bytes + l->at, l->size - l->at, pickle));
    l->at += pickle->size;
    return SDIFF_OK;
}

static sdiff_status fail_not_torch(const legacy *l)
{
    return sdi_fail(l->env, SDIFF_ERROR_FORMAT,
                    "%s: is a pickle, but not one that torch.save wrote", l->name);
}

static int is_magic(const sdi_value *value)
{
    static const unsigned char magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                            0x20, 0x6a, 0xa8, 0x50, 0x19};
    return value->kind == SDI_VALUE_LONG && value->length == sizeof magic &&
           memcmp(value->text, magic, sizeof magic) == 0;
}

static int is_protocol(const sdi_value *value)
{
    return value->kind == SDI_VALUE_INT && value->integer == PROTOCOL;
}

static int is_machine(const sdi_value *value)
{
    return value->kind == SDI_VALUE_DICT;
}

static int is_little_endian(const sdi_value *machine)
{
    const sdi_value *little = sdi_dict_get(machine, "little_endian");
    return !little || (little->kind == SDI_VALUE_BOOL && little->integer);
}

/* The three pickles in front of the object. */
static sdiff_status read_introduction(legacy *l)
{
    int (*const checks[])(const sdi_value *value) = {is_magic, is_protocol, is_machine};
    for (size_t i = 0; i < SDI_COUNT(checks); i++) {
        sdi_pickle pickle;
        SDI_TRY(next_pickle(l, &pickle));
        const int good = checks[i](pickle.root);
        const int swapped = good && checks[i] == is_machine && !is_little_endian(pickle.root);
        sdi_pickle_free(l->env, &pickle);
        if (!good)
            return fail_not_torch(l);
        if (swapped)
            return sdi_fail(l->env, SDIFF_ERROR_UNSUPPORTED,
                            "%s: its numbers are not in little-endian order", l->name);
    }
    return SDIFF_OK;
}

static int compare_keys(const char *a, uint64_t a_length, const char *b, uint64_t b_length)
{
    const int order = memcmp(a, b, (size_t)SDI_MIN(a_length, b_length));
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int by_key(const void *a, const void *b)
{
    const sdi_pickle_storage *x = ((const block *)a)->storage, *y = ((const block *)b)->storage;
    return compare_keys(x->key, x->key_length, y->key, y->key_length);
}

static block *find_block(const legacy *l, const char *key, uint64_t length)
{
    const sdi_pickle_storage wanted = {.key = key, .key_length = length};
    const block probe = {&wanted, 0};
    if (l->block_count == 0)
        return NULL;
    return bsearch(&probe, l->blocks, (size_t)l->block_count, sizeof probe, by_key);
}

/* Each storage that the object names, once; all mentions must agree. */
static sdiff_status collect_blocks(legacy *l, const sdi_pickle *object)
{
    uint64_t count = 0, kept = 0;
    for (const sdi_pickle_storage *s = object->storages; s; s = s->next)
        count++;
    l->blocks = sdi_alloc(l->env, count, sizeof *l->blocks);
    if (!l->blocks)
        return SDIFF_ERROR_NO_MEMORY;
    count = 0;
    for (const sdi_pickle_storage *s = object->storages; s; s = s->next)
        l->blocks[count++] = (block){s, 0};
    qsort(l->blocks, (size_t)count, sizeof *l->blocks, by_key);
    for (uint64_t i = 0; i < count; i++) {
        const block *last = kept ? &l->blocks[kept - 1] : NULL;
        if (!last || by_key(last, &l->blocks[i]) != 0)
            l->blocks[kept++] = l->blocks[i];
        else if (last->storage->dtype != l->blocks[i].storage->dtype ||
                 last->storage->count != l->blocks[i].storage->count)
            return sdi_fail(l->env, SDIFF_ERROR_FORMAT,
                            "%s: the storage '%.*s' has two types or sizes", l->name,
                            (int)SDI_MIN(last->storage->key_length, 100u), last->storage->key);
    }
    l->block_count = kept;
    return SDIFF_OK;
}

/* The data of one key at *at, which moves behind it. */
static sdiff_status place_block(legacy *l, const sdi_value *key, uint64_t *at)
{
    block *b = key->kind == SDI_VALUE_STRING ? find_block(l, key->text, key->length) : NULL;
    if (!b)
        return sdi_fail(l->env, SDIFF_ERROR_FORMAT,
                        "%s: its list of storages has one that no tensor uses", l->name);
    unsigned char prefix[8];
    SDI_TRY(sdi_source_read(l->env, l->source, *at, prefix, sizeof prefix));
    const uint64_t count = sdi_le64(prefix), left = sdi_source_size(l->source) - *at - 8;
    const uint64_t element = sdi_dtype_size(b->storage->dtype);
    if (count != b->storage->count || count > left / element)
        return sdi_fail(l->env, SDIFF_ERROR_FORMAT,
                        "%s: the storage '%.*s' has %lld elements here and %llu by its tensors; "
                        "%llu bytes are left (an incomplete download?)",
                        l->name, (int)SDI_MIN(key->length, 100u), key->text, (long long)count,
                        (unsigned long long)b->storage->count, (unsigned long long)left);
    b->offset = *at + 8;
    *at = b->offset + count * element;
    return SDIFF_OK;
}

static sdiff_status place_blocks(legacy *l, const sdi_value *keys)
{
    uint64_t at = l->at;
    if (keys->kind != SDI_VALUE_LIST && keys->kind != SDI_VALUE_TUPLE)
        return sdi_fail(l->env, SDIFF_ERROR_FORMAT, "%s: its list of storages is missing",
                        l->name);
    for (uint64_t i = 0; i < keys->count; i++)
        SDI_TRY(place_block(l, keys->items[i], &at));
    return SDIFF_OK;
}

static sdiff_status resolve(const sdi_env *env, void *user, sdi_tensor_file *file,
                            const sdi_pickle_storage *storage, uint32_t *index)
{
    const legacy *l = user;
    const block *b = find_block(l, storage->key, storage->key_length);
    if (!b || b->offset == 0)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: the file has no data for storage '%.*s'",
                        l->name, (int)SDI_MIN(storage->key_length, 100u), storage->key);
    const uint64_t bytes = storage->count * sdi_dtype_size(storage->dtype);
    const sdi_storage place = {
        .source = l->source_index, .offset = b->offset, .packed = bytes, .bytes = bytes};
    return sdi_table_add_storage(env, file, &place, index);
}

static sdiff_status read_object(legacy *l)
{
    sdi_pickle object, keys;
    SDI_TRY(next_pickle(l, &object));
    sdiff_status status = collect_blocks(l, &object);
    if (status == SDIFF_OK)
        status = next_pickle(l, &keys);
    if (status == SDIFF_OK) {
        status = place_blocks(l, keys.root);
        sdi_pickle_free(l->env, &keys);
    }
    if (status == SDIFF_OK)
        status = sdi_tree_read(l->env, l->file, l->name, object.root, resolve, l);
    sdi_pickle_free(l->env, &object);
    sdi_free(l->env, l->blocks);
    return status;
}

sdiff_status sdi_torch_legacy_read(const sdi_env *env, sdi_tensor_file *file, sdi_source *source)
{
    legacy l = {.env = env, .file = file, .source = source, .name = sdi_source_name(source)};
    void *owned = NULL;
    SDI_TRY(sdi_table_add_source(env, file, source, &l.source_index));
    l.size = SDI_MIN(sdi_source_size(source), PICKLES_LIMIT);
    SDI_TRY(sdi_source_view(env, source, 0, l.size, &l.bytes, &owned));
    sdiff_status status = read_introduction(&l);
    if (status == SDIFF_OK)
        status = read_object(&l);
    sdi_free(env, owned);
    return status;
}
