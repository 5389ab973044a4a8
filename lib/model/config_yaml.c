/* SPDX-License-Identifier: MIT
 *
 * The yaml that the original code ships with its checkpoints, through libyaml, as JSON values; and
 * its members brought into the flat form:
 *
 *   model: {target: …LatentDiffusion, params: {linear_start, parameterization, scale_factor,
 *           unet_config: {params}, first_stage_config: {params: {embed_dim, ddconfig}},
 *           cond_stage_config: {target, params}}}
 */
#include "model/config.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { MAX_BYTES = 256 << 10, MAX_DEPTH = 32, MAX_VALUES = 20000, MAX_ANCHORS = 100 };

typedef struct walker {
    const sdi_env *env;
    const char *name;
    yaml_document_t *document;
    int32_t values; // aliases count each time they are used
    sdiff_status status;
} walker;

static json_t *walk(walker *w, int index, int depth);

static void *too_much(walker *w, const char *what)
{
    if (w->status == SDIFF_OK)
        w->status = sdi_fail(w->env, SDIFF_ERROR_LIMIT, "%s: %s", w->name, what);
    return NULL;
}

/* yaml's plain words; numbers are read as JSON's, which is what these files write. */
static json_t *scalar(const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;
    const size_t length = node->data.scalar.length;
    static const char *const nothing[] = {"", "~", "null", "Null", "NULL"};
    static const char *const yes[] = {"true", "True", "TRUE"}, *const no[] = {"false", "False",
                                                                             "FALSE"};
    if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return json_stringn(text, length);
    for (size_t i = 0; i < SDI_COUNT(nothing); i++)
        if (strcmp(text, nothing[i]) == 0)
            return json_null();
    for (size_t i = 0; i < SDI_COUNT(yes); i++)
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0)
            return json_boolean(strcmp(text, yes[i]) == 0);
    if (length && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'))) {
        json_t *number = json_loadb(text, length, JSON_DECODE_ANY, NULL);
        if (number)
            return number;
    }
    return json_stringn(text, length);
}

