/* SPDX-License-Identifier: MIT
 *
 * sd-probe tokenize and prompt: what prompts become, a line of JSON for each.
 */
#include "probe.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT_LENGTH = 77 };

typedef struct tokenize {
    sdiff_tokenizer *tokenizer;
    int32_t variant;
    int padded;   // tokenize: as fed to the model
    int describe; // prompt: weights, chunks and schedules
    long long steps, backtrack;
} tokenize;

/* BOS, up to 75 ids, EOS, then padding. */
static void print_ids(const tokenize *t, const int32_t *ids, int32_t count)
{
    printf("[");
    if (!t->padded) {
        for (int32_t i = 0; i < count; i++)
            printf("%s%d", i ? ", " : "", ids[i]);
    } else {
        const int32_t kept = count < CONTEXT_LENGTH - 2 ? count : CONTEXT_LENGTH - 2;
        printf("%d", sdiff_tokenizer_bos(t->tokenizer));
        for (int32_t i = 0; i < kept; i++)
            printf(", %d", ids[i]);
        printf(", %d", sdiff_tokenizer_eos(t->tokenizer));
        for (int32_t i = kept + 2; i < CONTEXT_LENGTH; i++)
            printf(", %d", sdiff_tokenizer_pad(t->tokenizer));
    }
    printf("]\n");
}

static int describe_text(const tokenize *t, const char *text)
{
    const char *json = NULL;
    const sdiff_status status = sdiff_prompt_describe(t->tokenizer, text, t->variant,
                                                      (int32_t)t->steps, (int32_t)t->backtrack,
                                                      &json);
    if (status == SDIFF_OK)
        puts(json);
    return status == SDIFF_OK ? 0
                              : complain("sd-probe", status, sdiff_tokenizer_error(t->tokenizer));
}

static int tokenize_text(const tokenize *t, const char *text, size_t length)
{
    if (t->describe)
        return describe_text(t, text);
    int32_t count = 0;
    sdiff_status status =
        sdiff_tokenizer_encode(t->tokenizer, text, length, t->variant, NULL, 0, &count);
    int32_t *ids = malloc(((size_t)count + 1) * sizeof *ids);
    if (!ids)
        status = SDIFF_ERROR_NO_MEMORY;
    if (status == SDIFF_OK)
        status = sdiff_tokenizer_encode(t->tokenizer, text, length, t->variant, ids, count, &count);
    if (status == SDIFF_OK)
        print_ids(t, ids, count);
    free(ids);
    return status == SDIFF_OK ? 0
                              : complain("sd-probe", status, sdiff_tokenizer_error(t->tokenizer));
}

static int tokenize_line(const tokenize *t, const char *line, ssize_t length)
{
    json_error_t error;
    json_t *value = json_loadb(line, (size_t)length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!json_is_string(value)) {
        json_decref(value);
        return complain("sd-probe", SDIFF_ERROR_FORMAT, "prompts=FILE needs a JSON string a line");
    }
    const int code = tokenize_text(t, json_string_value(value), json_string_length(value));
    json_decref(value);
    return code;
}

static int tokenize_file(const tokenize *t, const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return complain("sd-probe", SDIFF_ERROR_IO, "the file of prompts= cannot be opened");
    char *line = NULL;
    size_t capacity = 0;
    int code = 0;
    for (ssize_t length; !code && (length = getline(&line, &capacity, file)) > 0;)
        if (strspn(line, " \t\r\n") < (size_t)length)
            code = tokenize_line(t, line, length);
    free(line);
    fclose(file);
    return code;
}

/* The vocabulary alone where it can be had without loading weights: padding needs the model. */
static int open_tokenizer(probe *p, tokenize *t)
{
    const char *path = p->vocab ? p->vocab : p->model_path;
    sdiff_status status = SDIFF_ERROR_IO;
    if (path && !t->padded)
        status = sdiff_tokenizer_open(p->context, path, &t->tokenizer);
    if (status == SDIFF_OK)
        return 0;
    if (p->vocab && !p->model_path && !t->padded)
        return complain("sd-probe", status, sdiff_context_error(p->context));
    const int code = probe_open_model(p);
    if (code)
        return code;
    status = sdiff_tokenizer_of_model(p->model, &t->tokenizer);
    return status == SDIFF_OK ? 0 : complain("sd-probe", status, sdiff_model_error(p->model));
}

static int variant_of(const char *name)
{
    static const char *const names[] = {"hf_fast", "hf_slow", "openai"};
    for (int i = 0; i < 3; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

int probe_tokenize(probe *p)
{
    const char *prompt = probe_key(p, "prompt", NULL), *prompts = probe_key(p, "prompts", NULL);
    tokenize t = {.padded = strcmp(probe_key(p, "padded", "0"), "0") != 0,
                  .describe = strcmp(p->component, "prompt") == 0,
                  .steps = 20,
                  .backtrack = 20};
    t.variant = variant_of(probe_key(p, "variant", "hf_fast"));
    if (!prompt == !prompts)
        return probe_fail("this component needs prompt=\"…\" or prompts=FILE");
    if (!probe_int(p, "steps", 1, 100000, &t.steps) ||
        !probe_int(p, "backtrack", 0, CONTEXT_LENGTH - 2, &t.backtrack))
        return EXIT_USAGE;
    if (t.variant < 0)
        return probe_fail("variant=hf_fast, hf_slow or openai");
    int code = open_tokenizer(p, &t);
    if (!code)
        code = prompt ? tokenize_text(&t, prompt, strlen(prompt)) : tokenize_file(&t, prompts);
    sdiff_tokenizer_free(t.tokenizer);
    return code;
}
