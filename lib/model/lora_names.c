/* SPDX-License-Identifier: MIT
 *
 * The names that adapters give to layers. Everything is brought to one form, that of kohya's keys:
 * words joined by '_', without "weight" at the end and without the part's prefix.
 */
#include "model/lora_match.h"

#include "base/memory.h"
#include "model/load.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT = 1 << SDI_PART_TEXT, UNET = 1 << SDI_PART_UNET };

/* ---- keys ------------------------------------------------------------------------------------ */

static const struct {
    const char *ending;
    sdi_lora_kind kind;
} endings[] = {
    {".lora_down.weight", SDI_LORA_DOWN},
    {".lora_up.weight", SDI_LORA_UP},
    {".lora_mid.weight", SDI_LORA_MID},
    {".lora_A.weight", SDI_LORA_DOWN},
    {".lora_B.weight", SDI_LORA_UP},
    {".lora_A.default.weight", SDI_LORA_DOWN},
    {".lora_B.default.weight", SDI_LORA_UP},
    {".lora.down.weight", SDI_LORA_DOWN},
    {".lora.up.weight", SDI_LORA_UP},
    {".lora_linear_layer.down.weight", SDI_LORA_DOWN},
    {".lora_linear_layer.up.weight", SDI_LORA_UP},
    {"_lora.down.weight", SDI_LORA_DOWN},
    {"_lora.up.weight", SDI_LORA_UP},
    {"_lora.alpha", SDI_LORA_ALPHA},
    {".alpha", SDI_LORA_ALPHA},
    {".dora_scale", SDI_LORA_FOREIGN},
    {".lora_magnitude_vector", SDI_LORA_FOREIGN},
    {".lora_magnitude_vector.weight", SDI_LORA_FOREIGN},
    {".hada_w1_a", SDI_LORA_FOREIGN},
    {".hada_w1_b", SDI_LORA_FOREIGN},
    {".lokr_w1", SDI_LORA_FOREIGN},
    {".lokr_w1_a", SDI_LORA_FOREIGN},
    {".oft_blocks", SDI_LORA_FOREIGN},
    {".oft_diag", SDI_LORA_FOREIGN},
};

static const struct {
    const char *prefix;
    uint32_t parts; // 0: says nothing
} prefixes[] = {
    {"base_model.model.", 0},
    {"lora_unet_", UNET},
    {"lora_te_", TEXT},
    {"unet.", UNET},
    {"text_encoder.", TEXT},
    {"model.diffusion_model.", UNET},
    {"diffusion_model.", UNET},
    {"cond_stage_model.transformer.", TEXT},
    {"cond_stage_model.model.", TEXT},
};

static const char *strip_prefixes(const char *name, uint32_t *parts)
{
    *parts = TEXT | UNET;
    for (size_t i = 0; i < SDI_COUNT(prefixes); i++) {
        if (!sdi_take(&name, prefixes[i].prefix))
            continue;
        if (prefixes[i].parts)
            *parts &= prefixes[i].parts;
        i = (size_t)-1; // they may follow each other: base_model.model.unet.
    }
    return name;
}

/* The length of name without its ending, which says what kind of key it is. */
static size_t strip_ending(const char *name, sdi_lora_kind *kind)
{
    const size_t length = strlen(name);
    *kind = SDI_LORA_OTHER;
    for (size_t i = 0; i < SDI_COUNT(endings); i++) {
        const size_t n = strlen(endings[i].ending);
        if (length <= n || strcmp(name + length - n, endings[i].ending) != 0)
            continue;
        *kind = endings[i].kind;
        return length - n;
    }
    return length;
}

/* Replaces the first occurrence of a word, where there is room. */
static void replace(char *stem, size_t size, const char *from, const char *to)
{
    char *place = strstr(stem, from);
    const size_t old = strlen(from), new = strlen(to);
    if (!place || strlen(stem) - old + new >= size)
        return;
    memmove(place + new, place + old, strlen(place + old) + 1);
    memcpy(place, to, new);
}

/* Attention processors of old diffusers: "attn1_processor_to_out" is "attn1_to_out_0", and in the
 * text encoder "self_attn_to_q" is "self_attn_q_proj". */
