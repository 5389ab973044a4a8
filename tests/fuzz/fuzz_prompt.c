/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: any bytes as a prompt, through the tokenizer and the prompt language. Properties:
 * no crash, no leak, every result whole, and the same result twice.
 *
 * Built as a normal program it runs the files given as arguments and then random texts made of the
 * language's own words: fuzz_prompt [-n count] [files]. For libFuzzer see fuzz_tensor_file.c.
 */
#include "fuzz.h"

#include "base/memory.h"
#include "text/prompt.h"

#include <string.h>

static sdi_tokenizer *make_tokenizer(const sdi_env *env)
{
    static const char vocab[] = FUZZ_VOCAB, merges[] = FUZZ_MERGES;
    sdi_tokenizer *t = NULL;
    REQUIRE(sdi_tokenizer_new_hf(env, "v", vocab, strlen(vocab), "m", merges, strlen(merges), &t) ==
            SDIFF_OK);
    return t;
}

static void try_tokenizer(const sdi_env *env, const sdi_tokenizer *t, const char *text, size_t size)
{
    for (int v = 0; v < 3; v++) {
        sdi_ids ids = {0};
        REQUIRE(sdi_tokenizer_encode(env, t, (sdi_tokenizer_variant)v, text, size, &ids) ==
                SDIFF_OK);
        for (int32_t i = 0; i < ids.count; i++)
            REQUIRE(ids.ids[i] >= 0 && ids.ids[i] < sdi_tokenizer_vocab_size(t));
        sdi_ids_free(env, &ids);
    }
}

static void try_parts(const sdi_env *env, const char *text, size_t size)
{
    sdi_prompt_parts parts;
    if (sdi_prompt_split_and(env, text, size, &parts) == SDIFF_OK)
        REQUIRE(parts.count >= 1);
    sdi_prompt_parts_free(env, &parts);
    if (sdi_prompt_parse_weights(env, text, size, &parts) == SDIFF_OK)
        REQUIRE(parts.count >= 1);
    for (int32_t i = 0; i < parts.count; i++)
        REQUIRE(parts.parts[i].text[parts.parts[i].length] == '\0');
    sdi_prompt_parts_free(env, &parts);
}

static void try_schedule(const sdi_env *env, const char *text, size_t size)
{
    enum { STEPS = 5 };
    sdi_prompt_schedule schedule;
    for (int rule = 0; rule < 2; rule++) {
        if (sdi_prompt_parse_schedule(env, text, size, STEPS, (sdi_prompt_when)rule, &schedule) ==
            SDIFF_OK) {
            REQUIRE(schedule.count >= 1);
            REQUIRE(schedule.stages[schedule.count - 1].last_step == STEPS);
            for (int32_t i = 1; i < schedule.count; i++)
                REQUIRE(schedule.stages[i - 1].last_step < schedule.stages[i].last_step);
        }
        sdi_prompt_schedule_free(env, &schedule);
    }
}

static void try_chunks(const sdi_env *env, const sdi_tokenizer *t, const char *text, size_t size)
{
    const sdi_prompt_embedding embeddings[] = {{"a", 74}, {"ab, b", 3}};
    sdi_prompt_options options;
    sdi_prompt_options_init(&options);
    options.embeddings = embeddings;
    options.embedding_count = (int32_t)(size % 3);
    sdi_prompt_chunks once, twice;
    const sdiff_status status = sdi_prompt_chunk(env, t, &options, text, size, &once);
    REQUIRE(sdi_prompt_chunk(env, t, &options, text, size, &twice) == status);
    if (status == SDIFF_OK) {
        const size_t ids = (size_t)once.count * SDI_PROMPT_IDS;
        REQUIRE(once.count == twice.count);
        REQUIRE(memcmp(once.ids, twice.ids, ids * sizeof *once.ids) == 0);
        for (int32_t i = 0; i < once.insertion_count; i++) {
            const sdi_prompt_insertion *x = &once.insertions[i];
            REQUIRE(x->chunk < once.count &&
                    x->offset + embeddings[x->embedding].vectors <= SDI_PROMPT_CHUNK);
        }
    }
    sdi_prompt_chunks_free(env, &once);
    sdi_prompt_chunks_free(env, &twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A block of the exact size, so that an over-read is seen. */
    char *text = malloc(size ? size : 1);
    REQUIRE(text != NULL);
    if (size)
        memcpy(text, data, size);
    sdi_error error = {0};
    const sdi_env env = {.mem = sdi_mem_new(NULL), .error = &error};
    sdi_tokenizer *t = make_tokenizer(&env);
    try_tokenizer(&env, t, text, size);
    try_parts(&env, text, size);
    try_schedule(&env, text, size);
    try_chunks(&env, t, text, size);
    sdi_tokenizer_free(&env, t);
    REQUIRE(sdi_mem_used(env.mem) == 0);
    sdi_mem_unref(env.mem);
    free(text);
    return 0;
}

#ifndef SDIFF_LIBFUZZER
static void run_file(const char *path)
{
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "cannot open %s\n", path);
        exit(1);
    }
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    (void)LLVMFuzzerTestOneInput(bytes, size);
}

static void run_random(long count)
{
    static const char *const words[] = {"[",
                                        "]",
                                        "(",
                                        ")",
                                        ":",
                                        "|",
                                        "\\",
                                        "BREAK",
                                        " AND ",
                                        ":0.5]",
                                        ":3]",
                                        "1",
                                        ".",
                                        "a",
                                        "b ",
                                        "ab, b",
                                        ",",
                                        " ",
                                        "\n",
                                        "&amp;",
                                        "&#x",
                                        "'ll",
                                        "\xff",
                                        "\xc3",
                                        "\xc3\xa9",
                                        "\xe7\x8c\xab",
                                        "\xcc\x81",
                                        "\xcd\x85",
                                        ":1.2)",
                                        "<|endoftext|>",
                                        "e1",
                                        "\xce\xa3",
                                        "a a a a a a a a a a a a a a a a a a a a a a a a a a "};
    enum { WORDS = sizeof words / sizeof *words };
    uint64_t seed = 1;
    for (long n = 0; n < count; n++) {
        char text[1024] = "";
        const int length = (int)((seed >> 40) % 30);
        for (int i = 0; i < length; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            strcat(text, words[(seed >> 33) % WORDS]);
        }
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        (void)LLVMFuzzerTestOneInput((const uint8_t *)text, strlen(text));
    }
}

int main(int argc, char **argv)
{
    long count = 2000;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-n") == 0 && i + 1 < argc)
            count = strtol(argv[++i], NULL, 10);
        else
            run_file(argv[i]);
    }
    run_random(count);
    printf("%ld random prompts\n", count);
    return 0;
}
#endif
