/* SPDX-License-Identifier: MIT
 *
 * JSON through jansson: strict, no duplicate keys, bounded depth. The only file that includes the
 * library's header is this one and those that walk its values.
 */
#ifndef SDI_IO_JSON_H
#define SDI_IO_JSON_H

#include "base/env.h"

#include <jansson.h>

/* Parses a whole text; `name` (a path) opens the error sentence, which tells line and reason.
 * Refuses duplicate keys, trailing bytes, NUL in names, NaN, nesting beyond 2048. A UTF-8 byte
 * order mark is skipped. The caller owns *out (json_decref). */
sdiff_status sdi_json_parse(const sdi_env *env, const char *name, const char *text, size_t size,
                            json_t **out);
/* Up to 64 MiB. */
sdiff_status sdi_json_parse_file(const sdi_env *env, const char *path, json_t **out);

/* Members of an object. Absent or null: *value is left as it is (set the default before).
 * Of another type or out of range: SDIFF_ERROR_FORMAT naming the file, the key and what was
 * found. */
sdiff_status sdi_json_get_int(const sdi_env *env, const char *name, const json_t *object,
                              const char *key, int64_t minimum, int64_t maximum, int64_t *value);
sdiff_status sdi_json_get_real(const sdi_env *env, const char *name, const json_t *object,
                               const char *key, double *value); // finite numbers only
sdiff_status sdi_json_get_bool(const sdi_env *env, const char *name, const json_t *object,
                               const char *key, int *value);
/* Borrowed from the object. */
sdiff_status sdi_json_get_string(const sdi_env *env, const char *name, const json_t *object,
                                 const char *key, const char **value);
/* A list of integers, or one integer (then *count is 1). */
sdiff_status sdi_json_get_ints(const sdi_env *env, const char *name, const json_t *object,
                               const char *key, int64_t minimum, int64_t maximum, int32_t capacity,
                               int64_t *values, int32_t *count);

#endif
