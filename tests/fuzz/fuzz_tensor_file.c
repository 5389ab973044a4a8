/* SPDX-License-Identifier: MIT
 *
 * Opens any bytes as a file of tensors and reads what is found. Built as a normal program it runs
 * the files and folders given as arguments, which is how the test suite uses it. For libFuzzer:
 *   CC=clang meson setup build-fuzz -Db_sanitize=address,undefined -Db_lundef=false
 *   clang -DSDIFF_LIBFUZZER -fsanitize=fuzzer,address,undefined -Ilib -Iinclude
 *     tests/fuzz/fuzz_tensor_file.c build-fuzz/lib/libstablediff_core.a
 *     -ljansson -lz -lutf8proc -lm -lpthread
 */
#include "base/memory.h"
#include "io/tensor_file.h"

#include <stdio.h>
#include <stdlib.h>

/* What one input may take, and how much of its tensors is looked at. */
static const uint64_t MEMORY = 256u << 20, TOUCHED = 4u << 20;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Through the callback the reader has no mapping to lean on. */
typedef struct input {
    const uint8_t *data;
    size_t size;
} input;

static int read_input(void *user, uint64_t offset, void *buffer, uint64_t size)
{
    const input *in = user;
    if (offset > in->size || size > in->size - offset)
        abort();
    memcpy(buffer, in->data + offset, (size_t)size);
    return 0;
}

static void touch(const sdi_env *env, sdi_tensor_file *file)
{
    uint64_t left = TOUCHED;
    volatile unsigned char sum = 0;
    for (int32_t i = 0; i < sdi_tensor_file_count(file); i++) {
        const sdi_tensor_info *info = sdi_tensor_file_info(file, i);
        const void *data = NULL;
        void *owned = NULL;
        if (sdi_tensor_file_find(file, info->name) != i)
            abort();
        if (info->bytes > left ||
            sdi_tensor_file_data(env, file, i, &data, &owned) != SDIFF_OK)
            continue;
        for (uint64_t k = 0; k < info->bytes; k++)
            sum = (unsigned char)(sum + ((const unsigned char *)data)[k]);
        left -= info->bytes;
        sdi_free(env, owned);
    }
}

/* Both ways must agree. */
static sdiff_status run(const sdi_env *env, input *in, int by_reader)
{
    sdi_source *source = NULL;
    sdi_tensor_file *file = NULL;
    sdiff_status status =
        by_reader ? sdi_source_open_reader(env, read_input, in, in->size, &source)
                  : sdi_source_open_memory(env, in->data, in->size, &source);
    if (status != SDIFF_OK)
        abort();
    status = sdi_tensor_file_open(env, source, &file);
    sdi_source_unref(env, source);
    if (status == SDIFF_OK)
        touch(env, file);
    sdi_tensor_file_free(env, file);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const sdi_mem_params params = {.limit = MEMORY};
    sdi_error error = {0};
    sdi_env env = {.mem = sdi_mem_new(&params), .error = &error};
    input in = {data, size};
    if (!env.mem)
        return 0;
    const sdiff_status first = run(&env, &in, 0), second = run(&env, &in, 1);
    if (first != second && first != SDIFF_ERROR_NO_MEMORY && second != SDIFF_ERROR_NO_MEMORY)
        abort();
    if (first != SDIFF_OK && error.text[0] == '\0')
        abort(); // a failure without its sentence
    if (sdi_mem_used(env.mem) != 0)
        abort();
    sdi_mem_unref(env.mem);
    return 0;
}

#ifndef SDIFF_LIBFUZZER
#include <dirent.h>
#include <sys/stat.h>

enum { SKIPPED = 77 };

static int run_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size ? size : 1);
    const int good = file && data && fread(data, 1, size, file) == size;
    if (good)
        LLVMFuzzerTestOneInput(data, size);
    else
        fprintf(stderr, "%s cannot be read\n", path);
    free(data);
    if (file)
        fclose(file);
    return good;
}

/* The files of a folder, not of those inside it. */
static int run_folder(const char *path)
{
    DIR *folder = opendir(path);
    int count = 0, good = folder != NULL;
    for (const struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        char name[1200];
        struct stat info;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (stat(name, &info) == 0 && S_ISREG(info.st_mode)) {
            good = run_file(name, (size_t)info.st_size) && good;
            count++;
        }
    }
    if (folder)
        closedir(folder);
    printf("%s: %d files\n", path, count);
    return good && count > 0;
}

int main(int argc, char **argv)
{
    int good = 1;
    for (int i = 1; i < argc; i++) {
        struct stat info;
        if (stat(argv[i], &info) != 0) {
            printf("SKIPPED: %s is absent\n", argv[i]);
            return SKIPPED;
        }
        good = (S_ISDIR(info.st_mode) ? run_folder(argv[i])
                                      : run_file(argv[i], (size_t)info.st_size)) && good;
    }
    return good ? 0 : 1;
}
#endif
