/* SPDX-License-Identifier: MIT
 *
 * The list of adapters that are merged into a model.
 */
#include "model/lora_match.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "model/load.h"

#include <math.h>
#include <string.h>

static sdiff_status make_room(const sdi_env *env, sdi_loras *list)
{
    if (list->count < list->capacity)
        return SDIFF_OK;
    const int32_t capacity = list->capacity ? 2 * list->capacity : 4;
    sdi_lora *items = sdi_realloc(env, list->items, (uint64_t)capacity, sizeof *items);
    if (!items)
        return SDIFF_ERROR_NO_MEMORY;
    list->items = items;
    list->capacity = capacity;
    return SDIFF_OK;
}

static int32_t count_lines(const char *text)
{
    int32_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

/* The texts of all files, each under a line with its name; *out NULL: everything has a place. */
static sdiff_status write_report(const sdi_env *env, const sdi_loras *list, char **out)
{
    sdi_strbuf text;
    sdi_strbuf_init(&text, env);
    for (int32_t i = 0; i < list->count; i++) {
        const sdi_lora *lora = &list->items[i];
        if (lora->report)
            sdi_strbuf_printf(&text, "%s: keys without a place in the model:\n%s", lora->name,
                              lora->report);
    }
    const sdiff_status status = text.status;
    *out = text.length ? sdi_strbuf_take(&text) : NULL;
    sdi_strbuf_free(&text);
    return status;
}

static void warn(const sdi_env *env, const sdi_lora *lora)
{
    if (!lora->report)
        return;
    const char *first = lora->report + strspn(lora->report, " ");
    const size_t length = strcspn(first, "\n");
    sdi_warn(env, "%s: %d keys have no place in the model, the first is '%.*s'", lora->name,
             (int)count_lines(lora->report), (int)SDI_MIN(length, 200), first);
}

/* The parts whose weights may be neither the one nor the other now. */
static void give_up(sdi_model *model, const sdi_lora *lora)
{
    for (int32_t k = 0; k < lora->count; k++)
        model->parts[lora->modules[k].part].filled = 0;
}

/* Without the last item, which was merged in part. The error in env stays the first one. */
static void take_back(const sdi_env *env, sdi_model *model, sdi_pool *pool, sdi_loras *list)
{
    const sdi_env quiet = {.mem = env->mem};
    int32_t touched = 0;
    sdi_lora *last = &list->items[--list->count];
    sdiff_status status = sdi_lora_unbind(&quiet, model, pool, last);
    if (status == SDIFF_OK && list->count)
        status = sdi_loras_bind(&quiet, model, pool, list, 0, &touched);
    if (status != SDIFF_OK)
        give_up(model, last);
    list->count++;
}

static sdiff_status merge_last(const sdi_env *env, sdi_model *model, sdi_pool *pool,
                               sdi_loras *list)
{
    char *report = NULL;
    int32_t touched = 0;
    sdiff_status status = write_report(env, list, &report);
    if (status == SDIFF_OK)
        status = sdi_loras_bind(env, model, pool, list, list->count - 1, &touched);
    if (status != SDIFF_OK) {
        if (touched)
            take_back(env, model, pool, list);
        sdi_free(env, report);
        return status;
    }
    sdi_free(env, list->report);
    list->report = report;
    return SDIFF_OK;
}

sdiff_status sdi_loras_add(const sdi_env *env, sdi_model *model, sdi_pool *pool, sdi_loras *list,
                           const char *path, double scale)
{
    sdi_lora lora;
    if (!isfinite(scale) || fabs(scale) > 1e6)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "%s: a scale of %g is not possible, -1000000 to 1000000 are", path, scale);
    SDI_TRY(make_room(env, list));
    SDI_TRY(sdi_lora_open(env, model, path, &lora));
    lora.scale = scale;
    list->items[list->count++] = lora;
    const sdiff_status status = merge_last(env, model, pool, list);
    if (status != SDIFF_OK) {
        sdi_lora_close(env, &list->items[--list->count]);
        return status;
    }
    sdi_info(env, "%s: %d layers changed, scale %g", path, (int)lora.count, scale);
    warn(env, &lora);
    return SDIFF_OK;
}

sdiff_status sdi_loras_clear(const sdi_env *env, sdi_model *model, sdi_pool *pool, sdi_loras *list)
{
    sdiff_status status = SDIFF_OK;
    for (int32_t i = 0; i < list->count; i++) {
        const sdiff_status one = sdi_lora_unbind(env, model, pool, &list->items[i]);
        if (one != SDIFF_OK)
            give_up(model, &list->items[i]);
        status = status == SDIFF_OK ? one : status;
    }
    sdi_loras_free(env, list);
    return status;
}

void sdi_loras_free(const sdi_env *env, sdi_loras *list)
{
    for (int32_t i = 0; i < list->count; i++)
        sdi_lora_close(env, &list->items[i]);
    sdi_free(env, list->items);
    sdi_free(env, list->report);
    memset(list, 0, sizeof *list);
}
