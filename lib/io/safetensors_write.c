/* SPDX-License-Identifier: MIT
 *
 * Writes safetensors: the header through jansson, padded so that the data begin at a multiple of 8.
 */
#include "base/memory.h"
#include "io/json.h"
#include "io/out_file.h"
#include "io/tensor_table.h"

#include <stdlib.h>
#include <string.h>

/* Puts a fresh value under a name. jansson takes the value in any case; a NULL value is lack of
 * memory or, for strings, broken UTF-8. */
static sdiff_status put(const sdi_env *env, json_t *object, const char *key, json_t *value)
{
    if (json_object_get(object, key)) {
        json_decref(value);
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "two tensors named '%.200s' cannot be written", key);
    }
    if (value && json_object_set_new(object, key, value) == 0)
        return SDIFF_OK;
    return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                    "'%.200s' cannot be written: its name or text is not UTF-8, or there is no "
                    "memory", key);
}

static sdiff_status put_tensor(const sdi_env *env, json_t *header, const sdi_tensor_out *tensor,
                               uint64_t *at)
{
    sdi_tensor_info info = {.dtype = tensor->dtype, .rank = tensor->rank};
    if (strcmp(tensor->name, "__metadata__") == 0)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT, "a tensor cannot be named __metadata__");
    if (tensor->rank < 0 || tensor->rank > SDI_MAX_RANK)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "tensor '%.200s' of rank %d cannot be written", tensor->name,
                        (int)tensor->rank);
    memcpy(info.shape, tensor->shape, sizeof info.shape);
    if (!sdi_tensor_measure(&info) || info.bytes > (uint64_t)INT64_MAX - *at)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "the shape of tensor '%.200s' cannot be written", tensor->name);
    json_t *shape = json_array();
    for (int32_t d = 0; d < tensor->rank; d++)
        json_array_append_new(shape, json_integer((json_int_t)tensor->shape[d]));
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", sdi_dtype_name(tensor->dtype),
                              "shape", shape, "data_offsets", (json_int_t)*at,
                              (json_int_t)(*at + info.bytes));
    *at += info.bytes;
    return put(env, header, tensor->name, entry);
}

static sdiff_status build_header(const sdi_env *env, json_t *header, const sdi_tensor_out *tensors,
                                 int32_t count, const char *const *metadata)
{
    if (metadata && metadata[0]) {
        json_t *object = json_object();
        SDI_TRY(put(env, header, "__metadata__", object));
        for (; metadata[0]; metadata += 2)
            SDI_TRY(put(env, object, metadata[0], json_string(metadata[1])));
    }
    uint64_t at = 0;
    for (int32_t i = 0; i < count; i++)
        SDI_TRY(put_tensor(env, header, &tensors[i], &at));
    return SDIFF_OK;
}

static sdiff_status write_header(const sdi_env *env, sdi_out_file *file, const char *text)
{
    static const char blanks[8] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
    const uint64_t length = strlen(text), padding = (8 - length % 8) % 8;
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)((length + padding) >> 8 * i);
    SDI_TRY(sdi_out_write(env, file, prefix, sizeof prefix));
    SDI_TRY(sdi_out_write(env, file, text, length));
    return sdi_out_write(env, file, blanks, padding);
}

/* ---- in parts -------------------------------------------------------------------------------- */

struct sdi_safetensors_writer {
    sdi_out_file *file;
    uint64_t missing; // bytes that the header promised
};

static uint64_t bytes_of(const sdi_tensor_out *tensor)
{
    sdi_tensor_info info = {.dtype = tensor->dtype, .rank = tensor->rank};
    memcpy(info.shape, tensor->shape, sizeof info.shape);
    sdi_tensor_measure(&info); // cannot fail: the header was built
    return info.bytes;
}

static sdiff_status open_writer(const sdi_env *env, const char *path, const char *text,
                                sdi_safetensors_writer **out)
{
    sdi_safetensors_writer *writer = sdi_zalloc(env, 1, sizeof *writer);
    if (!writer)
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status = sdi_out_open(env, path, &writer->file);
    if (status == SDIFF_OK)
        status = write_header(env, writer->file, text);
    if (status != SDIFF_OK) {
        sdi_safetensors_abandon(env, writer);
        return status;
    }
    *out = writer;
    return SDIFF_OK;
}

sdiff_status sdi_safetensors_begin(const sdi_env *env, const char *path,
                                   const sdi_tensor_out *tensors, int32_t count,
                                   const char *const *metadata, sdi_safetensors_writer **out)
{
    json_t *header = json_object();
    char *text = NULL;
    *out = NULL;
    sdiff_status status = build_header(env, header, tensors, count, metadata);
    if (status == SDIFF_OK && !(text = json_dumps(header, JSON_COMPACT)))
        status = sdi_fail(env, SDIFF_ERROR_NO_MEMORY, "%s: no memory for the header", path);
    json_decref(header);
    if (status == SDIFF_OK)
        status = open_writer(env, path, text, out);
    free(text); // jansson's own memory
    for (int32_t i = 0; i < count && status == SDIFF_OK; i++)
        (*out)->missing += bytes_of(&tensors[i]);
    return status;
}

sdiff_status sdi_safetensors_append(const sdi_env *env, sdi_safetensors_writer *writer,
                                    const void *bytes, uint64_t size)
{
    if (size > writer->missing)
        return sdi_fail(env, SDIFF_ERROR_INTERNAL, "%llu bytes too many for the tensors of a file",
                        (unsigned long long)(size - writer->missing));
    writer->missing -= size;
    return sdi_out_write(env, writer->file, bytes, size);
}

void sdi_safetensors_abandon(const sdi_env *env, sdi_safetensors_writer *writer)
{
    if (!writer)
        return;
    sdi_out_abandon(env, writer->file);
    sdi_free(env, writer);
}

sdiff_status sdi_safetensors_end(const sdi_env *env, sdi_safetensors_writer *writer)
{
    if (writer->missing) {
        const uint64_t missing = writer->missing;
        sdi_safetensors_abandon(env, writer);
        return sdi_fail(env, SDIFF_ERROR_INTERNAL, "%llu bytes of a file's tensors are missing",
                        (unsigned long long)missing);
    }
    const sdiff_status status = sdi_out_commit(env, writer->file);
    sdi_free(env, writer);
    return status;
}

/* ---- at once --------------------------------------------------------------------------------- */

sdiff_status sdi_safetensors_write(const sdi_env *env, const char *path,
                                   const sdi_tensor_out *tensors, int32_t count,
                                   const char *const *metadata)
{
    sdi_safetensors_writer *writer = NULL;
    SDI_TRY(sdi_safetensors_begin(env, path, tensors, count, metadata, &writer));
    sdiff_status status = SDIFF_OK;
    for (int32_t i = 0; i < count && status == SDIFF_OK; i++)
        status = sdi_safetensors_append(env, writer, tensors[i].data, bytes_of(&tensors[i]));
    if (status == SDIFF_OK)
        return sdi_safetensors_end(env, writer);
    sdi_safetensors_abandon(env, writer);
    return status;
}
