/* SPDX-License-Identifier: MIT
 *
 * sdiff_tensors: named tensors in memory and in safetensors files.
 */
#include "api/tensors.h"

#include <math.h>
#include <string.h>

sdiff_status sdiff_tensors_new(sdiff_context *context, sdiff_tensors **out)
{
    if (out)
        *out = NULL;
    if (!context || !out)
        return sdi_null_argument(context ? &context->error : NULL, "tensors");
    const sdi_env env = sdi_context_env(context);
    sdi_error_clear(&context->error);
    sdiff_tensors *t = sdi_zalloc(&env, 1, sizeof *t);
    if (!t)
        return SDIFF_ERROR_NO_MEMORY;
    t->context = sdi_context_ref(context);
    t->env = sdi_handle_env(context, &t->error);
    *out = t;
    return SDIFF_OK;
}

void sdiff_tensors_free(sdiff_tensors *t)
{
    if (!t)
        return;
    sdiff_context *context = t->context;
    const sdi_env env = t->env; // goes with t
    for (int32_t i = 0; i < t->count; i++) {
        sdi_free(&env, (void *)t->list[i].name);
        sdi_free(&env, (void *)t->list[i].data);
    }
    sdi_free(&env, t->list);
    sdi_free(&env, t);
    sdiff_context_free(context);
}

const sdi_tensor_out *sdi_tensors_find(const sdiff_tensors *t, const char *name)
{
    for (int32_t i = 0; t && name && i < t->count; i++)
        if (strcmp(t->list[i].name, name) == 0)
            return &t->list[i];
    return NULL;
}

uint64_t sdi_tensor_elements(const sdi_tensor_out *tensor)
{
    uint64_t count = 1;
    for (int32_t i = 0; i < tensor->rank; i++)
        count *= (uint64_t)tensor->shape[i];
    return count;
}

static sdiff_status check_shape(const sdi_env *env, const char *name, int32_t dtype, int32_t rank,
                                const int64_t *shape, uint64_t *bytes)
{
    if (dtype < 0 || dtype >= SDI_DTYPE_COUNT || rank < 0 || rank > SDI_MAX_RANK)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "tensor '%s': element type %d or rank %d is not possible", name, dtype,
                        rank);
    *bytes = sdi_dtype_size((sdi_dtype)dtype);
    for (int32_t i = 0; i < rank; i++)
        if (shape[i] < 0 || !sdi_mul_ok(*bytes, (uint64_t)shape[i], bytes))
            return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                            "tensor '%s': a side of %lld is not possible", name,
                            (long long)shape[i]);
    return SDIFF_OK;
}

/* The place for a tensor of that name: an old one, emptied, or a new one at the end. */
static sdi_tensor_out *slot_of(sdiff_tensors *t, const char *name)
{
    sdi_tensor_out *old = (sdi_tensor_out *)sdi_tensors_find(t, name);
    if (old) {
        sdi_free(&t->env, (void *)old->data);
        old->data = NULL;
        return old;
    }
    if (t->count == t->capacity) {
        const int32_t wanted = 2 * t->capacity + 16;
        sdi_tensor_out *list = sdi_realloc(&t->env, t->list, (uint64_t)wanted, sizeof *list);
        if (!list)
            return NULL;
        t->list = list;
        t->capacity = wanted;
    }
    sdi_tensor_out *slot = &t->list[t->count];
    memset(slot, 0, sizeof *slot);
    slot->name = sdi_strdup(&t->env, name);
    if (!slot->name)
        return NULL;
    t->count++;
    return slot;
}

sdiff_status sdiff_tensors_set(sdiff_tensors *t, const char *name, int32_t dtype, int32_t rank,
                               const int64_t *shape, const void *data)
{
    uint64_t bytes = 0;
    if (!t || !name || !data || (rank > 0 && !shape))
        return sdi_null_argument(t ? &t->error : NULL, "name, shape or data");
    SDI_TRY(check_shape(&t->env, name, dtype, rank, shape, &bytes));
    void *copy = sdi_alloc(&t->env, bytes, 1);
    if (!copy)
        return SDIFF_ERROR_NO_MEMORY;
    memcpy(copy, data, (size_t)bytes);
    sdi_tensor_out *slot = slot_of(t, name);
    if (!slot) {
        sdi_free(&t->env, copy);
        return SDIFF_ERROR_NO_MEMORY;
    }
    slot->dtype = (sdi_dtype)dtype;
    slot->rank = rank;
    for (int32_t i = 0; i < rank; i++)
        slot->shape[i] = shape[i];
    slot->data = copy;
    return SDIFF_OK;
}

static sdiff_status read_all(const sdi_env *env, sdi_tensor_file *file, sdiff_tensors *t)
{
    for (int32_t i = 0; i < sdi_tensor_file_count(file); i++) {
        const sdi_tensor_info *info = sdi_tensor_file_info(file, i);
        const void *data = NULL;
        void *owned = NULL;
        SDI_TRY(sdi_tensor_file_data(env, file, i, &data, &owned));
        const sdiff_status status = sdiff_tensors_set(t, info->name, (int32_t)info->dtype,
                                                      info->rank, info->shape, data);
        sdi_free(env, owned);
        SDI_TRY(status);
    }
    return SDIFF_OK;
}

