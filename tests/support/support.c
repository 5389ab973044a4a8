/* SPDX-License-Identifier: MIT
 *
 * What the tests share.
 */
#include "support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

sdi_env test_env_with(const sdi_mem_params *params)
{
    sdi_env env = {0};
    env.mem = sdi_mem_new(params);
    env.error = calloc(1, sizeof *env.error);
    assert_non_null(env.mem);
    assert_non_null(env.error);
    return env;
}

sdi_env test_env_new(void)
{
    return test_env_with(NULL);
}

void test_env_free(sdi_env *env)
{
    assert_int_equal(sdi_mem_used(env->mem), 0);
    sdi_mem_unref(env->mem);
    free(env->error);
    memset(env, 0, sizeof *env);
}

const char *test_error(const sdi_env *env)
{
    return env->error->text;
}

void test_ok(const sdi_env *env, sdiff_status status)
{
    if (status != SDIFF_OK)
        fail_msg("%s: %s", sdiff_status_string(status), test_error(env));
}

const char *test_shared(const char *relative)
{
    static char paths[8][1024];
    static int next;
    char *path = paths[next++ % 8];
    const char *root = getenv("SDIFF_SHARED_DIR");
    struct stat info;
    if (!root || stat(root, &info) != 0) {
        print_message("SKIPPED: the fixtures (SDIFF_SHARED_DIR) are absent\n");
        skip();
    }
    snprintf(path, sizeof paths[0], "%s/%s", root, relative);
    return path;
}

void *test_read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    struct stat info;
    assert_int_equal(fstat(fileno(file), &info), 0);
    *size = (size_t)info.st_size;
    void *bytes = malloc(*size ? *size : 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

int test_sweep(const char *folder)
{
    char inner[1024];
    int count = 0;
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(inner, sizeof inner, "%s/%s", folder, entry->d_name);
        count++;
        if (lstat(inner, &info) == 0 && S_ISDIR(info.st_mode)) {
            count += test_sweep(inner);
            rmdir(inner);
        } else {
            unlink(inner);
        }
    }
    if (dir)
        closedir(dir);
    return count;
}

void test_same_vae(const sdi_vae_config *a, const sdi_vae_config *b)
{
    enum { END = offsetof(sdi_vae_config, codebook) + sizeof a->codebook };
    assert_memory_equal(a, b, END);
}
