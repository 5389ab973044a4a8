/* SPDX-License-Identifier: MIT
 *
 * The tensors of a file to be written: which parameters go into each, in which shape, and their
 * values one after the other.
 */
#include "model/save_file.h"

#include "base/memory.h"
#include "model/load.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- tensors --------------------------------------------------------------------------------- */

static sdi_save_tensor *push(sdi_save_file *f)
{
    if (f->count == f->capacity) {
        const int32_t capacity = f->capacity ? 2 * f->capacity : 512;
        sdi_save_tensor *tensors = sdi_realloc(f->env, f->tensors, (uint64_t)capacity,
                                               sizeof *tensors);
        if (!tensors)
            return NULL;
        f->tensors = tensors;
        f->capacity = capacity;
    }
    sdi_save_tensor *t = &f->tensors[f->count++];
    memset(t, 0, sizeof *t);
    return t;
}

static sdi_save_tensor *find(const sdi_save_file *f, const char *name)
{
    for (int32_t i = f->count - 1; i >= 0; i--) // those of one layer stand close together
        if (strcmp(f->tensors[i].name, name) == 0)
            return &f->tensors[i];
    return NULL;
}

static int is_merged(const sdi_save_file *f, sdi_part part, int32_t param)
{
    const sdi_loras *list = f->options->loras;
    for (int32_t i = 0; list && i < list->count; i++)
        for (int32_t k = 0; k < list->items[i].count; k++)
            if (list->items[i].modules[k].part == part && list->items[i].modules[k].param == param)
                return 1;
    return 0;
}

/* Of a tensor that the model's file has as `stored`. */
static sdi_dtype new_type(const sdi_save_file *f, sdi_dtype stored)
{
    static const sdi_dtype types[] = {[SDI_SAVE_F32] = SDI_F32, [SDI_SAVE_F16] = SDI_F16,
                                      [SDI_SAVE_BF16] = SDI_BF16};
    return f->options->type == SDI_SAVE_KEEP ? stored : types[f->options->type];
}

static sdi_dtype type_of(const sdi_save_file *f, sdi_part part, int32_t param)
{
    const sdi_tensor_ref ref = sdi_model_source_tensor(f->model, part, param);
    const sdi_dtype type = new_type(f, sdi_tensor_file_info(ref.file, ref.index)->dtype);
    return type == SDI_F64 && is_merged(f, part, param) ? SDI_F32 : type;
}

/* The original's attention outside of transformers is made of 1x1 convolutions: two-dimensional in
 * the autoencoder, one-dimensional in U-Nets without cross-attention. */
static void set_shape(sdi_save_tensor *t, const sdi_naming *naming, const sdi_param *p,
                      const sdi_alias *alias)
{
    const int original = naming->layout == SDI_LAYOUT_LDM;
    const int attention = p->role == SDI_ROLE_MATRIX && p->rank == 2 &&
                          strstr(p->name, "attentions.") != NULL;
    t->rank = p->rank;
    for (int32_t i = 0; i < 4; i++)
        t->shape[i] = i < p->rank ? p->shape[i] : 1;
    t->shape[0] *= alias->pieces;
    if (original && attention &&
        (naming->part == SDI_PART_VAE_ENCODER || naming->part == SDI_PART_VAE_DECODER))
        t->rank = 4;
    else if (original && attention && naming->part == SDI_PART_UNET &&
             naming->unet->self_attention_only)
        t->rank = 3;
}

static sdiff_status add_param(sdi_save_file *f, const sdi_naming *naming, int32_t param)
{
    const sdi_param *p = &f->model->parts[naming->part].weights.params[param];
    sdi_alias alias;
    if (!sdi_name_in_file(naming, p->name, 0, &alias))
        return sdi_fail(f->env, SDIFF_ERROR_UNSUPPORTED,
                        "the %s's '%s' has no name in the layout asked for",
                        sdi_part_name(naming->part), p->name);
    const sdi_dtype type = type_of(f, naming->part, param);
    sdi_save_tensor *t = alias.pieces > 1 ? find(f, alias.name) : NULL;
    if (t) {
        t->params[alias.piece] = param;
        t->dtype = t->dtype == type ? type : SDI_F32;
        return SDIFF_OK;
    }
    t = push(f);
    if (!t)
        return SDIFF_ERROR_NO_MEMORY;
    memcpy(t->name, alias.name, sizeof t->name);
    t->dtype = type;
    t->part = naming->part;
    t->pieces = alias.pieces;
    t->heads = alias.heads;
    t->params[0] = t->params[1] = t->params[2] = -1;
    t->params[alias.piece] = param;
    set_shape(t, naming, p, &alias);
    return SDIFF_OK;
}

