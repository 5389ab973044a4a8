/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: any bytes as one of the small files that come with models: configurations (JSON and
 * yaml), vocabularies, merges, pictures, key points. The first byte chooses the reader.
 *
 * Built as a normal program it gives the files and folders that are its arguments to every reader,
 * and mutants of them: fuzz_parsers [-n mutants of each] [files]. For libFuzzer see
 * fuzz_tensor_file.c.
 */
#include "fuzz.h"

#include "base/memory.h"
#include "image/image.h"
#include "model/config.h"
#include "pipeline/pose_read.h"
#include "text/tokenizer.h"

#include <string.h>

static const char vocab[] = FUZZ_VOCAB, merges[] = FUZZ_MERGES;

typedef sdiff_status reader(const sdi_env *env, const char *text, size_t size);

/* ---- configurations -------------------------------------------------------------------------- */

static sdiff_status read_config(const sdi_env *env, const char *text, size_t size)
{
    sdi_model_config config;
    memset(&config, 0, sizeof config);
    return sdi_config_apply(env, "config", text, size, &config);
}

static sdiff_status read_parts(const sdi_env *env, const char *text, size_t size)
{
    static sdi_model_config config;
    json_t *json = NULL;
    SDI_TRY(sdi_json_parse(env, "part", text, size, &json));
    memset(&config, 0, sizeof config);
    (void)sdi_config_unet(env, "part", json, &config.unet);
    (void)sdi_config_vae(env, "part", json, &config.vae);
    (void)sdi_config_clip(env, "part", json, &config.clip);
    (void)sdi_config_dpt(env, "part", json, &config.depth);
    (void)sdi_config_taesd(env, "part", json, &config.taesd);
    (void)sdi_config_control(env, "part", json, &config);
    (void)sdi_config_depth_input(env, "part", json, &config.depth_input);
    (void)sdi_config_scheduler(env, "part", json, &config);
    json_decref(json);
    return SDIFF_OK;
}

static sdiff_status read_yaml(const sdi_env *env, const char *text, size_t size)
{
    json_t *yaml = NULL, *flat = NULL;
    SDI_TRY(sdi_yaml_parse(env, "yaml", text, size, &yaml));
    const sdiff_status status = sdi_yaml_flatten(env, "yaml", yaml, &flat);
    json_decref(flat);
    json_decref(yaml);
    return status;
}

/* ---- vocabularies ---------------------------------------------------------------------------- */

/* Closes a tokenizer after a sentence has gone through it. */
static sdiff_status use(const sdi_env *env, sdiff_status status, sdi_tokenizer *t)
{
    sdi_ids ids = {0};
    if (status == SDIFF_OK)
        status = sdi_tokenizer_encode(env, t, SDI_TOKENIZER_HF_FAST, "a, ab abba \xff", 12, &ids);
    for (int32_t i = 0; i < ids.count; i++)
        REQUIRE(ids.ids[i] >= 0 && ids.ids[i] < sdi_tokenizer_vocab_size(t));
    sdi_ids_free(env, &ids);
    sdi_tokenizer_free(env, t);
    return status;
}

static sdiff_status read_vocab(const sdi_env *env, const char *text, size_t size)
{
    sdi_tokenizer *t = NULL;
    const sdiff_status status =
        sdi_tokenizer_new_hf(env, "v", text, size, "m", merges, strlen(merges), &t);
    return use(env, status, t);
}

static sdiff_status read_merges(const sdi_env *env, const char *text, size_t size)
{
    sdi_tokenizer *t = NULL;
    const sdiff_status status =
        sdi_tokenizer_new_hf(env, "v", vocab, strlen(vocab), "m", text, size, &t);
    return use(env, status, t);
}

static sdiff_status read_rules(const sdi_env *env, const char *text, size_t size)
{
    sdi_tokenizer *t = NULL;
    const sdiff_status status = sdi_tokenizer_new_bpe(env, "rules", text, size, &t);
    return use(env, status, t);
}

/* ---- pictures -------------------------------------------------------------------------------- */

static sdiff_status read_png(const sdi_env *env, const char *text, size_t size)
{
    sdi_image *image = NULL;
    SDI_TRY(sdi_png_read(env, "png", text, size, &image));
    REQUIRE(image->width > 0 && image->height > 0 && image->channels > 0);
    sdi_image_free(env, image);
    return SDIFF_OK;
}