static void modernise(char *stem, size_t size)
{
    static const sdi_rename text[] = {{"self_attn_to_q", "self_attn_q_proj"},
                                      {"self_attn_to_k", "self_attn_k_proj"},
                                      {"self_attn_to_v", "self_attn_v_proj"},
                                      {"self_attn_to_out", "self_attn_out_proj"}};
    replace(stem, size, "_processor_", "_");
    for (size_t i = 0; i < SDI_COUNT(text); i++)
        replace(stem, size, text[i].from, text[i].to);
    const size_t length = strlen(stem);
    if (length >= 7 && strcmp(stem + length - 7, "_to_out") == 0 && length + 2 < size)
        memcpy(stem + length, "_0", 3);
}

static void flatten(char *stem)
{
    for (; *stem; stem++)
        if (*stem == '.')
            *stem = '_';
}

void sdi_lora_parse_key(const char *name, int32_t tensor, sdi_lora_key *key)
{
    memset(key, 0, sizeof *key);
    key->tensor = tensor;
    key->name = name;
    const char *rest = strip_prefixes(name, &key->parts);
    const size_t length = strip_ending(rest, &key->kind);
    if (length >= sizeof key->stem) { // no layer has such a name
        key->kind = SDI_LORA_OTHER;
        return;
    }
    memcpy(key->stem, rest, length);
    flatten(key->stem);
    modernise(key->stem, sizeof key->stem);
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* "down_blocks.0.conv.weight" and "attn.in_proj_weight" without the last word; 0: not a weight. */
static int strip_weight(char *stem)
{
    const size_t length = strlen(stem);
    if (length < 8 || strcmp(stem + length - 6, "weight") != 0)
        return 0;
    stem[length - 7] = '\0';
    flatten(stem);
    return 1;
}

static void add_target(sdi_lora_targets *t, const sdi_naming *naming, const char *name,
                       int32_t param)
{
    sdi_alias alias;
    if (!sdi_name_in_file(naming, name, 0, &alias) || !strip_weight(alias.name))
        return;
    sdi_lora_target *target = &t->items[t->count++];
    *target = (sdi_lora_target){naming->part, param, alias.piece, alias.pieces, alias.heads, ""};
    memcpy(target->stem, alias.name, sizeof target->stem);
}

static int by_stem(const void *a, const void *b)
{
    const sdi_lora_target *x = a, *y = b;
    const int order = strcmp(x->stem, y->stem);
    if (order)
        return order;
    return x->part != y->part ? (x->part > y->part) - (x->part < y->part)
                              : (x->param > y->param) - (x->param < y->param);
}

sdiff_status sdi_lora_targets_new(const sdi_env *env, const sdi_model *model, sdi_lora_targets *out)
{
    static const sdi_part parts[] = {SDI_PART_TEXT, SDI_PART_UNET};
    static const sdi_layout layouts[][2] = {{SDI_LAYOUT_DIFFUSERS, SDI_LAYOUT_OPENCLIP},
                                            {SDI_LAYOUT_DIFFUSERS, SDI_LAYOUT_LDM}};
    uint64_t most = 0;
    for (size_t i = 0; i < SDI_COUNT(parts); i++)
        if (model->parts[parts[i]].filled)
            most += 2 * (uint64_t)model->parts[parts[i]].weights.count;
    out->count = 0;
    out->items = sdi_alloc(env, most, sizeof *out->items);
    if (!out->items)
        return SDIFF_ERROR_NO_MEMORY;
    for (size_t i = 0; i < 2 * SDI_COUNT(parts); i++) {
        const sdi_model_part *p = &model->parts[parts[i / 2]];
        const sdi_naming naming = {.part = parts[i / 2], .layout = layouts[i / 2][i % 2],
                                   .unet = &model->config.unet};
        for (int32_t k = 0; p->filled && k < p->weights.count; k++)
            if (p->weights.params[k].role == SDI_ROLE_MATRIX)
                add_target(out, &naming, p->weights.params[k].name, k);
    }
    qsort(out->items, (size_t)out->count, sizeof *out->items, by_stem);
    return SDIFF_OK;
}

void sdi_lora_targets_free(const sdi_env *env, sdi_lora_targets *targets)
{
    sdi_free(env, targets->items);
    *targets = (sdi_lora_targets){0};
}

const sdi_lora_target *sdi_lora_targets_find(const sdi_lora_targets *targets, const char *stem,
                                             int32_t *count)
{
    int32_t low = 0, high = targets->count;
    while (low < high) { // the first that is not before stem
        const int32_t middle = low + (high - low) / 2;
        if (strcmp(targets->items[middle].stem, stem) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *count = 0;
    while (low + *count < targets->count && strcmp(targets->items[low + *count].stem, stem) == 0)
        (*count)++;
    return *count ? &targets->items[low] : NULL;
}
