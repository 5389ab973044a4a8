/* SPDX-License-Identifier: MIT
 *
 * The safetensors container: 8 bytes little-endian header length, a JSON header
 * {"name": {"dtype", "shape", "data_offsets": [begin, end]}, …, "__metadata__": {…}}, then the
 * data.
 * As strict as the format: the tensors cover the data part exactly, without overlap or hole.
 */
#include "base/memory.h"
#include "io/bytes.h"
#include "io/json.h"
#include "io/tensor_table.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t HEADER_LIMIT = 100000000; // the format's own

/* A range of the data part and its tensor, to be put in order. */
typedef struct span {
    uint64_t begin, end;
    uint64_t entry;
} span;

typedef struct reader {
    const sdi_env *env;
    sdi_tensor_file *file;
    const char *name;    // of the file
    uint32_t storage;    // the data part
    uint64_t data_bytes; // in it
    span *spans;
    uint64_t span_count;
} reader;

static sdiff_status read_dtype(const reader *r, const char *tensor, const json_t *object,
                               sdi_dtype *dtype)
{
    /* Types that newer files may have and that no network here is stored in. */
    static const char *const later[] = {"F8_E4M3", "F8_E5M2", "F8_E8M0", "F6_E2M3", "F6_E3M2",
                                        "F4",      "U16",     "U32",     "U64",     "C64"};
    const json_t *value = json_object_get(object, "dtype");
    const char *text = json_string_value(value);
    if (!text)
        return sdi_fail(r->env, SDIFF_ERROR_FORMAT, "%s: tensor '%.200s' has no dtype", r->name,
                        tensor);
    for (int i = 0; i < SDI_DTYPE_COUNT; i++)
        if (strcmp(text, sdi_dtype_name((sdi_dtype)i)) == 0) {
            *dtype = (sdi_dtype)i;
            return SDIFF_OK;
        }
    for (size_t i = 0; i < SDI_COUNT(later); i++)
        if (strcmp(text, later[i]) == 0)
            return sdi_fail(r->env, SDIFF_ERROR_UNSUPPORTED,
                            "%s: tensor '%.200s' has the dtype %s, which is not supported", r->name,
                            tensor, text);
    return sdi_fail(r->env, SDIFF_ERROR_FORMAT, "%s: tensor '%.200s' has the unknown dtype '%.40s'",
                    r->name, tensor, text);
}

static sdiff_status read_shape(const reader *r, const char *tensor, const json_t *object,
                               sdi_tensor_info *info)
{
    const json_t *shape = json_object_get(object, "shape");
    if (!json_is_array(shape))
        return sdi_fail(r->env, SDIFF_ERROR_FORMAT, "%s: tensor '%.200s' has no shape", r->name,
                        tensor);
    const size_t rank = json_array_size(shape);
    if (rank > SDI_MAX_RANK)
        return sdi_fail(r->env, SDIFF_ERROR_LIMIT,
                        "%s: tensor '%.200s' has %llu dimensions, at most %d are possible", r->name,
                        tensor, (unsigned long long)rank, SDI_MAX_RANK);
    info->rank = (int32_t)rank;
    for (size_t d = 0; d < rank; d++) {
        const json_t *item = json_array_get(shape, d);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            return sdi_fail(r->env, SDIFF_ERROR_FORMAT,
                            "%s: the shape of tensor '%.200s' must be of integers from 0", r->name,
                            tensor);
        info->shape[d] = (int64_t)json_integer_value(item);
    }
    if (!sdi_tensor_measure(info))
        return sdi_fail(r->env, SDIFF_ERROR_FORMAT,
                        "%s: the shape of tensor '%.200s' is larger than any memory", r->name,
                        tensor);
    return SDIFF_OK;
}

static sdiff_status read_offsets(const reader *r, const char *tensor, const json_t *object,
                                 const sdi_tensor_info *info, span *s)
{
    const json_t *offsets = json_object_get(object, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *second = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(second) ||
        json_integer_value(first) < 0 || json_integer_value(second) < 0)
        return sdi_fail(r->env, SDIFF_ERROR_FORMAT,
                        "%s: tensor '%.200s' needs data_offsets of two integers from 0", r->name,
                        tensor);
    s->begin = (uint64_t)json_integer_value(first);
    s->end = (uint64_t)json_integer_value(second);
    if (s->begin > s->end || s->end > r->data_bytes)
        return sdi_fail(r->env, SDIFF_ERROR_FORMAT,
                        "%s: tensor '%.200s' lies at %llu to %llu of %llu data bytes", r->name,
                        tensor, (unsigned long long)s->begin, (unsigned long long)s->end,
                        (unsigned long long)r->data_bytes);
    if (s->end - s->begin != info->bytes)
        return sdi_fail(r->env, SDIFF_ERROR_FORMAT,
                        "%s: tensor '%.200s' needs %llu bytes by its shape and has %llu", r->name,
                        tensor, (unsigned long long)info->bytes,
                        (unsigned long long)(s->end - s->begin));
    return SDIFF_OK;
}

