/* SPDX-License-Identifier: MIT
 *
 * The prompt language against AUTOMATIC1111's web UI 1.10.
 */
#include "io/json.h"
#include "io/tensor_file.h"
#include "json_lines.h"
#include "support.h"
#include "text/emphasis.h"
#include "text/prompt.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *string(const json_t *line, const char *key, size_t *length)
{
    const json_t *value = json_object_get(line, key);
    *length = json_string_length(value);
    return json_string_value(value);
}

typedef struct checker {
    sdi_env env;
    sdi_tokenizer *tokenizer;
    sdi_prompt_embedding embeddings[16];
    int32_t embedding_count;
    double worst; // relative error of a weight over the tolerance
} checker;

static void expect_part(checker *c, const char *text, const sdi_prompt_part *got,
                        const json_t *want)
{
    const json_t *want_text = json_array_get(want, 0);
    const double weight = json_number_value(json_array_get(want, 1));
    if (got->length != json_string_length(want_text) ||
        memcmp(got->text, json_string_value(want_text), got->length) != 0)
        fail_msg("'%s': part '%s' instead of '%s'", text, got->text, json_string_value(want_text));
    const double error = fabs(got->weight - weight) / (1e-9 * fmax(fabs(weight), 1e-300));
    if (weight == 0 ? got->weight != 0 : error > 1)
        fail_msg("'%s': weight %.17g of '%s' instead of %.17g", text, got->weight, got->text,
                 weight);
    if (weight != 0)
        c->worst = fmax(c->worst, error);
}

static void expect_parts(checker *c, const char *text, const sdi_prompt_parts *got,
                         const json_t *want)
{
    if ((size_t)got->count != json_array_size(want))
        fail_msg("'%s': %d parts", text, got->count);
    for (int32_t i = 0; i < got->count; i++)
        expect_part(c, text, &got->parts[i], json_array_get(want, (size_t)i));
}

static void check_weights(void *user, const json_t *line)
{
    checker *c = user;
    size_t length = 0;
    const char *text = string(line, "text", &length);
    sdi_prompt_parts parts;
    test_ok(&c->env, sdi_prompt_parse_weights(&c->env, text, length, &parts));
    const json_t *want = json_object_get(line, "parsed");
    if (want)
        expect_parts(c, text, &parts, want);
    else // the original fails: here the brackets hold literal text
        assert_true(json_object_get(line, "error") && parts.count == 1 &&
                    parts.parts[0].weight == 1.1);
    sdi_prompt_parts_free(&c->env, &parts);
}

static void test_weights_are_exact(void **state)
{
    checker c = {.env = test_env_new()};
    const int lines =
        test_each_json_line(test_shared("fixtures-ldm/prompt/attention.jsonl"), check_weights, &c);
    print_message("%d prompts, worst weight error / tolerance %.2g\n", lines, c.worst);
    assert_true(lines > 90);
    test_env_free(&c.env);
}

static void check_and(void *user, const json_t *line)
{
    checker *c = user;
    size_t length = 0;
    const char *text = string(line, "text", &length);
    sdi_prompt_parts parts;
    test_ok(&c->env, sdi_prompt_split_and(&c->env, text, length, &parts));
    expect_parts(c, text, &parts, json_object_get(line, "parts"));
    sdi_prompt_parts_free(&c->env, &parts);
}

static void test_and_is_exact(void **state)
{
    checker c = {.env = test_env_new()};
    assert_true(test_each_json_line(test_shared("fixtures-ldm/prompt/and.jsonl"), check_and, &c) >
                4);
    test_env_free(&c.env);
}

static void expect_schedule(checker *c, const json_t *line, const json_t *want,
                            sdi_prompt_when rule)
{
    size_t length = 0;
    const char *text = string(line, "text", &length);
    sdi_prompt_schedule schedule;
    test_ok(&c->env,
            sdi_prompt_parse_schedule(&c->env, text, length,
                                      (int32_t)json_integer_value(json_object_get(line, "steps")),
                                      rule, &schedule));
    if ((size_t)schedule.count != json_array_size(want))
        fail_msg("'%s': %d stages", text, schedule.count);
    for (int32_t i = 0; i < schedule.count; i++) {
        const json_t *stage = json_array_get(want, (size_t)i);
        assert_int_equal(schedule.stages[i].last_step,
                         json_integer_value(json_array_get(stage, 0)));
        assert_string_equal(schedule.stages[i].text, json_string_value(json_array_get(stage, 1)));
        assert_int_equal(schedule.stages[i].length, strlen(schedule.stages[i].text));
        assert_ptr_equal(sdi_prompt_stage_at(&schedule, schedule.stages[i].last_step),
                         &schedule.stages[i]);
    }
    sdi_prompt_schedule_free(&c->env, &schedule);
}