static json_t *sequence(walker *w, const yaml_node_t *node, int depth)
{
    json_t *list = json_array();
    const yaml_node_item_t *item = node->data.sequence.items.start;
    for (; list && item < node->data.sequence.items.top; item++) {
        json_t *value = walk(w, *item, depth + 1);
        if (!value || json_array_append_new(list, value) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *mapping(walker *w, const yaml_node_t *node, int depth)
{
    json_t *object = json_object();
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    for (; object && pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(w->document, pair->key);
        json_t *value = NULL;
        if (key && key->type == YAML_SCALAR_NODE)
            value = walk(w, pair->value, depth + 1);
        else
            too_much(w, "has a key that is no string");
        if (!value || json_object_set_new(object, (const char *)key->data.scalar.value, value)) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *walk(walker *w, int index, int depth)
{
    const yaml_node_t *node = yaml_document_get_node(w->document, index);
    if (!node || depth > MAX_DEPTH)
        return too_much(w, "is nested too deeply");
    if (++w->values > MAX_VALUES)
        return too_much(w, "holds too many values");
    if (node->type == YAML_SEQUENCE_NODE)
        return sequence(w, node, depth);
    if (node->type == YAML_MAPPING_NODE)
        return mapping(w, node, depth);
    return scalar(node);
}

static sdiff_status convert(const sdi_env *env, const char *name, yaml_document_t *document,
                            json_t **out)
{
    walker w = {.env = env, .name = name, .document = document};
    const yaml_node_t *root = yaml_document_get_root_node(document);
    if (!root || root->type != YAML_MAPPING_NODE)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: is not a configuration (a yaml mapping or a "
                        "JSON object was needed)", name);
    *out = walk(&w, 1, 0);
    if (*out)
        return SDIFF_OK;
    if (w.status != SDIFF_OK)
        return w.status;
    return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: holds a value that is not UTF-8, or memory ran "
                    "out", name);
}

/* What has been seen of a text's events. */
typedef struct extent {
    int32_t depth, values, anchors;
} extent;

static void add_event(extent *e, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_MAPPING_START_EVENT:
        e->anchors += event->data.mapping_start.anchor != NULL;
        e->depth++;
        e->values++;
        break;
    case YAML_SEQUENCE_START_EVENT:
        e->anchors += event->data.sequence_start.anchor != NULL;
        e->depth++;
        e->values++;
        break;
    case YAML_SCALAR_EVENT:
        e->anchors += event->data.scalar.anchor != NULL;
        e->values++;
        break;
    case YAML_ALIAS_EVENT: e->values++; break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT: e->depth--; break;
    default: break;
    }
}

/* libyaml's time grows with the square of depth and anchors, and its composer builds everything
 * before anyone can look: the events are counted first, and only as far as they are harmless. */
static int is_too_much(const char *text, size_t size)
{
    yaml_parser_t parser;
    extent e = {0};
    int more = 1;
    if (!yaml_parser_initialize(&parser))
        return 0; // the composer will meet the same lack of memory and tell
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    while (more && e.depth <= MAX_DEPTH && e.values <= MAX_VALUES && e.anchors <= MAX_ANCHORS) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event))
            break;
        add_event(&e, &event);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return e.depth > MAX_DEPTH || e.values > MAX_VALUES || e.anchors > MAX_ANCHORS;
}

sdiff_status sdi_yaml_parse(const sdi_env *env, const char *name, const char *text, size_t size,
                            json_t **out)
{
    yaml_parser_t parser;
    yaml_document_t document;
    *out = NULL;
    if (size > MAX_BYTES || is_too_much(text, size))
        return sdi_fail(env, SDIFF_ERROR_LIMIT,
                        "%s: is too large for a configuration: up to %d bytes, %d levels of "
                        "nesting, %d values and %d anchors are read", name, MAX_BYTES, MAX_DEPTH,
                        MAX_VALUES, MAX_ANCHORS);
    if (!yaml_parser_initialize(&parser))
        return sdi_fail(env, SDIFF_ERROR_NO_MEMORY, "%s: not enough memory to read yaml", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    sdiff_status status = SDIFF_OK;
    if (!yaml_parser_load(&parser, &document)) {
        status = sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: not valid yaml, line %zu: %s", name,
                          parser.problem_mark.line + 1,
                          parser.problem ? parser.problem : "unknown reason");
    } else {
        status = convert(env, name, &document, out);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return status;
}

/* ---- LDM's structure ------------------------------------------------------------------------- */

static const json_t *at(const json_t *json, const char *first, const char *second)
{
    json = json_object_get(json, first);
    return second ? json_object_get(json, second) : json;
}

/* A failing set means that memory ran out; values are shared, not copied. */
static void copy(json_t *to, const char *key, const json_t *from, const char *name, int *failed)
{
    json_t *value = json_object_get(from, name);
    if (value)
        *failed |= json_object_set(to, key, value) != 0;
}

static void flatten_vae(json_t *flat, const json_t *params, int *failed)
{
    json_t *config = json_object_get(params, "ddconfig");
    json_t *vae = json_is_object(config) ? json_copy(config) : NULL;
    if (!vae)
        return;
    copy(vae, "embed_dim", params, "embed_dim", failed);
    *failed |= json_object_set_new(flat, "vae", vae) != 0;
}

static sdiff_status flatten_text(const sdi_env *env, const char *name, const json_t *stage,
                                 json_t *flat, int *failed)
{
    const char *target = json_string_value(json_object_get(stage, "target"));
    const char *class = target ? strrchr(target, '.') : NULL;
    class = class ? class + 1 : target;
    if (!class || strcmp(class, "__is_unconditional__") == 0)
        return SDIFF_OK;
    const int open = strcmp(class, "FrozenOpenCLIPEmbedder") == 0;
    if (!open && strcmp(class, "FrozenCLIPEmbedder") != 0)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                        "%s: the text encoder is '%.80s'; FrozenCLIPEmbedder or "
                        "FrozenOpenCLIPEmbedder was needed", name, class);
    const json_t *params = json_object_get(stage, "params");
    json_t *text = json_object();
    if (open && text) {
        *failed |= json_object_set_new(text, "arch", json_string("openclip")) != 0;
        *failed |= json_object_set_new(text, "layer", json_string("last")) != 0;
    }
    copy(text, "layer", params, "layer", failed);
    copy(text, "layer_idx", params, "layer_idx", failed);
    *failed |= json_object_set_new(flat, "text", text) != 0;
    return SDIFF_OK;
}

static sdiff_status flatten(const sdi_env *env, const char *name, const json_t *params,
                            json_t *flat, int *failed)
{
    static const char *const kept[] = {"scale_factor", "linear_start", "linear_end", "timesteps",
                                       "beta_schedule", "global_average_pooling"};
    for (size_t i = 0; i < SDI_COUNT(kept); i++)
        copy(flat, kept[i], params, kept[i], failed);
    copy(flat, "prediction", params, "parameterization", failed);
    if (!json_object_get(params, "parameterization")) // the original's default
        *failed |= json_object_set_new(flat, "prediction", json_string("eps")) != 0;
    json_t *unet = json_object_get(json_object_get(params, "unet_config"), "params");
    if (unet)
        *failed |= json_object_set(flat, "unet", unet) != 0;
    flatten_vae(flat, at(params, "first_stage_config", "params"), failed);
    return flatten_text(env, name, at(params, "cond_stage_config", NULL), flat, failed);
}

/* A stand-alone autoencoder's yaml has ddconfig where a model has unet_config. */
sdiff_status sdi_yaml_flatten(const sdi_env *env, const char *name, const json_t *yaml,
                              json_t **out)
{
    const json_t *params = at(yaml, "model", "params");
    *out = NULL;
    if (!json_is_object(json_object_get(params, "unet_config")) &&
        !json_is_object(json_object_get(params, "ddconfig")))
        return sdi_fail(env, SDIFF_ERROR_FORMAT,
                        "%s: is yaml, but not the configuration of a latent diffusion model "
                        "(model.params.unet_config is missing)", name);
    int failed = 0;
    json_t *flat = json_object();
    sdiff_status status = SDIFF_OK;
    if (json_object_get(params, "ddconfig"))
        flatten_vae(flat, params, &failed);
    else
        status = flatten(env, name, params, flat, &failed);
    if (status == SDIFF_OK && (failed || !flat))
        status = sdi_fail(env, SDIFF_ERROR_NO_MEMORY, "%s: not enough memory for its values", name);
    if (status != SDIFF_OK) {
        json_decref(flat);
        return status;
    }
    *out = flat;
    return SDIFF_OK;
}
