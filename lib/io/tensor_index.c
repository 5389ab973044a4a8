/* SPDX-License-Identifier: MIT
 *
 * A model in several files: "model.safetensors.index.json" with {"weight_map": {tensor: file}}.
 * The files lie beside the index; a name that leads anywhere else is refused.
 */
#include "base/memory.h"
#include "base/strbuf.h"
#include "io/json.h"
#include "io/tensor_table.h"

#include <stdlib.h>
#include <string.h>

/* One line of the map, or a file once they are sorted by it. */
typedef struct line {
    const char *tensor, *shard;
    uint32_t source; // index of the shard's source in the table
} line;

static int is_plain_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && !strpbrk(name, "/\\:");
}

static int by_shard(const void *a, const void *b)
{
    return strcmp(((const line *)a)->shard, ((const line *)b)->shard);
}

static sdiff_status read_lines(const sdi_env *env, const char *path, json_t *map, line *lines)
{
    const char *tensor = NULL;
    json_t *value = NULL;
    size_t count = 0;
    json_object_foreach(map, tensor, value) {
        const char *shard = json_string_value(value);
        if (!shard)
            return sdi_fail(env, SDIFF_ERROR_FORMAT,
                            "%s: '%.200s' in weight_map does not name a file", path, tensor);
        if (!is_plain_name(shard))
            return sdi_fail(env, SDIFF_ERROR_FORMAT,
                            "%s: weight_map names '%.200s', which is not a file beside the index",
                            path, shard);
        lines[count++] = (line){tensor, shard, 0};
    }
    qsort(lines, count, sizeof *lines, by_shard);
    return SDIFF_OK;
}

/* Adds the tensors of one file of the set. */
static sdiff_status read_shard(const sdi_env *env, sdi_tensor_file *file, const char *index_path,
                               const char *shard)
{
    const char *slash = strrchr(index_path, '/');
    sdi_strbuf path;
    sdi_strbuf_init(&path, env);
    if (slash)
        sdi_strbuf_append(&path, index_path, (size_t)(slash - index_path) + 1);
    sdi_strbuf_append(&path, shard, strlen(shard));
    sdi_source *source = NULL;
    sdiff_status status = path.status;
    if (status == SDIFF_OK)
        status = sdi_source_open_path(env, path.text, &source);
    if (status == SDIFF_OK)
        status = sdi_container_read(env, file, source);
    sdi_source_unref(env, source);
    sdi_strbuf_free(&path);
    return status;
}

static sdiff_status read_shards(const sdi_env *env, sdi_tensor_file *file, const char *path,
                                line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(lines[i].shard, lines[i - 1].shard) != 0)
            SDI_TRY(read_shard(env, file, path, lines[i].shard));
        lines[i].source = (uint32_t)file->source_count - 1;
    }
    return SDIFF_OK;
}

/* Every tensor of the map must be in the file that the map names. */
static sdiff_status check_lines(const sdi_env *env, const sdi_tensor_file *file, const char *path,
                                const line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int32_t index = sdi_tensor_file_find(file, lines[i].tensor);
        if (index < 0 ||
            file->storages[file->entries[index].storage].source != lines[i].source)
            return sdi_fail(env, SDIFF_ERROR_FORMAT,
                            "%s: tensor '%.200s' is not in '%.200s', where weight_map has it", path,
                            lines[i].tensor, lines[i].shard);
    }
    return SDIFF_OK;
}

static sdiff_status read_map(const sdi_env *env, sdi_tensor_file *file, const char *path,
                             json_t *map)
{
    const size_t count = json_object_size(map);
    line *lines = sdi_alloc(env, count, sizeof *lines);
    if (!lines)
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status = read_lines(env, path, map, lines);
    if (status == SDIFF_OK)
        status = read_shards(env, file, path, lines, count);
    if (status == SDIFF_OK)
        status = sdi_table_finish(env, file);
    if (status == SDIFF_OK)
        status = check_lines(env, file, path, lines, count);
    sdi_free(env, lines);
    return status;
}

sdiff_status sdi_index_read(const sdi_env *env, sdi_tensor_file *file, const char *path)
{
    json_t *index = NULL;
    SDI_TRY(sdi_json_parse_file(env, path, &index));
    json_t *map = json_object_get(index, "weight_map");
    const sdiff_status status = json_is_object(map)
        ? read_map(env, file, path, map)
        : sdi_fail(env, SDIFF_ERROR_FORMAT,
                   "%s: is JSON without a weight_map; a file of tensors or an index of such files "
                   "was needed", path);
    json_decref(index);
    return status;
}