static sdiff_status read_pose(const sdi_env *env, const char *text, size_t size)
{
    sdi_pose *poses = NULL;
    int32_t count = 0;
    SDI_TRY(sdi_pose_read(env, "pose", text, size, 64, 48, &poses, &count));
    sdi_image *picture = NULL;
    const sdiff_status status = sdi_pose_draw(env, poses, count, 64, 48, &picture);
    sdi_image_free(env, picture);
    sdi_free(env, poses);
    return status;
}

static reader *const readers[] = {read_config, read_parts, read_yaml, read_vocab,
                                  read_merges, read_rules, read_png,  read_pose};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    /* A block of the exact size, so that an over-read is seen. */
    char *text = malloc(size);
    REQUIRE(text != NULL);
    memcpy(text, data + 1, size - 1);
    const sdi_mem_params params = {.limit = 256u << 20};
    sdi_error error = {0};
    const sdi_env env = {.mem = sdi_mem_new(&params), .error = &error};
    REQUIRE(env.mem != NULL);
    const sdiff_status status = readers[data[0] % SDI_COUNT(readers)](&env, text, size - 1);
    REQUIRE(status == SDIFF_OK || error.text[0] != '\0'); // no failure without its sentence
    REQUIRE(sdi_mem_used(env.mem) == 0);
    sdi_mem_unref(env.mem);
    free(text);
    return 0;
}

#ifndef SDIFF_LIBFUZZER
#include <dirent.h>
#include <sys/stat.h>

enum { LARGEST = 1 << 20, SKIPPED = 77 };

static long mutants = 20;
static uint64_t state = 1;

static uint32_t draw(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

/* Changes, repeats or cuts a few bytes; the first one chooses the reader and stays. */
static size_t mutate(uint8_t *data, size_t size)
{
    static const char *const words[] = {"0", "-1", "1e308", "99999999999", "[", "{", "}", "\"", ",",
                                        "null", "true", "\xff", "\n", "&a ", "*a", "0.5"};
    for (uint32_t n = 1 + draw(4); n > 0 && size > 2; n--) {
        const size_t at = 1 + draw((uint32_t)size - 1);
        const char *word = words[draw(SDI_COUNT(words))];
        switch (draw(4)) {
        case 0: data[at] = (uint8_t)draw(256); break;
        case 1: data[at] ^= (uint8_t)(1u << draw(8)); break;
        case 2: memcpy(data + at, word, SDI_MIN(strlen(word), size - at)); break;
        default: size = draw(8) ? size : at; break;
        }
    }
    return size;
}

static void run_bytes(const uint8_t *bytes, size_t size)
{
    static uint8_t input[LARGEST + 1], mutant[LARGEST + 1];
    memcpy(input + 1, bytes, size);
    for (uint8_t r = 0; r < SDI_COUNT(readers); r++) {
        input[0] = r;
        (void)LLVMFuzzerTestOneInput(input, size + 1);
        for (long n = 0; n < mutants && size < 20000; n++) {
            memcpy(mutant, input, size + 1);
            (void)LLVMFuzzerTestOneInput(mutant, mutate(mutant, size + 1));
        }
    }
}

static void run_path(const char *path)
{
    static uint8_t bytes[LARGEST];
    FILE *file = fopen(path, "rb");
    if (!file)
        return;
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    run_bytes(bytes, size);
}

/* The small files of a folder. */
static int run_folder(const char *path)
{
    DIR *folder = opendir(path);
    int count = 0;
    for (const struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        char name[1200];
        struct stat info;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (stat(name, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= 1 << 16) {
            run_path(name);
            count++;
        }
    }
    if (folder)
        closedir(folder);
    printf("%s: %d files\n", path, count);
    return count > 0;
}

int main(int argc, char **argv)
{
    int good = 1;
    for (int i = 1; i < argc; i++) {
        struct stat info;
        if (strcmp(argv[i], "-n") == 0 && i + 1 < argc) {
            mutants = strtol(argv[++i], NULL, 10);
        } else if (stat(argv[i], &info) != 0) {
            printf("SKIPPED: %s is absent\n", argv[i]);
            return SKIPPED;
        } else if (S_ISDIR(info.st_mode)) {
            good = run_folder(argv[i]) && good;
        } else {
            run_path(argv[i]);
        }
    }
    return good ? 0 : 1;
}
#endif
