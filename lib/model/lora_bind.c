/* SPDX-License-Identifier: MIT
 *
 * Merging: for each row o of a parameter
 *
 *   w[o, :] = file's w[o, :] + sum over modules: scale * factor * sum over p: up[o, p] down[p, :]
 *
 * in float32, in the order of the list and of p: the result does not depend on threads. Rows are
 * computed in parallel; parameters are packed one after the other, each from one buffer.
 */
#include "model/lora_match.h"

#include "base/memory.h"
#include "model/load.h"

#include <string.h>

enum { ROWS = 16, COLUMNS = 2048 }; // of a piece of work, and of what stays in the nearest cache

/* Memory for the largest parameter, taken before any weight is touched. */
typedef struct scratch {
    float *values; // of the parameter
    float *down;   // [rank, row length]
    float *mid;    // [rank, rank, taps], with the plain down matrix [rank, in] behind it
    float *up;     // [rows * pieces, rank]
    float *sums;   // [workers, row length]
} scratch;

typedef struct merging {
    const sdi_env *env;
    const sdi_model *model;
    sdi_pool *pool;
    const sdi_loras *list;
    scratch s;
    /* of the parameter and the module at hand */
    const sdi_param *param;
    int64_t row; // numbers of a row
    const sdi_lora_module *module;
    float weight; // scale * factor
    const unsigned char *source;
    sdi_dtype type;
} merging;

static int64_t row_length(const sdi_param *param)
{
    return param->count / param->shape[0];
}

static const sdi_param *param_of(const sdi_model *model, const sdi_lora_module *module)
{
    return &model->parts[module->part].weights.params[module->param];
}

/* ---- scratch --------------------------------------------------------------------------------- */

typedef struct sizes {
    uint64_t values, down, mid, up, row;
} sizes;

static void count_module(const merging *m, const sdi_lora_module *module, const sdi_lora *lora,
                         sizes *most)
{
    const sdi_param *param = param_of(m->model, module);
    const uint64_t row = (uint64_t)row_length(param), rank = (uint64_t)module->rank;
    most->row = SDI_MAX(most->row, row);
    most->values = SDI_MAX(most->values, (uint64_t)param->count);
    most->down = SDI_MAX(most->down, rank * row);
    most->up = SDI_MAX(most->up, sdi_tensor_file_info(lora->file, module->up)->count);
    if (module->mid >= 0)
        most->mid = SDI_MAX(most->mid, sdi_tensor_file_info(lora->file, module->mid)->count +
                                           sdi_tensor_file_info(lora->file, module->down)->count);
}

static sdiff_status take_scratch(merging *m, const sizes *most)
{
    const uint64_t workers = m->pool ? (uint64_t)sdi_pool_size(m->pool) : 1;
    m->s.values = sdi_alloc(m->env, most->values, sizeof(float));
    m->s.down = sdi_alloc(m->env, most->down, sizeof(float));
    m->s.mid = sdi_alloc(m->env, most->mid, sizeof(float));
    m->s.up = sdi_alloc(m->env, most->up, sizeof(float));
    m->s.sums = sdi_alloc(m->env, most->row * workers, sizeof(float));
    return m->s.values && m->s.down && m->s.mid && m->s.up && m->s.sums ? SDIFF_OK
                                                                       : SDIFF_ERROR_NO_MEMORY;
}

static void free_scratch(merging *m)
{
    sdi_free(m->env, m->s.values);
    sdi_free(m->env, m->s.down);
    sdi_free(m->env, m->s.mid);
    sdi_free(m->env, m->s.up);
    sdi_free(m->env, m->s.sums);
}

/* ---- one module ------------------------------------------------------------------------------ */

static sdiff_status read_tensor(const merging *m, sdi_tensor_file *file, int32_t tensor, float *out)
{
    const sdi_tensor_info *info = sdi_tensor_file_info(file, tensor);
    const void *data = NULL;
    void *owned = NULL;
    SDI_TRY(sdi_tensor_file_data(m->env, file, tensor, &data, &owned));
    sdi_convert_to_f32(out, data, info->dtype, (size_t)info->count);
    sdi_free(m->env, owned);
    return SDIFF_OK;
}