sdiff_status sdi_save_add_part(sdi_save_file *f, const sdi_naming *naming, int32_t layers)
{
    const sdi_model_part *p = &f->model->parts[naming->part];
    for (int32_t i = 0; p->declared && i < p->weights.count; i++) {
        const char *name = p->weights.params[i].name;
        int32_t layer = -1;
        if (naming->part == SDI_PART_TEXT && sdi_take(&name, "text_model.") &&
            sdi_take_index(&name, "encoder.layers.", &layer) && layer >= layers)
            continue;
        SDI_TRY(add_param(f, naming, i));
    }
    return SDIFF_OK;
}

sdiff_status sdi_save_add_given(sdi_save_file *f, const char *name, sdi_dtype dtype, int32_t rank,
                                const int64_t *shape, const void *given)
{
    sdi_save_tensor *t = push(f);
    if (!t)
        return SDIFF_ERROR_NO_MEMORY;
    snprintf(t->name, sizeof t->name, "%s", name);
    t->dtype = dtype;
    t->rank = rank;
    memcpy(t->shape, shape, (size_t)rank * sizeof *shape);
    t->given = given;
    return SDIFF_OK;
}

sdiff_status sdi_save_add_copy(sdi_save_file *f, sdi_tensor_file *from, int32_t index)
{
    const sdi_tensor_info *info = sdi_tensor_file_info(from, index);
    if (strlen(info->name) >= SDI_NAME_MAX || info->rank > 4)
        return SDIFF_OK; // nothing that a network of this kind has
    sdi_save_tensor *t = push(f);
    if (!t)
        return SDIFF_ERROR_NO_MEMORY;
    snprintf(t->name, sizeof t->name, "%s", info->name);
    t->dtype = sdi_dtype_is_float(info->dtype) ? new_type(f, info->dtype) : info->dtype;
    t->rank = info->rank;
    memcpy(t->shape, info->shape, sizeof t->shape);
    t->file = from;
    t->index = index;
    return SDIFF_OK;
}

void sdi_save_free(sdi_save_file *f)
{
    sdi_free(f->env, f->tensors);
    f->tensors = NULL;
}

/* ---- values ---------------------------------------------------------------------------------- */

typedef struct writing {
    sdi_save_file *f;
    sdi_safetensors_writer *writer;
} writing;

/* From float32 to a type that is not wider, in place. */
static sdiff_status narrow(const sdi_save_file *f, const sdi_save_tensor *t, float *values,
                           uint64_t count)
{
    static const float largest = 65520; // what rounds to infinity
    if (t->dtype == SDI_F32)
        return SDIFF_OK;
    for (uint64_t i = 0; t->dtype == SDI_F16 && i < count; i++)
        if (isfinite(values[i]) && fabsf(values[i]) >= largest)
            return sdi_fail(f->env, SDIFF_ERROR_MISMATCH,
                            "tensor '%s' holds %g, which F16 cannot express; BF16 or F32 can",
                            t->name, (double)values[i]);
    sdi_convert_from_f32(values, t->dtype, values, (size_t)count);
    return SDIFF_OK;
}

/* The bytes of one parameter in the type wanted, without a copy where the file has just these. */
static sdiff_status view_param(const sdi_save_file *f, const sdi_save_tensor *t, int32_t param,
                               const void **data, void **owned)
{
    const sdi_tensor_ref *ref = &f->model->parts[t->part].refs[param];
    const uint64_t count = (uint64_t)f->model->parts[t->part].weights.params[param].count;
    const sdi_loras none = {0};
    const int merged = is_merged(f, t->part, param);
    *owned = NULL;
    if (!merged && t->dtype == sdi_tensor_file_info(ref->file, ref->index)->dtype)
        return sdi_ref_data(f->env, ref, data, owned);
    float *values = sdi_alloc(f->env, count, sizeof *values);
    if (!values)
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status =
        sdi_loras_values(f->env, f->model, f->options->pool, merged ? f->options->loras : &none,
                         t->part, param, values);
    if (status == SDIFF_OK)
        status = narrow(f, t, values, count);
    if (status != SDIFF_OK) {
        sdi_free(f->env, values);
        return status;
    }
    *data = *owned = values;
    return SDIFF_OK;
}

