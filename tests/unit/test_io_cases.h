/* SPDX-License-Identifier: MIT
 *
 * The table of malformed files (fixtures-ldm/bad/bad.tsv), and opening a file in every way.
 */
#ifndef TEST_IO_CASES_H
#define TEST_IO_CASES_H

#include "support.h"

#include "io/tensor_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bad_case {
    char file[200], kind[40], expect[40]; // expect: "ok", "error" or "either"
    char path[1200];
} bad_case;

/* Calls fn for each line whose file begins with prefix; returns how many there were. */
static inline int for_each_bad(const char *prefix, void (*fn)(const bad_case *c))
{
    FILE *table = fopen(test_shared("fixtures-ldm/bad/bad.tsv"), "r");
    assert_non_null(table);
    char text[2000];
    int count = 0;
    while (fgets(text, sizeof text, table)) {
        bad_case c;
        if (sscanf(text, "%199[^\t]\t%39[^\t]\t%39[^\t]\t", c.file, c.kind, c.expect) != 3 ||
            strncmp(c.file, prefix, strlen(prefix)) != 0)
            continue;
        snprintf(c.path, sizeof c.path, "%s/%s", test_shared("fixtures-ldm/bad"), c.file);
        fn(&c);
        count++;
    }
    fclose(table);
    return count;
}

static inline void check_expectation(const bad_case *c, const sdi_env *env, sdiff_status status)
{
    if (strcmp(c->expect, "ok") == 0 && status != SDIFF_OK)
        fail_msg("%s must open: %s", c->file, test_error(env));
    if (strcmp(c->expect, "error") == 0 && status == SDIFF_OK)
        fail_msg("%s must be refused", c->file);
    if (status != SDIFF_OK && (env->error->status != status || test_error(env)[0] == '\0'))
        fail_msg("%s: no sentence for status %d", c->file, (int)status);
    if (status != SDIFF_OK)
        print_message("%s -> %s: %s\n", c->file, sdiff_status_string(status), test_error(env));
}

/* Reads every tensor to its last byte, so that the sanitizers see what is reachable. */
static inline sdiff_status touch_all(const sdi_env *env, sdi_tensor_file *file)
{
    unsigned sum = 0;
    for (int32_t i = 0; i < sdi_tensor_file_count(file); i++) {
        const sdi_tensor_info *info = sdi_tensor_file_info(file, i);
        const void *data = NULL;
        void *owned = NULL;
        assert_int_equal(sdi_tensor_file_find(file, info->name), i);
        SDI_TRY(sdi_tensor_file_data(env, file, i, &data, &owned));
        for (uint64_t k = 0; k < info->bytes; k++)
            sum += ((const unsigned char *)data)[k];
        sdi_free(env, owned);
    }
    return sum == UINT32_MAX ? SDIFF_ERROR_INTERNAL : SDIFF_OK; // the sum must be computed
}

typedef struct read_user {
    const unsigned char *bytes;
    uint64_t size;
    int calls, fail_at; // the n-th call (from 1) fails
} read_user;

static inline int read_bytes(void *user, uint64_t offset, void *buffer, uint64_t size)
{
    read_user *u = user;
    assert_true(offset <= u->size && size <= u->size - offset);
    if (++u->calls == u->fail_at)
        return -1;
    memcpy(buffer, u->bytes + offset, (size_t)size);
    return 0;
}

/* Opens through a reader callback and reads all. */
static inline sdiff_status open_through_reader(const sdi_env *env, read_user *user)
{
    sdi_source *source = NULL;
    sdi_tensor_file *file = NULL;
    SDI_TRY(sdi_source_open_reader(env, read_bytes, user, user->size, &source));
    sdiff_status status = sdi_tensor_file_open(env, source, &file);
    sdi_source_unref(env, source);
    if (status == SDIFF_OK)
        status = touch_all(env, file);
    sdi_tensor_file_free(env, file);
    return status;
}

static inline sdiff_status open_path_and_touch(const sdi_env *env, const char *path)
{
    sdi_tensor_file *file = NULL;
    sdiff_status status = sdi_tensor_file_open_path(env, path, &file);
    if (status == SDIFF_OK)
        status = touch_all(env, file);
    else
        assert_null(file);
    sdi_tensor_file_free(env, file);
    return status;
}

static inline sdiff_status open_memory_and_touch(const sdi_env *env, const void *bytes, size_t size)
{
    sdi_source *source = NULL;
    sdi_tensor_file *file = NULL;
    SDI_TRY(sdi_source_open_memory(env, bytes, size, &source));
    sdiff_status status = sdi_tensor_file_open(env, source, &file);
    sdi_source_unref(env, source);
    if (status == SDIFF_OK)
        status = touch_all(env, file);
    sdi_tensor_file_free(env, file);
    return status;
}

/* The same outcome by path, from memory (in a heap block of exact size) and through a reader. */
static inline void check_case_in_every_way(const bad_case *c)
{
    sdi_env env = test_env_new();
    const sdiff_status status = open_path_and_touch(&env, c->path);
    check_expectation(c, &env, status);
    read_user user = {0};
    size_t size = 0;
    user.bytes = test_read_file(c->path, &size);
    user.size = size;
    assert_int_equal(open_memory_and_touch(&env, user.bytes, size), status);
    assert_int_equal(open_through_reader(&env, &user), status);
    free((void *)(uintptr_t)user.bytes);
    test_env_free(&env);
}

/* With allocation n failing, for each n until it succeeds, nothing leaks and the status tells. */
static inline void check_case_without_memory(const bad_case *c)
{
    for (uint64_t n = 1;; n++) {
        const sdi_mem_params params = {.fail_at = n};
        sdi_env env = test_env_with(&params);
        const sdiff_status status = open_path_and_touch(&env, c->path);
        test_env_free(&env);
        if (status != SDIFF_ERROR_NO_MEMORY)
            break;
        assert_true(n < 1000);
    }
}

#endif
