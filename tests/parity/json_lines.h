/* SPDX-License-Identifier: MIT
 *
 * Fixtures with one JSON object a line.
 */
#ifndef TEST_JSON_LINES_H
#define TEST_JSON_LINES_H

#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

typedef void (*test_json_fn)(void *user, const json_t *line);

/* Calls fn for each line; returns their number. */
static inline int test_each_json_line(const char *path, test_json_fn fn, void *user)
{
    size_t size = 0;
    char *text = test_read_file(path, &size);
    int lines = 0;
    for (char *at = text, *end = text + size; at < end; lines++) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        json_error_t error;
        json_t *line = json_loadb(at, (size_t)(stop - at), JSON_ALLOW_NUL, &error);
        if (!line)
            fail_msg("%s, line %d: %s", path, lines + 1, error.text);
        fn(user, line);
        json_decref(line);
        at = stop + 1;
    }
    free(text);
    return lines;
}

#endif