static sdiff_status read_entry(reader *r, const char *tensor, const json_t *object)
{
    if (!json_is_object(object))
        return sdi_fail(r->env, SDIFF_ERROR_FORMAT,
                        "%s: the header's entry '%.200s' is not an object", r->name, tensor);
    sdi_tensor_entry entry = {.storage = r->storage, .contiguous = 1};
    span *s = &r->spans[r->span_count];
    SDI_TRY(read_dtype(r, tensor, object, &entry.info.dtype));
    SDI_TRY(read_shape(r, tensor, object, &entry.info));
    SDI_TRY(read_offsets(r, tensor, object, &entry.info, s));
    entry.start = s->begin;
    s->entry = r->file->entry_count;
    r->span_count++;
    return sdi_table_add_tensor(r->env, r->file, &entry, tensor, strlen(tensor));
}

static sdiff_status read_metadata(const reader *r, json_t *object)
{
    if (!json_is_object(object))
        return sdi_fail(r->env, SDIFF_ERROR_FORMAT, "%s: __metadata__ is not an object", r->name);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value) {
        const char *text = json_string_value(value);
        if (!text)
            return sdi_fail(r->env, SDIFF_ERROR_FORMAT,
                            "%s: '%.200s' in __metadata__ is not a string", r->name, key);
        SDI_TRY(sdi_table_add_metadata(r->env, r->file, key, strlen(key), text, strlen(text)));
    }
    return SDIFF_OK;
}

static int by_begin(const void *a, const void *b)
{
    const span *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* The spans in order must join without overlap or hole and end with the file. */
static sdiff_status check_cover(reader *r)
{
    qsort(r->spans, (size_t)r->span_count, sizeof *r->spans, by_begin);
    uint64_t at = 0;
    for (uint64_t i = 0; i < r->span_count; i++) {
        const span *s = &r->spans[i];
        if (s->begin != at)
            return sdi_fail(r->env, SDIFF_ERROR_FORMAT,
                            "%s: tensor '%.200s' begins at data byte %llu, %s %llu", r->name,
                            r->file->entries[s->entry].info.name, (unsigned long long)s->begin,
                            s->begin < at ? "inside of another that ends at"
                                          : "which leaves a hole after",
                            (unsigned long long)at);
        at = s->end;
    }
    if (at != r->data_bytes)
        return sdi_fail(r->env, SDIFF_ERROR_FORMAT,
                        "%s: the tensors end at data byte %llu, the file at %llu", r->name,
                        (unsigned long long)at, (unsigned long long)r->data_bytes);
    return SDIFF_OK;
}

static sdiff_status read_header(reader *r, json_t *header)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(header, key, value) {
        if (strcmp(key, "__metadata__") == 0)
            SDI_TRY(read_metadata(r, value));
        else
            SDI_TRY(read_entry(r, key, value));
    }
    return check_cover(r);
}

/* The header as JSON. A byte order mark or padding other than spaces is against the format. */
static sdiff_status parse_header(const sdi_env *env, sdi_source *source, uint64_t bytes,
                                 json_t **out)
{
    const char *name = sdi_source_name(source);
    const unsigned char *text = NULL;
    void *owned = NULL;
    SDI_TRY(sdi_source_view(env, source, 8, bytes, &text, &owned));
    sdiff_status status = SDIFF_OK;
    if (bytes == 0 || text[0] != '{')
        status = sdi_fail(env, SDIFF_ERROR_FORMAT,
                          "%s: a safetensors header must begin with '{'", name);
    if (status == SDIFF_OK)
        status = sdi_json_parse(env, name, (const char *)text, (size_t)bytes, out);
    sdi_free(env, owned);
    return status;
}

sdiff_status sdi_safetensors_read(const sdi_env *env, sdi_tensor_file *file, sdi_source *source)
{
    const uint64_t size = sdi_source_size(source);
    const char *name = sdi_source_name(source);
    unsigned char prefix[8];
    SDI_TRY(sdi_source_read(env, source, 0, prefix, sizeof prefix));
    const uint64_t bytes = sdi_le64(prefix);
    if (bytes > size - 8)
        return sdi_fail(env, SDIFF_ERROR_FORMAT,
                        "%s: the safetensors header should have %llu bytes, the file has %llu "
                        "(an incomplete download?)",
                        name, (unsigned long long)bytes, (unsigned long long)size);
    if (bytes > HEADER_LIMIT)
        return sdi_fail(env, SDIFF_ERROR_LIMIT,
                        "%s: the safetensors header has %llu bytes, at most %llu are allowed", name,
                        (unsigned long long)bytes, (unsigned long long)HEADER_LIMIT);
    reader r = {.env = env, .file = file, .name = name, .data_bytes = size - 8 - bytes};
    sdi_storage storage = {
        .offset = 8 + bytes, .packed = r.data_bytes, .bytes = r.data_bytes};
    SDI_TRY(sdi_table_add_source(env, file, source, &storage.source));
    SDI_TRY(sdi_table_add_storage(env, file, &storage, &r.storage));
    json_t *header = NULL;
    SDI_TRY(parse_header(env, source, bytes, &header));
    r.spans = sdi_alloc(env, json_object_size(header), sizeof *r.spans);
    const sdiff_status status = r.spans ? read_header(&r, header) : SDIFF_ERROR_NO_MEMORY;
    sdi_free(env, r.spans);
    json_decref(header);
    return status;
}