static void check_schedule(void *user, const json_t *line)
{
    const json_t *new_rule = json_object_get(line, "schedule");
    const json_t *old_rule = json_object_get(line, "old_schedule");
    expect_schedule(user, line, new_rule, SDI_PROMPT_WHEN_POINT);
    expect_schedule(user, line, old_rule ? old_rule : new_rule, SDI_PROMPT_WHEN_BELOW_1);
}

static void test_schedules_are_exact(void **state)
{
    checker c = {.env = test_env_new()};
    assert_true(test_each_json_line(test_shared("fixtures-ldm/prompt/schedule.jsonl"),
                                    check_schedule, &c) > 50);
    (void)test_each_json_line(test_shared("fixtures-ldm/prompt/schedule-ambiguous.jsonl"),
                              check_schedule, &c);
    test_env_free(&c.env);
}

static void expect_insertions(const checker *c, const sdi_prompt_chunks *got, int32_t chunk,
                              const json_t *want, int32_t *next)
{
    size_t i = 0;
    const json_t *insertion = NULL;
    json_array_foreach((json_t *)want, i, insertion)
    {
        assert_true(*next < got->insertion_count);
        const sdi_prompt_insertion *x = &got->insertions[(*next)++];
        const sdi_prompt_embedding *embedding = &c->embeddings[x->embedding];
        assert_int_equal(x->chunk, chunk);
        assert_int_equal(x->offset, json_integer_value(json_array_get(insertion, 0)));
        assert_string_equal(embedding->name, json_string_value(json_array_get(insertion, 1)));
        assert_int_equal(embedding->vectors, json_integer_value(json_array_get(insertion, 2)));
    }
}

static void expect_chunk(const checker *c, const sdi_prompt_chunks *got, int32_t chunk,
                         const json_t *want, int pad_zero)
{
    const json_t *pad_from = json_object_get(want, "sd2_pad_from");
    for (int32_t i = 0; i < SDI_PROMPT_IDS; i++) {
        const int zero = pad_zero && pad_from && i >= json_integer_value(pad_from);
        const json_t *id = json_array_get(json_object_get(want, "tokens"), (size_t)i);
        const json_t *m = json_array_get(json_object_get(want, "multipliers"), (size_t)i);
        const size_t at = (size_t)chunk * SDI_PROMPT_IDS + (size_t)i;
        assert_int_equal(got->ids[at], zero ? 0 : json_integer_value(id));
        assert_true(got->multipliers[at] == (float)json_number_value(m));
    }
}

static void expect_chunks(checker *c, const json_t *line, int pad_zero)
{
    size_t length = 0;
    const char *text = string(line, "text", &length);
    const json_t *want = json_object_get(line, "chunks");
    const json_t *backtrack = json_object_get(line, "backtrack");
    sdi_prompt_options options;
    sdi_prompt_options_init(&options);
    options.embeddings = c->embeddings;
    options.embedding_count = c->embedding_count;
    options.pad = pad_zero ? 0 : -1;
    if (backtrack)
        options.backtrack = (int32_t)json_integer_value(backtrack);
    sdi_prompt_chunks chunks;
    test_ok(&c->env, sdi_prompt_chunk(&c->env, c->tokenizer, &options, text, length, &chunks));
    if ((size_t)chunks.count != json_array_size(want))
        fail_msg("'%s': %d chunks", text, chunks.count);
    assert_int_equal(chunks.token_count, json_integer_value(json_object_get(line, "token_count")));
    int32_t next = 0;
    for (int32_t i = 0; i < chunks.count; i++) {
        const json_t *chunk = json_array_get(want, (size_t)i);
        expect_chunk(c, &chunks, i, chunk, pad_zero);
        expect_insertions(c, &chunks, i, json_object_get(chunk, "embeddings"), &next);
    }
    assert_int_equal(next, chunks.insertion_count);
    sdi_prompt_chunks_free(&c->env, &chunks);
}

static void check_chunks(void *user, const json_t *line)
{
    expect_chunks(user, line, 0);
    expect_chunks(user, line, 1);
}

static void test_chunks_are_exact(void **state)
{
    checker c = {.env = test_env_new()};
    test_ok(&c.env,
            sdi_tokenizer_open(&c.env, test_shared("fixtures-ldm/tokenizer"), &c.tokenizer));
    json_t *embeddings = NULL;
    test_ok(&c.env, sdi_json_parse_file(&c.env, test_shared("fixtures-ldm/prompt/embeddings.json"),
                                        &embeddings));
    const json_t *entry = NULL;
    size_t i = 0;
    json_array_foreach(embeddings, i, entry)
    {
        c.embeddings[c.embedding_count++] =
            (sdi_prompt_embedding){json_string_value(json_object_get(entry, "name")),
                                   (int32_t)json_integer_value(json_object_get(entry, "vectors"))};
    }
    int lines =
        test_each_json_line(test_shared("fixtures-ldm/prompt/chunks.jsonl"), check_chunks, &c);
    c.embedding_count = 0;
    lines += test_each_json_line(test_shared("fixtures-ldm/prompt/chunks-backtrack.jsonl"),
                                 check_chunks, &c);
    print_message("%d prompts\n", lines);
    assert_true(lines > 50);
    json_decref(embeddings);
    sdi_tokenizer_free(&c.env, c.tokenizer);
    test_env_free(&c.env);
}