sdiff_status sdiff_tensors_open(sdiff_context *context, const char *path, sdiff_tensors **out)
{
    SDI_OWN_FLOAT_MODE;
    if (out)
        *out = NULL;
    if (!context || !path || !out)
        return sdi_null_argument(context ? &context->error : NULL, "path or tensors");
    const sdi_env env = sdi_context_env(context);
    sdiff_tensors *t = NULL;
    SDI_TRY(sdiff_tensors_new(context, &t));
    sdi_tensor_file *file = NULL;
    sdiff_status status = sdi_tensor_file_open_path(&env, path, &file);
    if (status == SDIFF_OK)
        status = read_all(&env, file, t);
    sdi_tensor_file_free(&env, file);
    if (status != SDIFF_OK)
        sdiff_tensors_free(t);
    else
        *out = t;
    return status;
}

sdiff_status sdiff_tensors_save(sdiff_tensors *t, const char *path)
{
    SDI_OWN_FLOAT_MODE;
    if (!t || !path)
        return sdi_null_argument(t ? &t->error : NULL, "path");
    return sdi_safetensors_write(&t->env, path, t->list, t->count, NULL);
}

int32_t sdiff_tensors_count(const sdiff_tensors *t)
{
    return t ? t->count : 0;
}

const char *sdiff_tensors_name(const sdiff_tensors *t, int32_t index)
{
    return t && index >= 0 && index < t->count ? t->list[index].name : NULL;
}

int32_t sdiff_tensors_shape(const sdiff_tensors *t, const char *name, int64_t *shape)
{
    const sdi_tensor_out *found = sdi_tensors_find(t, name);
    if (!found)
        return -1;
    for (int32_t i = 0; shape && i < SDI_MAX_RANK; i++)
        shape[i] = i < found->rank ? found->shape[i] : 1;
    return found->rank;
}

int32_t sdiff_tensors_dtype(const sdiff_tensors *t, const char *name)
{
    const sdi_tensor_out *found = sdi_tensors_find(t, name);
    return found ? (int32_t)found->dtype : -1;
}

static sdiff_status find_with_count(sdiff_tensors *t, const char *name, size_t count,
                                    const sdi_tensor_out **found)
{
    *found = sdi_tensors_find(t, name);
    if (!*found)
        return sdi_fail(&t->env, SDIFF_ERROR_INVALID_ARGUMENT, "there is no tensor '%s'", name);
    if (sdi_tensor_elements(*found) != count)
        return sdi_fail(&t->env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "tensor '%s' has %llu elements, %zu were asked for", name,
                        (unsigned long long)sdi_tensor_elements(*found), count);
    return SDIFF_OK;
}

sdiff_status sdiff_tensors_get_f32(sdiff_tensors *t, const char *name, float *out, size_t count)
{
    SDI_OWN_FLOAT_MODE;
    const sdi_tensor_out *found = NULL;
    if (!t || !name || (count && !out))
        return sdi_null_argument(t ? &t->error : NULL, "name or out");
    SDI_TRY(find_with_count(t, name, count, &found));
    sdi_convert_to_f32(out, found->data, found->dtype, count);
    return SDIFF_OK;
}

/* Wide integers exactly, every other number as float32, which has to be an integer too. */
static sdiff_status read_integer(const sdi_env *env, const sdi_tensor_out *tensor, size_t index,
                                 int64_t *out)
{
    float x;
    if (tensor->dtype == SDI_I64 || tensor->dtype == SDI_I32) {
        *out = tensor->dtype == SDI_I64 ? ((const int64_t *)tensor->data)[index]
                                        : ((const int32_t *)tensor->data)[index];
        return SDIFF_OK;
    }
    sdi_convert_to_f32(&x, (const char *)tensor->data + index * sdi_dtype_size(tensor->dtype),
                       tensor->dtype, 1);
    if (!(fabsf(x) < 0x1p62f) || x != truncf(x))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "tensor '%s' holds %g, which is no integer", tensor->name, (double)x);
    *out = (int64_t)x;
    return SDIFF_OK;
}

sdiff_status sdiff_tensors_get_i64(sdiff_tensors *t, const char *name, int64_t *out, size_t count)
{
    SDI_OWN_FLOAT_MODE;
    const sdi_tensor_out *found = NULL;
    if (!t || !name || (count && !out))
        return sdi_null_argument(t ? &t->error : NULL, "name or out");
    SDI_TRY(find_with_count(t, name, count, &found));
    for (size_t i = 0; i < count; i++)
        SDI_TRY(read_integer(&t->env, found, i, &out[i]));
    return SDIFF_OK;
}

const char *sdiff_tensors_error(const sdiff_tensors *t)
{
    return t ? t->error.text : "";
}