/* LoCon's second decomposition: down[p, i, tap] = sum over q of mid[p, q, tap] * plain[q, i]. */
static void expand_down(const merging *m, const float *mid, const float *plain)
{
    const int64_t rank = m->module->rank, inputs = m->param->shape[1];
    const int64_t taps = m->row / inputs;
    memset(m->s.down, 0, (size_t)(rank * m->row) * sizeof(float));
    for (int64_t p = 0; p < rank; p++)
        for (int64_t q = 0; q < rank; q++)
            for (int64_t i = 0; i < inputs; i++)
                for (int64_t t = 0; t < taps; t++)
                    m->s.down[p * m->row + i * taps + t] +=
                        mid[(p * rank + q) * taps + t] * plain[q * inputs + i];
}

static sdiff_status read_module(const merging *m, sdi_tensor_file *file)
{
    const sdi_lora_module *module = m->module;
    SDI_TRY(read_tensor(m, file, module->up, m->s.up));
    if (module->mid < 0)
        return read_tensor(m, file, module->down, m->s.down);
    float *plain = m->s.mid + sdi_tensor_file_info(file, module->mid)->count;
    SDI_TRY(read_tensor(m, file, module->mid, m->s.mid));
    SDI_TRY(read_tensor(m, file, module->down, plain));
    expand_down(m, m->s.mid, plain);
    return SDIFF_OK;
}

/* The row of `up` for a row of the parameter: [heads][pieces][rows] where several are fused. */
static int64_t up_row(const merging *m, int64_t row)
{
    const sdi_lora_module *module = m->module;
    const int64_t block = m->param->shape[0] / module->heads;
    return (row / block * module->pieces + module->piece) * block + row % block;
}

/* Columns [first, end) of one row. */
static void add_row(const merging *m, int64_t row, int64_t first, int64_t end, float *sum)
{
    const int32_t rank = m->module->rank;
    const float *up = m->s.up + up_row(m, row) * rank;
    float *w = m->s.values + row * m->row;
    memset(sum + first, 0, (size_t)(end - first) * sizeof *sum);
    int32_t p = 0;
    for (; p + 4 <= rank; p += 4) { // four at a time, in the same order
        const float *d0 = m->s.down + p * m->row, *d1 = d0 + m->row, *d2 = d1 + m->row;
        const float *d3 = d2 + m->row;
        for (int64_t i = first; i < end; i++)
            sum[i] = sum[i] + up[p] * d0[i] + up[p + 1] * d1[i] + up[p + 2] * d2[i] +
                     up[p + 3] * d3[i];
    }
    for (; p < rank; p++) {
        const float *down = m->s.down + p * m->row;
        for (int64_t i = first; i < end; i++)
            sum[i] += up[p] * down[i];
    }
    for (int64_t i = first; i < end; i++)
        w[i] += m->weight * sum[i];
}

static void add_rows(void *argument, int64_t index, int32_t worker)
{
    const merging *m = argument;
    const int64_t end = SDI_MIN((index + 1) * ROWS, m->param->shape[0]);
    for (int64_t first = 0; first < m->row; first += COLUMNS)
        for (int64_t o = index * ROWS; o < end; o++)
            add_row(m, o, first, SDI_MIN(first + COLUMNS, m->row), m->s.sums + worker * m->row);
}

/* ---- one parameter --------------------------------------------------------------------------- */

static void widen_rows(void *argument, int64_t index, int32_t worker)
{
    const merging *m = argument;
    const int64_t first = index * ROWS, end = SDI_MIN(first + ROWS, m->param->shape[0]);
    (void)worker;
    sdi_convert_to_f32(m->s.values + first * m->row,
                       m->source + (size_t)(first * m->row) * sdi_dtype_size(m->type), m->type,
                       (size_t)((end - first) * m->row));
}

/* Fills s.values. */
static sdiff_status merge_param(merging *m, sdi_part part, int32_t param)
{
    const sdi_tensor_ref *ref = &m->model->parts[part].refs[param];
    const void *data = NULL;
    void *owned = NULL;
    m->param = &m->model->parts[part].weights.params[param];
    m->row = row_length(m->param);
    const int64_t pieces = (m->param->shape[0] + ROWS - 1) / ROWS;
    SDI_TRY(sdi_ref_data(m->env, ref, &data, &owned));
    m->source = data;
    m->type = sdi_tensor_file_info(ref->file, ref->index)->dtype;
    sdi_parallel_for(m->pool, pieces, widen_rows, m);
    sdi_free(m->env, owned);
    sdi_tensor_file_release(ref->file, ref->index);
    for (int32_t i = 0; i < m->list->count; i++) {
        const sdi_lora *lora = &m->list->items[i];
        for (int32_t k = 0; k < lora->count; k++) {
            if (lora->modules[k].param != param || lora->modules[k].part != part)
                continue;
            m->module = &lora->modules[k];
            m->weight = (float)lora->scale * m->module->factor;
            SDI_TRY(read_module(m, lora->file));
            sdi_parallel_for(m->pool, pieces, add_rows, m);
        }
    }
    return SDIFF_OK;
}