/* Written: the pages of the model's file are not needed again. */
static void release(const sdi_save_file *f, sdi_part part, int32_t param)
{
    const sdi_tensor_ref *ref = &f->model->parts[part].refs[param];
    sdi_tensor_file_release(ref->file, ref->index);
}

/* Pieces of fused tensors go out head by head: [heads][pieces][rows]. */
static sdiff_status write_params(const writing *w, const sdi_save_tensor *t)
{
    const void *data[3] = {NULL};
    void *owned[3] = {NULL};
    sdiff_status status = SDIFF_OK;
    for (int32_t i = 0; i < t->pieces && status == SDIFF_OK; i++)
        status = t->params[i] < 0
                     ? sdi_fail(w->f->env, SDIFF_ERROR_INTERNAL, "'%s' lacks a part", t->name)
                     : view_param(w->f, t, t->params[i], &data[i], &owned[i]);
    uint64_t block = sdi_dtype_size(t->dtype);
    for (int32_t d = 0; d < t->rank; d++)
        block *= (uint64_t)t->shape[d];
    block /= (uint64_t)t->pieces * (uint64_t)t->heads;
    for (int32_t h = 0; h < t->heads; h++)
        for (int32_t i = 0; i < t->pieces && status == SDIFF_OK; i++)
            status = sdi_safetensors_append(w->f->env, w->writer,
                                            (const char *)data[i] + (uint64_t)h * block, block);
    for (int32_t i = 0; i < t->pieces; i++) {
        sdi_free(w->f->env, owned[i]);
        if (t->params[i] >= 0)
            release(w->f, t->part, t->params[i]);
    }
    return status;
}

static sdiff_status write_copy(const writing *w, const sdi_save_tensor *t)
{
    const sdi_env *env = w->f->env;
    const sdi_tensor_info *info = sdi_tensor_file_info(t->file, t->index);
    const void *data = NULL;
    void *owned = NULL;
    float *values = NULL;
    sdiff_status status = sdi_tensor_file_data(env, t->file, t->index, &data, &owned);
    if (status == SDIFF_OK && t->dtype != info->dtype) {
        values = sdi_alloc(env, info->count, sizeof *values);
        status = values ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
        if (values) {
            sdi_convert_to_f32(values, data, info->dtype, (size_t)info->count);
            status = narrow(w->f, t, values, info->count);
        }
        data = values;
    }
    if (status == SDIFF_OK)
        status = sdi_safetensors_append(env, w->writer, data,
                                        info->count * sdi_dtype_size(t->dtype));
    sdi_free(env, owned);
    sdi_free(env, values);
    return status;
}

static sdiff_status write_tensor(const writing *w, const sdi_save_tensor *t)
{
    if (t->pieces)
        return write_params(w, t);
    if (t->file)
        return write_copy(w, t);
    uint64_t bytes = sdi_dtype_size(t->dtype);
    for (int32_t d = 0; d < t->rank; d++)
        bytes *= (uint64_t)t->shape[d];
    return sdi_safetensors_append(w->f->env, w->writer, t->given, bytes);
}

sdiff_status sdi_save_write(sdi_save_file *f, const char *path, const char *const *metadata)
{
    writing w = {.f = f};
    sdi_tensor_out *tensors = sdi_zalloc(f->env, (uint64_t)f->count, sizeof *tensors);
    if (!tensors)
        return SDIFF_ERROR_NO_MEMORY;
    for (int32_t i = 0; i < f->count; i++) {
        tensors[i] = (sdi_tensor_out){.name = f->tensors[i].name, .dtype = f->tensors[i].dtype,
                                      .rank = f->tensors[i].rank};
        memcpy(tensors[i].shape, f->tensors[i].shape, sizeof f->tensors[i].shape);
    }
    sdiff_status status =
        sdi_safetensors_begin(f->env, path, tensors, f->count, metadata, &w.writer);
    for (int32_t i = 0; i < f->count && status == SDIFF_OK; i++)
        status = write_tensor(&w, &f->tensors[i]);
    sdi_free(f->env, tensors);
    if (status == SDIFF_OK)
        return sdi_safetensors_end(f->env, w.writer);
    sdi_safetensors_abandon(f->env, w.writer);
    return status;
}
