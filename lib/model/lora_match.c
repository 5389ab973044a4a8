/* SPDX-License-Identifier: MIT
 *
 * Opens a file of adapters: keys are brought together by layer, each layer's parameter is found and
 * all shapes are checked.
 */
#include "model/lora_match.h"

#include "base/memory.h"
#include "base/strbuf.h"
#include "io/json.h"
#include "model/load.h"
#include "tensor/shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TENSORS = 1 << 16 };

typedef struct matching {
    const sdi_env *env;
    const sdi_model *model;
    sdi_lora *lora;
    sdi_lora_key *keys; // by stem
    int32_t key_count;
    sdi_lora_targets targets;
    int32_t capacity; // of the modules
    int32_t unmatched;
    sdi_strbuf report;
} matching;

/* The keys of one layer. */
typedef struct group {
    const sdi_lora_key *keys;
    int32_t count;
    int32_t down, up, mid, alpha; // tensors, -1: absent
} group;

static const sdi_tensor_info *info_of(const matching *m, int32_t tensor)
{
    return sdi_tensor_file_info(m->lora->file, tensor);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static int by_stem(const void *a, const void *b)
{
    const sdi_lora_key *x = a, *y = b;
    const int order = strcmp(x->stem, y->stem);
    return order ? order : (x->tensor > y->tensor) - (x->tensor < y->tensor);
}

static sdiff_status read_keys(matching *m)
{
    m->key_count = sdi_tensor_file_count(m->lora->file);
    if (m->key_count > MOST_TENSORS)
        return sdi_fail(m->env, SDIFF_ERROR_LIMIT, "%s: holds %d tensors, at most %d are possible",
                        m->lora->name, (int)m->key_count, MOST_TENSORS);
    m->keys = sdi_alloc(m->env, (uint64_t)m->key_count, sizeof *m->keys);
    if (!m->keys)
        return SDIFF_ERROR_NO_MEMORY;
    for (int32_t i = 0; i < m->key_count; i++) {
        sdi_lora_parse_key(info_of(m, i)->name, i, &m->keys[i]);
        if (m->keys[i].kind == SDI_LORA_FOREIGN)
            return sdi_fail(m->env, SDIFF_ERROR_UNSUPPORTED,
                            "unsupported: %s holds '%.200s'; adapters of up and down matrices "
                            "(LoRA, LoCon) are supported, DoRA, LoHa, LoKr and OFT are not",
                            m->lora->name, m->keys[i].name);
    }
    qsort(m->keys, (size_t)m->key_count, sizeof *m->keys, by_stem);
    return SDIFF_OK;
}

static sdiff_status put_tensor(const matching *m, const sdi_lora_key *key, int32_t *slot)
{
    if (*slot >= 0)
        return sdi_fail(m->env, SDIFF_ERROR_FORMAT, "%s: '%.150s' and '%.150s' are the same matrix "
                        "of one layer", m->lora->name, info_of(m, *slot)->name, key->name);
    *slot = key->tensor;
    return SDIFF_OK;
}

static sdiff_status make_group(const matching *m, int32_t first, group *g)
{
    *g = (group){.keys = &m->keys[first], .down = -1, .up = -1, .mid = -1, .alpha = -1};
    int32_t *const slots[] = {NULL, &g->down, &g->up, &g->mid, &g->alpha};
    for (int32_t i = first; i < m->key_count; i++) {
        const sdi_lora_key *key = &m->keys[i];
        if (strcmp(key->stem, g->keys[0].stem) != 0)
            break;
        g->count++;
        if (key->kind != SDI_LORA_OTHER && key->kind != SDI_LORA_FOREIGN)
            SDI_TRY(put_tensor(m, key, slots[key->kind]));
    }
    return SDIFF_OK;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static sdiff_status read_alpha(const matching *m, int32_t tensor, float *alpha)
{
    const sdi_tensor_info *info = info_of(m, tensor);
    const void *data = NULL;
    void *owned = NULL;
    if (info->count != 1)
        return sdi_fail(m->env, SDIFF_ERROR_MISMATCH, "%s: '%.200s' holds %llu numbers, 1 was "
                        "needed", m->lora->name, info->name, (unsigned long long)info->count);
    SDI_TRY(sdi_tensor_file_data(m->env, m->lora->file, tensor, &data, &owned));
    sdi_convert_to_f32(alpha, data, info->dtype, 1);
    sdi_free(m->env, owned);
    if (!isfinite(*alpha))
        return sdi_fail(m->env, SDIFF_ERROR_FORMAT, "%s: '%.200s' is infinite or not a number",
                        m->lora->name, info->name);
    return SDIFF_OK;
}

/* Files of peft without alpha tensors may name one alpha for a part in their metadata, as JSON. */
static sdiff_status default_alpha(const matching *m, sdi_part part, int32_t rank, double *alpha)
{
    const char *text = sdi_tensor_file_metadata(m->lora->file, "lora_adapter_metadata");
    json_t *json = NULL;
    *alpha = rank;
    if (!text)
        return SDIFF_OK;
    SDI_TRY(sdi_json_parse(m->env, m->lora->name, text, strlen(text), &json));
    sdiff_status status = sdi_json_get_real(
        m->env, m->lora->name, json,
        part == SDI_PART_UNET ? "unet.lora_alpha" : "text_encoder.lora_alpha", alpha);
    json_decref(json);
    return status;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static sdiff_status fail_shape(const matching *m, int32_t tensor, const char *needed,
                               const sdi_param *param)
{
    char found[SDI_SHAPE_TEXT], shape[SDI_SHAPE_TEXT];
    const sdi_tensor_info *info = info_of(m, tensor);
    return sdi_fail(m->env, SDIFF_ERROR_MISMATCH,
                    "%s: '%.150s' has the shape %s, %s was needed for the model's '%.120s' of %s",
                    m->lora->name, info->name,
                    sdi_shape_text(found, sizeof found, info->rank, info->shape), needed,
                    param->name,
                    sdi_shape_text(shape, sizeof shape, param->rank, param->shape));
}

static sdiff_status check_tensor(const matching *m, int32_t tensor, const sdi_param *param,
                                 int32_t rank, const int64_t *shape)
{
    char needed[SDI_SHAPE_TEXT];
    const sdi_tensor_info *info = info_of(m, tensor);
    const int32_t real = sdi_shape_rank(rank, shape);
    int same = sdi_shape_rank(info->rank, info->shape) == real;
    for (int32_t i = 0; i < real && same; i++)
        same = info->shape[i] == shape[i];
    if (!same)
        return fail_shape(m, tensor, sdi_shape_text(needed, sizeof needed, rank, shape), param);
    if (!sdi_dtype_is_float(info->dtype))
        return sdi_fail(m->env, SDIFF_ERROR_MISMATCH, "%s: '%.200s' holds %s numbers, floats were "
                        "needed", m->lora->name, info->name, sdi_dtype_name(info->dtype));
    return SDIFF_OK;
}

/* down [rank, in, kh, kw], up [out, rank]; with mid [rank, rank, kh, kw] down is [rank, in]. */
static sdiff_status check_shapes(const matching *m, const group *g, const sdi_param *param,
                                 const sdi_lora_target *target, int32_t *rank)
{
    const sdi_tensor_info *down_info = info_of(m, g->down);
    const int64_t r = down_info->rank >= 2 ? down_info->shape[0] : 0;
    int64_t down[4] = {r, 1, 1, 1}, mid[4] = {r, r, 1, 1};
    const int64_t up[2] = {param->shape[0] * target->pieces, r};
    if (r < 1 || r > 1 << 20)
        return fail_shape(m, g->down, "[rank, inputs]", param);
    for (int32_t i = 1; i < param->rank; i++)
        (g->mid >= 0 && i > 1 ? mid : down)[i] = param->shape[i];
    *rank = (int32_t)r;
    SDI_TRY(check_tensor(m, g->down, param, param->rank, down));
    SDI_TRY(check_tensor(m, g->up, param, 2, up));
    return g->mid < 0 ? SDIFF_OK : check_tensor(m, g->mid, param, 4, mid);
}

/* ---- modules --------------------------------------------------------------------------------- */

static sdiff_status push(matching *m, const sdi_lora_module *module)
{
    sdi_lora *lora = m->lora;
    if (lora->count == m->capacity) {
        const int32_t capacity = m->capacity ? 2 * m->capacity : 256;
        sdi_lora_module *modules = sdi_realloc(m->env, lora->modules, (uint64_t)capacity,
                                               sizeof *modules);
        if (!modules)
            return SDIFF_ERROR_NO_MEMORY;
        lora->modules = modules;
        m->capacity = capacity;
    }
    lora->modules[lora->count++] = *module;
    return SDIFF_OK;
}

static sdiff_status add_module(matching *m, const group *g, const sdi_lora_target *target)
{
    const sdi_param *param = &m->model->parts[target->part].weights.params[target->param];
    sdi_lora_module module = {.part = target->part, .param = target->param,
                              .piece = target->piece, .pieces = target->pieces,
                              .heads = target->heads, .down = g->down, .up = g->up, .mid = g->mid};
    double alpha = 0;
    SDI_TRY(check_shapes(m, g, param, target, &module.rank));
    if (g->alpha >= 0) {
        float value = 0;
        SDI_TRY(read_alpha(m, g->alpha, &value));
        alpha = value;
    } else {
        SDI_TRY(default_alpha(m, target->part, module.rank, &alpha));
    }
    module.factor = (float)(alpha / module.rank);
    return push(m, &module);
}

static void report_key(matching *m, const sdi_lora_key *key)
{
    m->unmatched++;
    sdi_strbuf_printf(&m->report, "  %s\n", key->name);
}

static sdiff_status match_group(matching *m, const group *g)
{
    int32_t count = 0, used = 0;
    const sdi_lora_target *t = sdi_lora_targets_find(&m->targets, g->keys[0].stem, &count);
    if ((g->down >= 0) != (g->up >= 0))
        return sdi_fail(m->env, SDIFF_ERROR_FORMAT,
                        "%s: '%.200s' stands alone, its layer needs up and down matrices",
                        m->lora->name, info_of(m, g->down >= 0 ? g->down : g->up)->name);
    for (int32_t i = 0; i < count && g->down >= 0; i++) {
        if (!(g->keys[0].parts >> t[i].part & 1))
            continue;
        SDI_TRY(add_module(m, g, &t[i]));
        used = 1;
    }
    for (int32_t i = 0; i < g->count; i++)
        if (!used || g->keys[i].kind == SDI_LORA_OTHER)
            report_key(m, &g->keys[i]);
    return m->report.status;
}

static sdiff_status match_all(matching *m)
{
    group g;
    for (int32_t i = 0; i < m->key_count; i += g.count) {
        SDI_TRY(make_group(m, i, &g));
        SDI_TRY(match_group(m, &g));
    }
    if (m->lora->count == 0)
        return sdi_fail(m->env, SDIFF_ERROR_MISMATCH,
                        "%s: none of its %d keys fits a layer of the model '%s'; the first is "
                        "'%.150s'", m->lora->name, (int)m->key_count, sdi_model_name(m->model),
                        m->key_count ? info_of(m, 0)->name : "");
    if (!m->unmatched)
        return SDIFF_OK;
    m->lora->report = sdi_strbuf_take(&m->report);
    return m->lora->report ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

sdiff_status sdi_lora_open(const sdi_env *env, const sdi_model *model, const char *path,
                           sdi_lora *out)
{
    matching m = {.env = env, .model = model, .lora = out};
    memset(out, 0, sizeof *out);
    sdi_strbuf_init(&m.report, env);
    out->name = sdi_strdup(env, path);
    sdiff_status status = out->name ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
    if (status == SDIFF_OK)
        status = sdi_tensor_file_open_path(env, path, &out->file);
    if (status == SDIFF_OK)
        status = read_keys(&m);
    if (status == SDIFF_OK)
        status = sdi_lora_targets_new(env, model, &m.targets);
    if (status == SDIFF_OK)
        status = match_all(&m);
    sdi_free(env, m.keys);
    sdi_lora_targets_free(env, &m.targets);
    sdi_strbuf_free(&m.report);
    if (status != SDIFF_OK)
        sdi_lora_close(env, out);
    return status;
}

void sdi_lora_close(const sdi_env *env, sdi_lora *lora)
{
    sdi_tensor_file_free(env, lora->file);
    sdi_free(env, lora->name);
    sdi_free(env, lora->modules);
    sdi_free(env, lora->report);
    memset(lora, 0, sizeof *lora);
}
