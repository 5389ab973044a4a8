/* SPDX-License-Identifier: MIT
 *
 * Helpers of the model's tests: gzipped lists of the fixtures, and checkpoints that exist as names
 * and shapes only (a reader that answers zeros behind its header).
 */
#ifndef TEST_MODEL_SUPPORT_H
#define TEST_MODEL_SUPPORT_H

#include "support/support.h"

#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static inline char *read_gz(const char *path)
{
    gzFile file = gzopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    size_t size = 0, capacity = 1 << 22;
    char *text = malloc(capacity);
    assert_non_null(text);
    int n;
    while ((n = gzread(file, text + size, (unsigned)(capacity - size - 1))) > 0)
        size += (size_t)n;
    text[size] = '\0';
    gzclose(file);
    return text;
}

/* A safetensors file without data: its header, and zeros where the tensors would be. */
typedef struct hollow {
    char *header;
    uint64_t header_size, size;
    uint64_t data_read; // bytes asked for behind the header
} hollow;

static inline int hollow_read(void *user, uint64_t offset, void *buffer, uint64_t size)
{
    hollow *h = user;
    memset(buffer, 0, size);
    if (offset + size > h->size)
        return 1;
    if (offset < h->header_size)
        memcpy(buffer, h->header + offset, SDI_MIN(size, h->header_size - offset));
    else
        h->data_read += size;
    return 0;
}

typedef struct hollow_builder {
    char *text;
    size_t length, capacity;
    uint64_t offset;
} hollow_builder;

/* Adds a tensor; shape is written as "[320,4,3,3]". */
static inline void hollow_add(hollow_builder *b, const char *name, const char *shape,
                              const char *dtype)
{
    uint64_t bytes = strcmp(dtype, "I64") == 0 ? 8 : strcmp(dtype, "F16") == 0 ? 2 : 4;
    for (const char *p = shape; *p; p++)
        if (*p >= '0' && *p <= '9' && (p[-1] < '0' || p[-1] > '9'))
            bytes *= strtoull(p, NULL, 10);
    if (b->length + 1024 > b->capacity) {
        b->capacity = 2 * b->capacity + 4096;
        b->text = realloc(b->text, b->capacity);
        assert_non_null(b->text);
    }
    b->length += (size_t)snprintf(b->text + b->length, 1024,
                                  "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":"
                                  "[%llu,%llu]}",
                                  b->length ? "," : "{", name, dtype, shape,
                                  (unsigned long long)b->offset,
                                  (unsigned long long)(b->offset + bytes));
    b->offset += bytes;
}

static inline hollow hollow_finish(hollow_builder *b)
{
    hollow h = {0};
    const uint64_t length = b->length + 1;
    h.header = malloc(length + 8);
    assert_non_null(h.header);
    for (int i = 0; i < 8; i++)
        h.header[i] = (char)(length >> (8 * i));
    memcpy(h.header + 8, b->text, b->length);
    h.header[8 + b->length] = '}';
    h.header_size = length + 8;
    h.size = h.header_size + b->offset;
    free(b->text);
    return h;
}

/* Adds a key list: lines of name, shape, dtype. Those with `from` in their names (NULL: none) come
 * once more with `to` in its place, which is as long. */
static inline void hollow_add_list(hollow_builder *b, const char *path, const char *from,
                                   const char *to)
{
    char *text = read_gz(path), *line = text;
    while (*line) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        char *shape = strchr(line, '\t'), *dtype = shape ? strchr(shape + 1, '\t') : NULL;
        if (dtype) {
            *shape++ = *dtype++ = '\0';
            hollow_add(b, line, shape, dtype);
            char *found = from ? strstr(line, from) : NULL;
            if (found)
                memcpy(found, to, strlen(to));
            if (found)
                hollow_add(b, line, shape, dtype);
        }
        line = end ? end + 1 : line + strlen(line);
    }
    free(text);
}

static inline hollow hollow_from_list(const char *path)
{
    hollow_builder b = {0};
    hollow_add_list(&b, path, NULL, NULL);
    return hollow_finish(&b);
}

static inline sdiff_status hollow_open(const sdi_env *env, hollow *h,
                                       const sdi_model_options *options, sdi_model **model)
{
    const sdi_model_source source = {.read = hollow_read, .user = h, .size = h->size};
    return sdi_model_open(env, &source, options, model);
}

#endif
