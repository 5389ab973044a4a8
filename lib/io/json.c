/* SPDX-License-Identifier: MIT
 *
 * JSON through jansson, with sentences that name the file, the place and the key.
 */
#include "io/json.h"

#include "base/memory.h"
#include "io/source.h"

#include <math.h>
#include <string.h>

enum { LARGEST_FILE = 64 << 20, MOST_VALUES = 1 << 20, MOST_LEVELS = 64 };

/* What jansson would build, from a look at the text that is less than a pass of the parser. */
typedef struct extent {
    int32_t values, levels, deepest;
} extent;

static extent measure(const char *text, size_t size)
{
    extent e = {0};
    int quoted = 0;
    for (size_t i = 0; i < size && e.values <= MOST_VALUES; i++) {
        if (text[i] == '"') {
            quoted = !quoted;
        } else if (quoted) {
            i += text[i] == '\\';
        } else {
            const int opens = text[i] == '[' || text[i] == '{';
            e.values += opens || text[i] == ',';
            e.levels += opens - (text[i] == ']' || text[i] == '}');
            e.deepest = SDI_MAX(e.deepest, e.levels);
        }
    }
    return e;
}

/* jansson takes up to two hundred bytes for three of text ("{},"), outside of the host's allocator,
 * and a hundred bytes of stack for a level. */
static sdiff_status check_extent(const sdi_env *env, const char *name, const char *text,
                                 size_t size)
{
    const extent e = measure(text, size);
    if (e.values > MOST_VALUES)
        return sdi_fail(env, SDIFF_ERROR_LIMIT, "%s: holds more than %d JSON values", name,
                        MOST_VALUES);
    if (e.deepest > MOST_LEVELS)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: is JSON nested more than %d levels deep",
                        name, MOST_LEVELS);
    return SDIFF_OK;
}

sdiff_status sdi_json_parse(const sdi_env *env, const char *name, const char *text, size_t size,
                            json_t **out)
{
    *out = NULL;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }
    if (size == 0)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: is empty, JSON was needed", name);
    SDI_TRY(check_extent(env, name, text, size));
    json_error_t error;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (*out)
        return SDIFF_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return sdi_fail(env, SDIFF_ERROR_NO_MEMORY, "%s: not enough memory to read the JSON", name);
    return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: not valid JSON, line %d column %d: %s", name,
                    error.line, error.column, error.text);
}

sdiff_status sdi_json_parse_file(const sdi_env *env, const char *path, json_t **out)
{
    char *text = NULL;
    size_t size = 0;
    *out = NULL;
    SDI_TRY(sdi_read_small_file(env, path, LARGEST_FILE, &text, &size));
    const sdiff_status status = sdi_json_parse(env, path, text, size, out);
    sdi_free(env, text);
    return status;
}

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    case JSON_NULL: break;
    }
    return "null";
}

/* The member, or NULL where the default is to stay. */
static const json_t *member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static sdiff_status wrong_kind(const sdi_env *env, const char *name, const char *key,
                               const json_t *value, const char *needed)
{
    return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: '%s' is %s, %s was needed", name, key,
                    kind_of(value), needed);
}

/* One integer, `key` being a member or the list it stands in. */
static sdiff_status read_int(const sdi_env *env, const char *name, const char *key,
                             const json_t *item, int64_t minimum, int64_t maximum, int64_t *value)
{
    if (!json_is_integer(item))
        return wrong_kind(env, name, key, item, "an integer");
    const int64_t found = (int64_t)json_integer_value(item);
    if (found < minimum || found > maximum)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: '%s' is %lld, %lld to %lld was needed", name,
                        key, (long long)found, (long long)minimum, (long long)maximum);
    *value = found;
    return SDIFF_OK;
}

sdiff_status sdi_json_get_int(const sdi_env *env, const char *name, const json_t *object,
                              const char *key, int64_t minimum, int64_t maximum, int64_t *value)
{
    const json_t *item = member(object, key);
    return item ? read_int(env, name, key, item, minimum, maximum, value) : SDIFF_OK;
}

sdiff_status sdi_json_get_real(const sdi_env *env, const char *name, const json_t *object,
                               const char *key, double *value)
{
    const json_t *item = member(object, key);
    if (!item)
        return SDIFF_OK;
    if (!json_is_number(item))
        return wrong_kind(env, name, key, item, "a number");
    const double found = json_number_value(item);
    if (!isfinite(found))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: '%s' is not a finite number", name, key);
    *value = found;
    return SDIFF_OK;
}

sdiff_status sdi_json_get_bool(const sdi_env *env, const char *name, const json_t *object,
                               const char *key, int *value)
{
    const json_t *item = member(object, key);
    if (!item)
        return SDIFF_OK;
    if (!json_is_boolean(item))
        return wrong_kind(env, name, key, item, "true or false");
    *value = json_is_true(item);
    return SDIFF_OK;
}

sdiff_status sdi_json_get_string(const sdi_env *env, const char *name, const json_t *object,
                                 const char *key, const char **value)
{
    const json_t *item = member(object, key);
    if (!item)
        return SDIFF_OK;
    if (!json_is_string(item))
        return wrong_kind(env, name, key, item, "a string");
    if (strlen(json_string_value(item)) != json_string_length(item))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: '%s' holds a NUL character", name, key);
    *value = json_string_value(item);
    return SDIFF_OK;
}

sdiff_status sdi_json_get_ints(const sdi_env *env, const char *name, const json_t *object,
                               const char *key, int64_t minimum, int64_t maximum, int32_t capacity,
                               int64_t *values, int32_t *count)
{
    const json_t *item = member(object, key);
    if (!item)
        return SDIFF_OK;
    if (json_is_integer(item)) {
        SDI_TRY(read_int(env, name, key, item, minimum, maximum, values));
        *count = 1;
        return SDIFF_OK;
    }
    if (!json_is_array(item))
        return wrong_kind(env, name, key, item, "a list of integers");
    if (json_array_size(item) > (size_t)capacity)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: '%s' has %llu items, at most %d are possible",
                        name, key, (unsigned long long)json_array_size(item), (int)capacity);
    for (size_t i = 0; i < json_array_size(item); i++)
        SDI_TRY(read_int(env, name, key, json_array_get(item, i), minimum, maximum, &values[i]));
    *count = (int32_t)json_array_size(item);
    return SDIFF_OK;
}
