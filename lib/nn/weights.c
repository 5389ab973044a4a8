/* SPDX-License-Identifier: MIT
 *
 * The parameters of one network: a list in order of declaration, a hash of their names, and the
 * packed matrices that products read.
 */
#include "nn/weights.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

void sdi_weights_init(sdi_weights *weights, const sdi_env *env, const sdi_kernels *kernels)
{
    memset(weights, 0, sizeof *weights);
    weights->env = *env;
    weights->kernels = *kernels;
}

void sdi_weights_free(sdi_weights *weights)
{
    for (int32_t i = 0; i < weights->count; i++) {
        sdi_free(&weights->env, weights->params[i].name);
        if (weights->params[i].owner < 0)
            sdi_free(&weights->env, weights->params[i].values);
    }
    for (int32_t i = 0; i < weights->matrix_count; i++)
        sdi_free(&weights->env, weights->matrices[i].data);
    sdi_free(&weights->env, weights->params);
    sdi_free(&weights->env, weights->matrices);
    sdi_free(&weights->env, weights->index);
    memset(weights, 0, sizeof *weights);
}

static uint32_t hash(const char *name)
{
    uint32_t h = 2166136261u; // FNV-1a
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

/* The slot of a name, or the free slot where it would go. */
static int32_t slot_of(const sdi_weights *weights, const char *name)
{
    const uint32_t mask = (uint32_t)weights->index_size - 1;
    uint32_t i = hash(name) & mask;
    while (weights->index[i] >= 0 && strcmp(weights->params[weights->index[i]].name, name) != 0)
        i = (i + 1) & mask;
    return (int32_t)i;
}

int32_t sdi_weights_find(const sdi_weights *weights, const char *name)
{
    return weights->index ? weights->index[slot_of(weights, name)] : -1;
}

/* Keeps the hash at most half full. */
static int grow_index(const sdi_env *env, sdi_weights *weights)
{
    if (2 * (weights->count + 1) <= weights->index_size)
        return 1;
    const int32_t size = weights->index_size ? 2 * weights->index_size : 256;
    int32_t *index = sdi_alloc(env, (uint64_t)size, sizeof *index);
    if (!index)
        return 0;
    sdi_free(env, weights->index);
    weights->index = index;
    weights->index_size = size;
    for (int32_t i = 0; i < size; i++)
        index[i] = -1;
    for (int32_t i = 0; i < weights->count; i++)
        index[slot_of(weights, weights->params[i].name)] = i;
    return 1;
}

/* Makes room for one more element of an array. */
static void *grow(const sdi_env *env, void *array, int32_t count, int32_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    const int32_t wanted = *capacity ? 2 * *capacity : 64;
    void *larger = sdi_realloc(env, array, (uint64_t)wanted, size);
    if (larger)
        *capacity = wanted;
    return larger;
}

int32_t sdi_weights_add(const sdi_env *env, sdi_weights *weights, const char *name, sdi_role role,
                        int32_t rank, const int64_t *shape)
{
    sdi_param *params = grow(env, weights->params, weights->count, &weights->capacity,
                             sizeof *weights->params);
    if (!params)
        return -1;
    weights->params = params;
    if (!grow_index(env, weights))
        return -1;
    const int32_t slot = slot_of(weights, name);
    if (weights->index[slot] >= 0) {
        sdi_fail(env, SDIFF_ERROR_INTERNAL, "parameter '%s' is declared twice", name);
        return -1;
    }
    sdi_param p = {.role = role, .rank = rank, .count = 1, .matrix = -1, .owner = -1};
    for (int32_t i = 0; i < rank; i++) {
        p.shape[i] = shape[i];
        p.count *= shape[i];
    }
    p.name = sdi_strdup(env, name);
    if (!p.name)
        return -1;
    weights->params[weights->count] = p;
    weights->index[slot] = weights->count;
    return weights->count++;
}

int32_t sdi_weights_add_matrix(const sdi_env *env, sdi_weights *weights, int64_t n, int64_t k,
                               int32_t kh, int32_t kw, int32_t geglu)
{
    sdi_packed *matrices = grow(env, weights->matrices, weights->matrix_count,
                                &weights->matrix_capacity, sizeof *weights->matrices);
    if (!matrices)
        return -1;
    weights->matrices = matrices;
    matrices[weights->matrix_count] =
        (sdi_packed){.n = n, .k = k, .kh = kh, .kw = kw, .geglu = geglu};
    return weights->matrix_count++;
}

uint64_t sdi_weights_elements(const sdi_weights *weights)
{
    uint64_t sum = 0;
    for (int32_t i = 0; i < weights->count; i++)
        sum += (uint64_t)weights->params[i].count;
    return sum;
}

uint64_t sdi_weights_bytes(const sdi_weights *weights)
{
    uint64_t sum = 0;
    for (int32_t i = 0; i < weights->count; i++)
        if (weights->params[i].role != SDI_ROLE_MATRIX)
            sum += (uint64_t)weights->params[i].count * sizeof(float);
    for (int32_t i = 0; i < weights->matrix_count; i++)
        sum += weights->kernels.pack_bytes(&weights->matrices[i]);
    return sum;
}

/* Elements of a parameter's values and of those that lie behind them (declared right after it). */
static uint64_t elements_owned(const sdi_weights *weights, int32_t param)
{
    uint64_t count = (uint64_t)weights->params[param].count;
    for (int32_t i = param + 1; i < weights->count && weights->params[i].owner == param; i++)
        count += (uint64_t)weights->params[i].count;
    return count;
}

sdiff_status sdi_weights_allocate(const sdi_env *env, sdi_weights *weights)
{
    for (int32_t i = 0; i < weights->count; i++) {
        sdi_param *p = &weights->params[i];
        if (p->role == SDI_ROLE_MATRIX || p->values)
            continue;
        if (p->owner >= 0)
            p->values = weights->params[p->owner].values + p->row0;
        else
            p->values = sdi_alloc(env, elements_owned(weights, i), sizeof *p->values);
        if (!p->values)
            return SDIFF_ERROR_NO_MEMORY;
    }
    for (int32_t i = 0; i < weights->matrix_count; i++) {
        sdi_packed *m = &weights->matrices[i];
        if (!m->data)
            m->data = sdi_alloc(env, weights->kernels.pack_bytes(m), 1);
        if (!m->data)
            return SDIFF_ERROR_NO_MEMORY;
    }
    return SDIFF_OK;
}

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

sdiff_status sdi_weights_bind(const sdi_exec *exec, sdi_weights *weights, int32_t param,
                              const void *source, sdi_dtype type)
{
    sdi_param *p = &weights->params[param];
    p->bound = 1;
    if (p->role != SDI_ROLE_MATRIX) {
        sdi_convert_to_f32(p->values, source, type, (size_t)p->count);
        return SDIFF_OK;
    }
    const int wide = type != SDI_F32 && type != SDI_F16 && type != SDI_BF16;
    float *values = NULL;
    if (p->standardize || wide) {
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

void sdi_weights_read(const sdi_weights *weights, int32_t param, float *out)
{
    const sdi_param *p = &weights->params[param];
    if (p->role == SDI_ROLE_MATRIX)
        weights->kernels.unpack(&weights->matrices[p->matrix], p->row0, p->shape[0], out);
    else
        memcpy(out, p->values, (size_t)p->count * sizeof *out);
}
