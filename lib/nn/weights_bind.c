/* SPDX-License-Identifier: MIT
 *
 * Parameters get their values: converted, standardised, packed, or left in their file until a run
 * needs them (streamed).
 */
#include "nn/weights.h"

#include "base/memory.h"
#include "base/pages.h"

#include <math.h>
#include <string.h>

/* Weight standardisation (Qiao et al. 2019), as BiT's convolutions apply it at every call: each
 * output channel of the weight gets mean 0 and variance 1. Done once here. */
#define STANDARDIZE_EPS 1e-8

static void standardize(float *w, int64_t outputs, int64_t inputs)
{
    for (int64_t o = 0; o < outputs; o++, w += inputs) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < inputs; i++)
            sum += w[i];
        const double mean = sum / (double)inputs;
        for (int64_t i = 0; i < inputs; i++)
            squares += (w[i] - mean) * (w[i] - mean);
        const double scale = 1 / sqrt(squares / (double)inputs + STANDARDIZE_EPS);
        for (int64_t i = 0; i < inputs; i++)
            w[i] = (float)((w[i] - mean) * scale);
    }
}

/* ---- look-up tables -------------------------------------------------------------------------- */

/* Of a look-up table, where they are its own. */
void sdi_weights_drop_rows(const sdi_weights *weights, sdi_param *p)
{
    if (p->role == SDI_ROLE_LOOKUP && !p->borrowed)
        sdi_free(&weights->env, (void *)(uintptr_t)p->source);
    p->source = NULL;
}

static int is_narrow(sdi_dtype type)
{
    return type == SDI_F32 || type == SDI_F16 || type == SDI_BF16;
}

/* Look-up tables keep their file's type: they are large, and few of their rows are read. */
static sdiff_status bind_rows(sdi_weights *weights, sdi_param *p, const void *source,
                              sdi_dtype type)
{
    const sdi_dtype kept = is_narrow(type) ? type : SDI_F32;
    void *rows = sdi_alloc(&weights->env, (uint64_t)p->count, sdi_dtype_size(kept));
    if (!rows)
        return SDIFF_ERROR_NO_MEMORY;
    if (kept == type)
        memcpy(rows, source, (size_t)p->count * sdi_dtype_size(type));
    else
        sdi_convert_to_f32(rows, source, type, (size_t)p->count);
    sdi_weights_drop_rows(weights, p);
    p->source = rows;
    p->type = kept;
    p->borrowed = 0;
    return SDIFF_OK;
}

/* The first of the parameters that share a matrix: they were declared one after the other. */
static int32_t first_part(const sdi_weights *weights, int32_t param)
{
    const int32_t matrix = weights->params[param].matrix;
    while (param > 0 && weights->params[param - 1].matrix == matrix)
        param--;
    return param;
}

void sdi_weights_pack(const sdi_exec *exec, const sdi_weights *weights, int32_t first,
                      sdi_packed *packed)
{
    const int32_t matrix = weights->params[first].matrix;
    for (int32_t i = first; i < weights->count && weights->params[i].matrix == matrix; i++) {
        const sdi_param *p = &weights->params[i];
        const size_t bytes = (size_t)p->count * sdi_dtype_size(p->type);
        if (!p->source)
            continue;
        if (weights->paged)
            sdi_pages_expect(p->source, bytes);
        weights->kernels.pack(exec, packed, p->row0, p->shape[0], p->source, p->type);
        if (weights->paged)
            sdi_pages_release(p->source, bytes);
    }
}

/* Gives a streamed matrix memory of its own, with the values that its parts have in the file. */
static sdiff_status make_resident(const sdi_exec *exec, sdi_weights *weights, int32_t param)
{
    sdi_packed *m = &weights->matrices[weights->params[param].matrix];
    if (m->data)
        return SDIFF_OK;
    sdi_packed packed = *m;
    packed.data = sdi_alloc(&weights->env, weights->kernels.pack_bytes(m), 1);
    if (!packed.data)
        return SDIFF_ERROR_NO_MEMORY;
    sdi_weights_pack(exec, weights, first_part(weights, param), &packed);
    m->data = packed.data;
    atomic_fetch_add(&weights->version, 1);
    return SDIFF_OK;
}

static sdiff_status bind_matrix(const sdi_exec *exec, sdi_weights *weights, sdi_param *p,
                                const void *source, sdi_dtype type)
{
    float *values = NULL;
    if (p->standardize || !is_narrow(type)) {
        values = sdi_alloc(&weights->env, (uint64_t)p->count, sizeof *values);
        if (!values)
            return SDIFF_ERROR_NO_MEMORY;
        sdi_convert_to_f32(values, source, type, (size_t)p->count);
        if (p->standardize)
            standardize(values, p->shape[0], p->count / p->shape[0]);
        source = values;
        type = SDI_F32;
    }
    weights->kernels.pack(exec, &weights->matrices[p->matrix], p->row0, p->shape[0], source, type);
    sdi_free(&weights->env, values);
    return SDIFF_OK;
}

sdiff_status sdi_weights_bind(const sdi_exec *exec, sdi_weights *weights, int32_t param,
                              const void *source, sdi_dtype type)
{
    sdi_param *p = &weights->params[param];
    p->bound = 1;
    if (p->role == SDI_ROLE_LOOKUP)
        return bind_rows(weights, p, source, type);
    if (p->role != SDI_ROLE_MATRIX) {
        sdi_convert_to_f32(p->values, source, type, (size_t)p->count);
        return SDIFF_OK;
    }
    SDI_TRY(make_resident(exec, weights, param));
    p->changed = 1;
    return bind_matrix(exec, weights, p, source, type);
}

/* Frees a matrix that holds what the file holds. */
static void make_streamed(sdi_weights *weights, int32_t param)
{
    sdi_packed *m = &weights->matrices[weights->params[param].matrix];
    const int32_t first = first_part(weights, param);
    for (int32_t i = first; i < weights->count && weights->params[i].matrix ==
                                                      weights->params[param].matrix; i++)
        if (weights->params[i].changed || !weights->params[i].source)
            return;
    if (!m->data)
        return;
    sdi_free(&weights->env, m->data);
    m->data = NULL;
    atomic_fetch_add(&weights->version, 1);
}

sdiff_status sdi_weights_bind_mapped(const sdi_exec *exec, sdi_weights *weights, int32_t param,
                                     const void *source, sdi_dtype type)
{
    sdi_param *p = &weights->params[param];
    const int rows = p->role == SDI_ROLE_LOOKUP, matrix = p->role == SDI_ROLE_MATRIX;
    if (!weights->streamed || !(rows || matrix) || !is_narrow(type) || p->standardize)
        return sdi_weights_bind(exec, weights, param, source, type);
    p->bound = 1;
    if (rows)
        sdi_weights_drop_rows(weights, p);
    p->source = source;
    p->type = type;
    p->borrowed = 1;
    p->changed = 0;
    if (!matrix)
        return SDIFF_OK;
    make_streamed(weights, param);
    return weights->matrices[p->matrix].data ? bind_matrix(exec, weights, p, source, type)
                                             : SDIFF_OK;
}
