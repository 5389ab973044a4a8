/* SPDX-License-Identifier: MIT
 *
 * Files of textual inversion, and lists of what was read from them.
 */
#include "model/embedding.h"

#include "base/memory.h"
#include "tensor/shape.h"

#include <math.h>
#include <string.h>

/* ---- which tensor ---------------------------------------------------------------------------- */

static int starts(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

/* What has other rules than "the only tensor": A1111's dict and its safetensors. */
static int is_marked(const char *name)
{
    return starts(name, "string_to_param.") || strcmp(name, "emb_params") == 0;
}

/* The one tensor of floats, or the one under a known name where there are others. */
static sdiff_status find_tensor(const sdi_env *env, const char *path, const sdi_tensor_file *file,
                                int32_t *index)
{
    int32_t marked = 0, floats = 0, first = -1, first_marked = -1;
    for (int32_t i = sdi_tensor_file_count(file) - 1; i >= 0; i--) {
        const sdi_tensor_info *info = sdi_tensor_file_info(file, i);
        if (!sdi_dtype_is_float(info->dtype))
            continue;
        floats++;
        first = i;
        if (!is_marked(info->name))
            continue;
        marked++;
        first_marked = i;
    }
    *index = marked ? first_marked : first;
    if (marked == 1 || (marked == 0 && floats == 1))
        return SDIFF_OK;
    if (floats == 0)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: holds no tensor of floats, an embedding was "
                        "needed", path);
    if (sdi_tensor_file_find(file, "clip_l") >= 0 && sdi_tensor_file_find(file, "clip_g") >= 0)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                        "unsupported: %s is an embedding for Stable Diffusion XL (clip_l and "
                        "clip_g)", path);
    return sdi_fail(env, SDIFF_ERROR_FORMAT,
                    "%s: holds %d tensors, the first is '%s'; an embedding's file holds one", path,
                    (int)(marked ? marked : floats),
                    sdi_tensor_file_info(file, *index)->name);
}

/* ---- its name -------------------------------------------------------------------------------- */

/* "my-style" of "embeddings/my-style.pt". */
static char *stem(const sdi_env *env, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = sdi_strdup(env, slash ? slash + 1 : path);
    char *dot = name ? strrchr(name, '.') : NULL;
    if (dot && dot != name)
        *dot = '\0';
    return name;
}

/* The file's word for it: A1111's "name", the key of the original's dict unless it is the usual
 * "*", diffusers' key. */
static const char *own_name(const sdi_tensor_file *file, int32_t index)
{
    const char *key = sdi_tensor_file_info(file, index)->name;
    const char *name = sdi_tensor_file_metadata(file, "name");
    if (name && *name)
        return name;
    if (!is_marked(key) && strcmp(key, "tensor") != 0)
        return key;
    if (!starts(key, "string_to_param."))
        return NULL;
    key += strlen("string_to_param.");
    return strcmp(key, "*") == 0 ? NULL : key;
}

/* ---- its values ------------------------------------------------------------------------------ */

static sdiff_status check_shape(const sdi_env *env, const char *path, const sdi_tensor_info *info,
                                int32_t width)
{
    char text[SDI_SHAPE_TEXT];
    if (info->rank != 1 && info->rank != 2)
        return sdi_fail(env, SDIFF_ERROR_MISMATCH,
                        "%s: tensor '%s' has the shape %s, [vectors, %d] was needed", path,
                        info->name, sdi_shape_text(text, sizeof text, info->rank, info->shape),
                        (int)width);
    const int64_t found = info->shape[info->rank - 1];
    const int64_t count = info->rank == 2 ? info->shape[0] : 1;
    if (found != width)
        return sdi_fail(env, SDIFF_ERROR_MISMATCH,
                        "%s: the embedding's vectors are %lld wide, the text encoder needs %d%s",
                        path, (long long)found, (int)width,
                        found == 768    ? " (it was made for Stable Diffusion 1.x)"
                        : found == 1024 ? " (it was made for Stable Diffusion 2.x)"
                                        : "");
    if (count < 1 || count > SDI_EMBEDDING_VECTORS)
        return sdi_fail(env, count < 1 ? SDIFF_ERROR_FORMAT : SDIFF_ERROR_LIMIT,
                        "%s: the embedding has %lld vectors, 1 to %d are possible", path,
                        (long long)count, SDI_EMBEDDING_VECTORS);
    return SDIFF_OK;
}

static sdiff_status read_vectors(const sdi_env *env, const char *path, sdi_tensor_file *file,
                                 int32_t index, sdi_embedding *out)
{
    const sdi_tensor_info *info = sdi_tensor_file_info(file, index);
    const void *data = NULL;
    void *owned = NULL;
    SDI_TRY(sdi_tensor_file_data(env, file, index, &data, &owned));
    out->vectors = sdi_alloc(env, info->count, sizeof *out->vectors);
    if (out->vectors)
        sdi_convert_to_f32(out->vectors, data, info->dtype, (size_t)info->count);
    sdi_free(env, owned);
    if (!out->vectors)
        return SDIFF_ERROR_NO_MEMORY;
    for (uint64_t i = 0; i < info->count; i++)
        if (!isfinite(out->vectors[i]))
            return sdi_fail(env, SDIFF_ERROR_FORMAT,
                            "%s: number %llu of the embedding is infinite or not a number", path,
                            (unsigned long long)i);
    return SDIFF_OK;
}