/* --- emphasis --------------------------------------------------------------------------------- */

/* A float tensor, copied to a fresh block of the C library. */
static float *read_floats(sdi_env *env, sdi_tensor_file *file, const char *name, size_t *count)
{
    const int32_t index = sdi_tensor_file_find(file, name);
    if (index < 0)
        return NULL;
    const sdi_tensor_info *info = sdi_tensor_file_info(file, index);
    assert_int_equal(info->dtype, SDI_F32);
    const void *data = NULL;
    void *owned = NULL;
    test_ok(env, sdi_tensor_file_data(env, file, index, &data, &owned));
    float *copy = malloc(info->bytes);
    memcpy(copy, data, info->bytes);
    *count = info->count;
    sdi_free(env, owned);
    return copy;
}

static double relative_error(const float *a, const float *b, size_t count)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return sqrt(difference / norm);
}

static void test_original_emphasis_agrees(void **state)
{
    sdi_env env = test_env_new();
    sdi_tensor_file *file = NULL;
    test_ok(&env, sdi_tensor_file_open_path(
                      &env, test_shared("fixtures-ldm/prompt/emphasis.golden.safetensors"), &file));
    double worst = 0;
    int cases = 0;
    for (;; cases++) {
        char name[32];
        size_t count = 0, tokens = 0;
        snprintf(name, sizeof name, "math%d.z", cases);
        float *z = read_floats(&env, file, name, &count);
        if (!z)
            break;
        snprintf(name, sizeof name, "math%d.multipliers", cases);
        float *multipliers = read_floats(&env, file, name, &tokens);
        snprintf(name, sizeof name, "math%d.out", cases);
        float *out = read_floats(&env, file, name, &count);
        sdi_emphasis_apply(SDI_EMPHASIS_ORIGINAL, z, multipliers, NULL, 1, (int32_t)tokens,
                           (int32_t)(count / tokens));
        worst = fmax(worst, relative_error(z, out, count) / 5e-5);
        free(z);
        free(multipliers);
        free(out);
    }
    print_message("%d cases, worst error / tolerance %.3g\n", cases, worst);
    assert_true(cases >= 3);
    assert_true(worst <= 1);
    sdi_tensor_file_free(&env, file);
    test_env_free(&env);
}

/* Original and No_norm differ from Ignore by what the formula says, chunk by chunk. */
static void test_emphasised_hidden_states_agree(void **state)
{
    sdi_env env = test_env_new();
    sdi_tensor_file *file = NULL;
    test_ok(&env, sdi_tensor_file_open_path(
                      &env, test_shared("fixtures-ldm/prompt/emphasis.golden.safetensors"), &file));
    static const char *const names[] = {"Original", "No_norm"};
    double worst = 0;
    int cases = 0;
    for (int i = 0; i < 64; i++) {
        const int prompt = i / 4, skip = 1 + i / 2 % 2, mode = i % 2;
        char name[64];
        size_t count = 0, tokens = 0;
        snprintf(name, sizeof name, "%d.skip%d.Ignore", prompt, skip);
        float *z = read_floats(&env, file, name, &count);
        if (!z)
            break;
        snprintf(name, sizeof name, "%d.multipliers", prompt);
        float *multipliers = read_floats(&env, file, name, &tokens);
        snprintf(name, sizeof name, "%d.skip%d.%s", prompt, skip, names[mode]);
        float *want = read_floats(&env, file, name, &count);
        sdi_emphasis_apply(mode ? SDI_EMPHASIS_NO_NORM : SDI_EMPHASIS_ORIGINAL, z, multipliers,
                           NULL, (int32_t)tokens / 77, 77, (int32_t)(count / tokens));
        /* 2e-4 where the mean is near zero, as it is behind a layer norm. */
        const double ratio = relative_error(z, want, count) / (mode ? 5e-5 : 2e-4);
        worst = fmax(worst, ratio);
        free(z);
        free(multipliers);
        free(want);
        cases++;
    }
    print_message("%d cases, worst error / tolerance %.3g\n", cases, worst);
    assert_true(cases >= 20);
    assert_true(worst <= 1);
    sdi_tensor_file_free(&env, file);
    test_env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_are_exact),
        cmocka_unit_test(test_and_is_exact),
        cmocka_unit_test(test_schedules_are_exact),
        cmocka_unit_test(test_chunks_are_exact),
        cmocka_unit_test(test_original_emphasis_agrees),
        cmocka_unit_test(test_emphasised_hidden_states_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
