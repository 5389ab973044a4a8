/* SPDX-License-Identifier: MIT
 *
 * The parameters of one network: a list in order of declaration, a hash of their names, and the
 * packed matrices that products read.
 */
#include "nn/weights.h"

#include "base/memory.h"

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
        sdi_weights_drop_rows(weights, &weights->params[i]);
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

static uint64_t values_bytes(const sdi_weights *weights)
{
    uint64_t sum = 0;
    for (int32_t i = 0; i < weights->count; i++) {
        const sdi_role role = weights->params[i].role;
        if (role == SDI_ROLE_VECTOR || role == SDI_ROLE_TABLE)
            sum += (uint64_t)weights->params[i].count * sizeof(float);
    }
    return sum;
}

uint64_t sdi_weights_resident_bytes(const sdi_weights *weights)
{
    uint64_t sum = values_bytes(weights);
    for (int32_t i = 0; i < weights->count; i++) {
        const sdi_param *p = &weights->params[i];
        if (p->role == SDI_ROLE_LOOKUP && p->source && !p->borrowed)
            sum += (uint64_t)p->count * sdi_dtype_size(p->type);
    }
    for (int32_t i = 0; i < weights->matrix_count; i++)
        if (weights->matrices[i].data)
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
        if (p->role == SDI_ROLE_MATRIX || p->role == SDI_ROLE_LOOKUP || p->values)
            continue;
        if (p->owner >= 0)
            p->values = weights->params[p->owner].values + p->row0;
        else
            p->values = sdi_alloc(env, elements_owned(weights, i), sizeof *p->values);
        if (!p->values)
            return SDIFF_ERROR_NO_MEMORY;
    }
    for (int32_t i = 0; i < weights->matrix_count && !weights->streamed; i++) {
        sdi_packed *m = &weights->matrices[i];
        if (!m->data)
            m->data = sdi_alloc(env, weights->kernels.pack_bytes(m), 1);
        if (!m->data)
            return SDIFF_ERROR_NO_MEMORY;
    }
    return SDIFF_OK;
}

/* ---- reading them ---------------------------------------------------------------------------- */

void sdi_weights_row(const sdi_weights *weights, int32_t param, int64_t row, float *out)
{
    const sdi_param *p = &weights->params[param];
    const size_t at = (size_t)(row * p->shape[1]) * sdi_dtype_size(p->type);
    sdi_convert_to_f32(out, (const char *)p->source + at, p->type, (size_t)p->shape[1]);
}

/* A streamed parameter as it would come out of its packed form. */
static void read_streamed(const sdi_weights *weights, const sdi_param *p, float *out)
{
    sdi_convert_to_f32(out, p->source, p->type, (size_t)p->count);
    sdi_kernels_round(&weights->kernels, out, p->count);
}

void sdi_weights_read(const sdi_weights *weights, int32_t param, float *out)
{
    const sdi_param *p = &weights->params[param];
    if (p->role == SDI_ROLE_LOOKUP)
        sdi_convert_to_f32(out, p->source, p->type, (size_t)p->count);
    else if (p->role != SDI_ROLE_MATRIX)
        memcpy(out, p->values, (size_t)p->count * sizeof *out);
    else if (weights->matrices[p->matrix].data)
        weights->kernels.unpack(&weights->matrices[p->matrix], p->row0, p->shape[0], out);
    else
        read_streamed(weights, p, out);
}