static sdiff_status read_file(const sdi_env *env, const char *path, const char *name,
                              sdi_tensor_file *file, sdi_embedding *out)
{
    int32_t index = -1;
    SDI_TRY(find_tensor(env, path, file, &index));
    const sdi_tensor_info *info = sdi_tensor_file_info(file, index);
    SDI_TRY(check_shape(env, path, info, out->width));
    out->count = info->rank == 2 ? (int32_t)info->shape[0] : 1;
    const char *chosen = name ? name : own_name(file, index);
    out->name = chosen ? sdi_strdup(env, chosen) : stem(env, path);
    if (!out->name)
        return SDIFF_ERROR_NO_MEMORY;
    if (!*out->name)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT, "%s: the embedding needs a name", path);
    return read_vectors(env, path, file, index, out);
}

sdiff_status sdi_embedding_read(const sdi_env *env, const char *path, const char *name,
                                int32_t width, sdi_embedding *out)
{
    sdi_tensor_file *file = NULL;
    *out = (sdi_embedding){.width = width};
    SDI_TRY(sdi_tensor_file_open_path(env, path, &file));
    const sdiff_status status = read_file(env, path, name, file, out);
    sdi_tensor_file_free(env, file);
    if (status != SDIFF_OK)
        sdi_embedding_free(env, out);
    return status;
}

void sdi_embedding_free(const sdi_env *env, sdi_embedding *embedding)
{
    sdi_free(env, embedding->name);
    sdi_free(env, embedding->vectors);
    *embedding = (sdi_embedding){0};
}

/* ---- lists ----------------------------------------------------------------------------------- */

static sdiff_status make_room(const sdi_env *env, sdi_embeddings *list)
{
    if (list->count < list->capacity)
        return SDIFF_OK;
    const int32_t capacity = list->capacity ? 2 * list->capacity : 8;
    sdi_embedding *items = sdi_realloc(env, list->items, (uint64_t)capacity, sizeof *items);
    if (!items)
        return SDIFF_ERROR_NO_MEMORY;
    list->items = items;
    list->capacity = capacity;
    return SDIFF_OK;
}

sdiff_status sdi_embeddings_add(const sdi_env *env, sdi_embeddings *list,
                                sdi_embedding *embedding)
{
    sdiff_status status = SDIFF_OK;
    if (sdi_embeddings_find(list, embedding->name) >= 0)
        status = sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                          "an embedding named '%.200s' was added already", embedding->name);
    if (status == SDIFF_OK)
        status = make_room(env, list);
    if (status != SDIFF_OK) {
        sdi_embedding_free(env, embedding);
        return status;
    }
    list->items[list->count++] = *embedding;
    *embedding = (sdi_embedding){0};
    return SDIFF_OK;
}

void sdi_embeddings_free(const sdi_env *env, sdi_embeddings *list)
{
    for (int32_t i = 0; i < list->count; i++)
        sdi_embedding_free(env, &list->items[i]);
    sdi_free(env, list->items);
    *list = (sdi_embeddings){0};
}

int32_t sdi_embeddings_find(const sdi_embeddings *list, const char *name)
{
    for (int32_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return i;
    return -1;
}

int32_t sdi_embeddings_first_id(const sdi_embeddings *list, int32_t vocab_size, int32_t index)
{
    for (int32_t i = 0; i < index; i++)
        vocab_size += list->items[i].count;
    return vocab_size;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Vector number `id` of all that were added; NULL beyond them. */
static const float *added_row(const sdi_embeddings *list, int32_t id)
{
    for (int32_t i = 0; i < list->count; i++) {
        const sdi_embedding *e = &list->items[i];
        if (id < e->count)
            return e->vectors + (int64_t)id * e->width;
        id -= e->count;
    }
    return NULL;
}

sdiff_status sdi_embeddings_rows(const sdi_env *env, const sdi_model *model,
                                 const sdi_embeddings *list, const int32_t *ids, int64_t count,
                                 float *out)
{
    const sdi_clip_config *clip = &sdi_model_get_config(model)->clip;
    const sdi_weights *weights = sdi_model_weights(model, SDI_PART_TEXT);
    const int64_t width = clip->hidden_size;
    if (!weights)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED, "the model '%s' has no text encoder",
                        sdi_model_name(model));
    const int32_t param = sdi_weights_find(weights, "text_model.embeddings.token_embedding.weight");
    if (param < 0)
        return sdi_fail(env, SDIFF_ERROR_INTERNAL, "the text encoder has no table of tokens");
    for (int64_t i = 0; i < count; i++) {
        const float *row = NULL;
        if (ids[i] >= 0 && ids[i] < clip->vocab_size) {
            sdi_weights_row(weights, param, ids[i], out + i * width);
            continue;
        }
        if (ids[i] >= clip->vocab_size)
            row = added_row(list, ids[i] - clip->vocab_size);
        if (!row)
            return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                            "token id %d is neither one of the vocabulary's %d nor one of the %d "
                            "added by embeddings", (int)ids[i], (int)clip->vocab_size,
                            (int)(sdi_embeddings_first_id(list, 0, list->count)));
        memcpy(out + i * width, row, (size_t)width * sizeof *out);
    }
    return SDIFF_OK;
}