static sdiff_status bind(const merging *m, sdi_model *model, sdi_part part, int32_t param,
                         const void *values, sdi_dtype type)
{
    const sdi_exec exec = {.pool = m->pool};
    return sdi_weights_bind(&exec, &model->parts[part].weights, param, values, type);
}

/* ---- many ------------------------------------------------------------------------------------ */

/* Whether an earlier module of the items from `first` on has the same parameter. */
static int is_done(const sdi_loras *list, int32_t first, int32_t item, int32_t module)
{
    const sdi_lora_module *wanted = &list->items[item].modules[module];
    for (int32_t i = first; i <= item; i++)
        for (int32_t k = 0; k < (i == item ? module : list->items[i].count); k++)
            if (list->items[i].modules[k].param == wanted->param &&
                list->items[i].modules[k].part == wanted->part)
                return 1;
    return 0;
}

static void count_all(const merging *m, sizes *most)
{
    for (int32_t i = 0; i < m->list->count; i++)
        for (int32_t k = 0; k < m->list->items[i].count; k++)
            count_module(m, &m->list->items[i].modules[k], &m->list->items[i], most);
}

sdiff_status sdi_loras_bind(const sdi_env *env, sdi_model *model, sdi_pool *pool,
                            const sdi_loras *list, int32_t first, int32_t *touched)
{
    merging m = {.env = env, .model = model, .pool = pool, .list = list};
    sizes most = {0};
    count_all(&m, &most);
    sdiff_status status = take_scratch(&m, &most);
    for (int32_t i = first; i < list->count && status == SDIFF_OK; i++)
        for (int32_t k = 0; k < list->items[i].count && status == SDIFF_OK; k++) {
            const sdi_lora_module *module = &list->items[i].modules[k];
            if (is_done(list, first, i, k))
                continue;
            status = merge_param(&m, module->part, module->param);
            if (status != SDIFF_OK)
                break;
            *touched = 1;
            status = bind(&m, model, module->part, module->param, m.s.values, SDI_F32);
        }
    free_scratch(&m);
    return status;
}

sdiff_status sdi_lora_unbind(const sdi_env *env, sdi_model *model, sdi_pool *pool,
                             const sdi_lora *lora)
{
    const merging m = {.env = env, .model = model, .pool = pool};
    for (int32_t k = 0; k < lora->count; k++) {
        const sdi_lora_module *module = &lora->modules[k];
        const sdi_tensor_ref *ref = &model->parts[module->part].refs[module->param];
        const void *data = NULL;
        void *owned = NULL;
        SDI_TRY(sdi_ref_data(env, ref, &data, &owned));
        const sdi_dtype type = sdi_tensor_file_info(ref->file, ref->index)->dtype;
        const sdi_exec exec = {.pool = pool};
        const sdiff_status status =
            owned ? bind(&m, model, module->part, module->param, data, type)
                  : sdi_weights_bind_mapped(&exec, &model->parts[module->part].weights,
                                            module->param, data, type);
        sdi_free(env, owned);
        SDI_TRY(status);
    }
    return SDIFF_OK;
}

sdiff_status sdi_loras_values(const sdi_env *env, const sdi_model *model, sdi_pool *pool,
                              const sdi_loras *list, sdi_part part, int32_t param, float *out)
{
    merging m = {.env = env, .model = model, .pool = pool, .list = list};
    sizes most = {0};
    for (int32_t i = 0; i < list->count; i++)
        for (int32_t k = 0; k < list->items[i].count; k++)
            if (list->items[i].modules[k].part == part && list->items[i].modules[k].param == param)
                count_module(&m, &list->items[i].modules[k], &list->items[i], &most);
    if (most.values == 0)
        return sdi_model_source_values(env, model, part, param, out);
    most.values = 0;
    sdiff_status status = take_scratch(&m, &most);
    sdi_free(env, m.s.values);
    m.s.values = out;
    if (status == SDIFF_OK)
        status = merge_param(&m, part, param);
    m.s.values = NULL;
    free_scratch(&m);
    return status;
}
