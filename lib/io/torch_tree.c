/* SPDX-License-Identifier: MIT
 *
 * Walks the values of a torch pickle: a state dict, a checkpoint of a trainer that holds one, or a
 * textual-inversion file.
 */
#include "io/torch_tree.h"

#include "base/strbuf.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

/* A graph may share its parts, so that walking it takes far longer than reading it did. */
enum { DEEPEST = 64, MOST_VISITS = 1 << 20, LONGEST_NAME = 4096 };

typedef struct walker {
    const sdi_env *env;
    sdi_tensor_file *file;
    const char *name; // of the file
    sdi_resolve_fn resolve;
    void *user;
    sdi_strbuf path; // joined name of the value at hand
    int64_t visits;
} walker;

static sdiff_status walk(walker *w, const sdi_value *value, int depth, int in_dict);

/* Names are C strings in UTF-8. */
static int is_name(const char *text, uint64_t length)
{
    for (uint64_t i = 0; i < length;) {
        utf8proc_int32_t code = 0;
        const utf8proc_ssize_t part =
            SDI_MIN((utf8proc_ssize_t)4, (utf8proc_ssize_t)(length - i));
        const utf8proc_ssize_t size =
            utf8proc_iterate((const utf8proc_uint8_t *)text + i, part, &code);
        if (size <= 0 || code == 0)
            return 0;
        i += (uint64_t)size;
    }
    return 1;
}

static void append_name(walker *w, const char *text, uint64_t length)
{
    if (w->path.length)
        sdi_strbuf_append(&w->path, ".", 1);
    sdi_strbuf_append(&w->path, text, (size_t)length);
}

/* Back to the name of the parent. */
static void cut_name(walker *w, size_t length)
{
    if (w->path.text)
        w->path.text[length] = '\0';
    w->path.length = length;
}

/* A child under its name, which may be empty: then it has its parent's. */
static sdiff_status walk_child(walker *w, const sdi_value *value, const char *name, uint64_t length,
                               int depth, int in_dict)
{
    const size_t before = w->path.length;
    if (length > LONGEST_NAME || before + length > LONGEST_NAME)
        return sdi_fail(w->env, SDIFF_ERROR_LIMIT, "%s: holds a name of more than %d bytes",
                        w->name, LONGEST_NAME);
    if (length)
        append_name(w, name, length);
    SDI_TRY(w->path.status);
    SDI_TRY(walk(w, value, depth + 1, in_dict));
    cut_name(w, before);
    return SDIFF_OK;
}

static sdiff_status walk_number(walker *w, const sdi_value *value, int64_t number, int depth,
                                int in_dict)
{
    char text[24];
    const int length = snprintf(text, sizeof text, "%lld", (long long)number);
    return walk_child(w, value, text, (uint64_t)length, depth, in_dict);
}

static sdiff_status walk_member(walker *w, const sdi_value *key, const sdi_value *value, int depth)
{
    switch (key->kind) {
    case SDI_VALUE_INT: return walk_number(w, value, key->integer, depth, 1);
    case SDI_VALUE_GLOBAL:
    case SDI_VALUE_STRING: break;
    default: return SDIFF_OK; // nothing has a name there
    }
    if (depth == 0 && sdi_value_is_text(key, "state_dict") &&
        (value->kind == SDI_VALUE_DICT || value->kind == SDI_VALUE_OBJECT))
        return walk_child(w, value, "", 0, depth, 1);
    return walk_child(w, value, key->text, key->length, depth, 1);
}

static sdiff_status walk_dict(walker *w, const sdi_value *dict, int depth)
{
    for (uint64_t i = 0; i + 1 < dict->count; i += 2)
        SDI_TRY(walk_member(w, dict->items[i], dict->items[i + 1], depth));
    return SDIFF_OK;
}

static sdiff_status walk_list(walker *w, const sdi_value *list, int depth)
{
    for (uint64_t i = 0; i < list->count; i++)
        SDI_TRY(walk_number(w, list->items[i], (int64_t)i, depth, 0));
    return SDIFF_OK;
}

/* A module keeps its contents one level down, where its own state dict does not show them. */
static sdiff_status walk_object(walker *w, const sdi_value *object, int depth)
{
    static const char *const inner[] = {"_parameters", "_buffers", "_modules"};
    const sdi_value *state = object->count > 1 ? object->items[object->count - 1] : NULL;
    if (!state || state->kind != SDI_VALUE_DICT)
        return SDIFF_OK;
    for (size_t i = 0; i < SDI_COUNT(inner); i++) {
        const sdi_value *part = sdi_dict_get(state, inner[i]);
        if (part)
            SDI_TRY(walk_child(w, part, "", 0, depth, 1));
    }
    return SDIFF_OK;
}

static sdiff_status add_tensor(walker *w, const sdi_pickle_tensor *tensor)
{
    static const char alone[] = "tensor"; // a file that is one tensor and nothing else
    const char *name = w->path.length ? w->path.text : alone;
    const size_t length = w->path.length ? w->path.length : strlen(alone);
    uint32_t storage = 0;
    if (!is_name(name, length))
        return sdi_fail(w->env, SDIFF_ERROR_FORMAT,
                        "%s: the name '%.200s' of a tensor is not UTF-8 text", w->name, name);
    SDI_TRY(w->resolve(w->env, w->user, w->file, tensor->storage, &storage));
    return sdi_tree_add_tensor(w->env, w->file, w->name, tensor, storage, name, length);
}

static sdiff_status add_metadata(walker *w, const char *text, uint64_t length)
{
    if (!w->path.length || !is_name(w->path.text, w->path.length) || !is_name(text, length))
        return SDIFF_OK;
    return sdi_table_add_metadata(w->env, w->file, w->path.text, w->path.length, text,
                                  (size_t)length);
}

static sdiff_status add_integer(walker *w, int64_t integer)
{
    char text[24];
    const int length = snprintf(text, sizeof text, "%lld", (long long)integer);
    return add_metadata(w, text, (uint64_t)length);
}

static sdiff_status walk(walker *w, const sdi_value *value, int depth, int in_dict)
{
    if (depth > DEEPEST)
        return sdi_fail(w->env, SDIFF_ERROR_LIMIT,
                        "%s: its values are nested more than %d deep, or hold themselves", w->name,
                        DEEPEST);
    if (++w->visits > MOST_VISITS)
        return sdi_fail(w->env, SDIFF_ERROR_LIMIT, "%s: holds more than %d values", w->name,
                        MOST_VISITS);
    switch (value->kind) {
    case SDI_VALUE_DICT: return walk_dict(w, value, depth);
    case SDI_VALUE_TUPLE:
    case SDI_VALUE_LIST: return walk_list(w, value, depth);
    case SDI_VALUE_OBJECT: return walk_object(w, value, depth);
    case SDI_VALUE_TENSOR: return add_tensor(w, value->tensor);
    case SDI_VALUE_STRING: return in_dict ? add_metadata(w, value->text, value->length) : SDIFF_OK;
    case SDI_VALUE_INT: return in_dict ? add_integer(w, value->integer) : SDIFF_OK;
    default: return SDIFF_OK;
    }
}

sdiff_status sdi_tree_read(const sdi_env *env, sdi_tensor_file *file, const char *name,
                           const sdi_value *root, sdi_resolve_fn resolve, void *user)
{
    walker w = {.env = env, .file = file, .name = name, .resolve = resolve, .user = user};
    const uint64_t before = file->entry_count;
    sdi_strbuf_init(&w.path, env);
    const sdiff_status status = walk(&w, root, 0, 0);
    sdi_strbuf_free(&w.path);
    if (status != SDIFF_OK || file->entry_count > before)
        return status;
    if (root->kind == SDI_VALUE_GLOBAL)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: holds no tensors, only the name '%.*s'", name,
                        (int)SDI_MIN(root->length, 200u), root->text);
    return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: holds no tensors", name);
}
