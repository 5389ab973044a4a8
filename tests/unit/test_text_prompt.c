/* SPDX-License-Identifier: MIT
 *
 * The prompt language on a small vocabulary made here: what the fixtures do not show, limits,
 * hostile lengths and memory.
 */
#include "support.h"
#include "text/emphasis.h"
#include "text/number.h"
#include "text/prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { A = 3, B = 4, COMMA = 5, BOS = 8, EOS = 9 };

static sdi_tokenizer *small(const sdi_env *env)
{
    static const char vocab[] = "{\"a\":0,\"b\":1,\",\":2,\"a</w>\":3,\"b</w>\":4,\",</w>\":5,"
                                "\"x</w>\":6,\"y</w>\":7,\"<|startoftext|>\":8,"
                                "\"<|endoftext|>\":9}";
    static const char merges[] = "#version: 0.2\n";
    sdi_tokenizer *t = NULL;
    test_ok(env,
            sdi_tokenizer_new_hf(env, "v", vocab, strlen(vocab), "m", merges, strlen(merges), &t));
    return t;
}

/* "word word ... " n times, in a static buffer. */
static const char *repeat(const char *word, int n)
{
    static char text[4096];
    text[0] = '\0';
    for (int i = 0; i < n; i++)
        strcat(text, word);
    return text;
}

static void test_embeddings_move_with_what_follows_the_comma(void **state)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *t = small(&env);
    const sdi_prompt_embedding embedding = {"x", 3};
    sdi_prompt_options options;
    sdi_prompt_options_init(&options);
    options.embeddings = &embedding;
    options.embedding_count = 1;
    char text[4200];
    snprintf(text, sizeof text, "%s, b x b b b", repeat("a ", 68)); // 68 + 1 + 1 + 3 + 2 = 75
    sdi_prompt_chunks chunks;
    test_ok(&env, sdi_prompt_chunk(&env, t, &options, text, strlen(text), &chunks));
    assert_int_equal(chunks.count, 2);
    assert_int_equal(chunks.ids[1 + 68], COMMA);
    assert_int_equal(chunks.ids[1 + 69], EOS);
    assert_memory_equal(chunks.ids + 77, ((int32_t[]){BOS, B, 0, 0, 0, B, B, B, EOS}),
                        9 * sizeof(int32_t));
    assert_int_equal(chunks.insertion_count, 1);
    assert_int_equal(chunks.insertions[0].chunk, 1);
    assert_int_equal(chunks.insertions[0].offset, 1);
    assert_int_equal(chunks.token_count, 75 + 7);
    sdi_prompt_chunks_free(&env, &chunks);
    sdi_tokenizer_free(&env, t);
    test_env_free(&env);
}

static void test_an_embedding_larger_than_a_chunk_is_refused(void **state)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *t = small(&env);
    const sdi_prompt_embedding embedding = {"x", 76};
    sdi_prompt_options options;
    sdi_prompt_options_init(&options);
    options.embeddings = &embedding;
    options.embedding_count = 1;
    sdi_prompt_chunks chunks;
    assert_int_equal(sdi_prompt_chunk(&env, t, &options, "a", 1, &chunks), SDIFF_ERROR_LIMIT);
    assert_non_null(strstr(test_error(&env), "76 vectors"));
    assert_null(chunks.ids);
    sdi_tokenizer_free(&env, t);
    test_env_free(&env);
}

static void test_literal_prompts_keep_their_brackets(void **state)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *t = small(&env);
    sdi_prompt_options options;
    sdi_prompt_options_init(&options);
    sdi_prompt_chunks plain, literal;
    test_ok(&env, sdi_prompt_chunk(&env, t, &options, "(a)", 3, &plain));
    options.literal = 1;
    test_ok(&env, sdi_prompt_chunk(&env, t, &options, "(a)", 3, &literal));
    assert_int_equal(plain.ids[1], A);
    assert_true(plain.multipliers[1] == 1.1f);
    assert_int_equal(literal.ids[1], EOS); // "(" is not in the vocabulary
    assert_int_equal(literal.ids[2], A);
    assert_true(literal.multipliers[2] == 1);
    sdi_prompt_chunks_free(&env, &plain);
    sdi_prompt_chunks_free(&env, &literal);
    sdi_tokenizer_free(&env, t);
    test_env_free(&env);
}

static void test_extending_appends_empty_chunks(void **state)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *t = small(&env);
    sdi_prompt_options options;
    sdi_prompt_options_init(&options);
    options.pad = 0;
    sdi_prompt_chunks chunks;
    test_ok(&env, sdi_prompt_chunk(&env, t, &options, "a", 1, &chunks));
    test_ok(&env, sdi_prompt_chunks_extend(&env, t, &options, 3, &chunks));
    assert_int_equal(chunks.count, 3);
    assert_memory_equal(chunks.ids + 2 * 77, ((int32_t[]){BOS, EOS, 0, 0}), 4 * sizeof(int32_t));
    for (int i = 77; i < 3 * 77; i++)
        assert_true(chunks.multipliers[i] == 1);
    sdi_prompt_chunks_free(&env, &chunks);
    sdi_tokenizer_free(&env, t);
    test_env_free(&env);
}

static void test_steps_behind_the_last_take_the_last_stage(void **state)
{
    sdi_env env = test_env_new();
    sdi_prompt_schedule schedule;
    test_ok(&env,
            sdi_prompt_parse_schedule(&env, "[a:b:2]", 7, 4, SDI_PROMPT_WHEN_POINT, &schedule));
    assert_string_equal(sdi_prompt_stage_at(&schedule, 1)->text, "a");
    assert_string_equal(sdi_prompt_stage_at(&schedule, 2)->text, "a");
    assert_string_equal(sdi_prompt_stage_at(&schedule, 3)->text, "b");
    assert_string_equal(sdi_prompt_stage_at(&schedule, 9)->text, "b");
    sdi_prompt_schedule_free(&env, &schedule);
    assert_int_equal(sdi_prompt_parse_schedule(&env, "a", 1, 0, SDI_PROMPT_WHEN_POINT, &schedule),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    test_env_free(&env);
}

/* The original reads a group that a colon follows as a group or as characters, by hash seed. */
static void test_groups_are_taken_where_the_original_wavers(void **state)
{
    static const struct {
        const char *text, *first;
    } cases[] = {
        {"a [x:y:3]: c", "a x: c"}, {"[q:[x:y:3]]", "[q:x]"}, {"]]][x:y:3]:::", "]]]x:::"},
        {"(a [x|y]", "(a x"},       {"(a|b)", "(a|b)"},       {"[x:y:3] a\\", "[x:y:3] a\\"},
    };
    sdi_env env = test_env_new();
    for (size_t i = 0; i < SDI_COUNT(cases); i++) {
        sdi_prompt_schedule schedule;
        test_ok(&env, sdi_prompt_parse_schedule(&env, cases[i].text, strlen(cases[i].text), 10,
                                                SDI_PROMPT_WHEN_POINT, &schedule));
        assert_string_equal(schedule.stages[0].text, cases[i].first);
        sdi_prompt_schedule_free(&env, &schedule);
    }
    test_env_free(&env);
}

static void test_too_many_open_brackets_are_refused(void **state)
{
    sdi_env env = test_env_new();
    char text[SDI_PROMPT_DEEPEST + 1];
    memset(text, '[', sizeof text);
    sdi_prompt_parts parts;
    sdi_prompt_schedule schedule;
    test_ok(&env, sdi_prompt_parse_weights(&env, text, sizeof text - 1, &parts));
    sdi_prompt_parts_free(&env, &parts);
    assert_int_equal(sdi_prompt_parse_weights(&env, text, sizeof text, &parts), SDIFF_ERROR_LIMIT);
    assert_int_equal(
        sdi_prompt_parse_schedule(&env, text, sizeof text, 4, SDI_PROMPT_WHEN_POINT, &schedule),
        SDIFF_ERROR_LIMIT);
    test_env_free(&env);
}

/* Texts of the greatest length that invite repeated scanning. */
static void test_the_longest_prompts_take_bounded_time(void **state)
{
    static const char *const units[] = {"(a)", "[a:b:3]", "BREAK ", ":   ",
                                        "\\(", "a AND ",  "[a|b]",  "[x:[y:z:2]]"};
    sdi_env env = test_env_new();
    char *text = malloc(SDI_PROMPT_LONGEST + 1);
    for (size_t u = 0; u < SDI_COUNT(units); u++) {
        for (size_t i = 0; i < SDI_PROMPT_LONGEST + 1; i++)
            text[i] = units[u][i % strlen(units[u])];
        sdi_prompt_parts parts;
        sdi_prompt_schedule schedule;
        test_ok(&env, sdi_prompt_parse_weights(&env, text, SDI_PROMPT_LONGEST, &parts));
        sdi_prompt_parts_free(&env, &parts);
        test_ok(&env, sdi_prompt_split_and(&env, text, SDI_PROMPT_LONGEST, &parts));
        sdi_prompt_parts_free(&env, &parts);
        test_ok(&env, sdi_prompt_parse_schedule(&env, text, SDI_PROMPT_LONGEST, 3,
                                                SDI_PROMPT_WHEN_POINT, &schedule));
        sdi_prompt_schedule_free(&env, &schedule);
        assert_int_equal(sdi_prompt_split_and(&env, text, SDI_PROMPT_LONGEST + 1, &parts),
                         SDIFF_ERROR_LIMIT);
    }
    free(text);
    test_env_free(&env);
}

static sdiff_status run_all(const sdi_env *env, const sdi_tokenizer *t)
{
    static const char text[] = "(a:1.2) [x:b:0.5] x, BREAK [a|b] AND b:0.5";
    const sdi_prompt_embedding embedding = {"x", 3};
    sdi_prompt_options options;
    sdi_prompt_options_init(&options);
    options.embeddings = &embedding;
    options.embedding_count = 1;
    sdi_prompt_parts parts;
    sdi_prompt_schedule schedule;
    sdi_prompt_chunks chunks;
    SDI_TRY(sdi_prompt_split_and(env, text, strlen(text), &parts));
    sdi_prompt_parts_free(env, &parts);
    SDI_TRY(
        sdi_prompt_parse_schedule(env, text, strlen(text), 9, SDI_PROMPT_WHEN_POINT, &schedule));
    sdi_prompt_schedule_free(env, &schedule);
    SDI_TRY(sdi_prompt_chunk(env, t, &options, text, strlen(text), &chunks));
    const sdiff_status status = sdi_prompt_chunks_extend(env, t, &options, 6, &chunks);
    sdi_prompt_chunks_free(env, &chunks);
    return status;
}

static void test_every_failing_allocation_is_survived(void **state)
{
    sdi_env good = test_env_new();
    sdi_tokenizer *t = small(&good);
    uint64_t n = 1;
    for (;; n++) {
        const sdi_mem_params params = {.fail_at = n};
        sdi_env env = test_env_with(&params);
        const sdiff_status status = run_all(&env, t);
        test_env_free(&env);
        if (status == SDIFF_OK)
            break;
        assert_int_equal(status, SDIFF_ERROR_NO_MEMORY);
        assert_true(n < 1000);
    }
    assert_true(n > 20);
    sdi_tokenizer_free(&good, t);
    test_env_free(&good);
}

static void test_decimals_equal_the_compilers(void **state)
{
    static const struct {
        const char *text;
        double value;
        size_t length;
        int exponent;
    } cases[] = {
        {"1.3", 1.3, 3, 0},
        {"-.5x", -.5, 3, 0},
        {"+7.", 7, 3, 0},
        {"0.1", 0.1, 3, 0},
        {"1e3", 1000, 3, 1},
        {"1e3", 1, 1, 0},
        {"2.5e-3)", 2.5e-3, 6, 1},
        {"1e", 1, 1, 1},
        {"0.30000000000000004", 0.30000000000000004, 19, 0},
        {"123456789012345678901234567890", 123456789012345678901234567890.0, 30, 0},
        {".", 0, 0, 0},
        {"-", 0, 0, 0},
        {"", 0, 0, 0},
    };
    for (size_t i = 0; i < SDI_COUNT(cases); i++) {
        int32_t codes[64];
        const size_t count = strlen(cases[i].text);
        for (size_t k = 0; k < count; k++)
            codes[k] = cases[i].text[k];
        double value = 0;
        assert_int_equal(sdi_read_decimal(codes, count, cases[i].exponent, &value),
                         cases[i].length);
        assert_true(value == cases[i].value);
    }
}

static void test_emphasis_follows_its_formulas(void **state)
{
    const float z[6] = {1, 2, 3, 4, -2, 5}, empty[6] = {0, 1, 0, 1, 0, 1};
    const float multipliers[3] = {1, 2, 0.5f};
    float out[6];
    memcpy(out, z, sizeof z);
    sdi_emphasis_apply(SDI_EMPHASIS_INTERPOLATE, out, multipliers, empty, 1, 3, 2);
    assert_memory_equal(out, ((float[]){1, 2, 6, 7, -1, 3}), sizeof out);
    memcpy(out, z, sizeof z);
    sdi_emphasis_apply(SDI_EMPHASIS_NO_NORM, out, multipliers, NULL, 1, 3, 2);
    assert_memory_equal(out, ((float[]){1, 2, 6, 8, -1, 2.5f}), sizeof out);
    memcpy(out, z, sizeof z);
    sdi_emphasis_apply(SDI_EMPHASIS_ORIGINAL, out, multipliers, NULL, 1, 3, 2);
    const float by = (float)(13 / 18.5);
    assert_memory_equal(out, ((float[]){by, 2 * by, 6 * by, 8 * by, -by, 2.5f * by}), sizeof out);
}

static void test_weights_of_one_keep_every_bit(void **state)
{
    float z[77 * 8], out[77 * 8], ones[77];
    for (int i = 0; i < 77 * 8; i++)
        z[i] = (float)((i * 7919) % 1000) / 333.0f - 1.5f;
    for (int i = 0; i < 77; i++)
        ones[i] = 1;
    for (int mode = SDI_EMPHASIS_ORIGINAL; mode <= SDI_EMPHASIS_IGNORE; mode++) {
        memcpy(out, z, sizeof z);
        sdi_emphasis_apply((sdi_emphasis)mode, out, ones, z, 1, 77, 8);
        assert_memory_equal(out, z, sizeof z);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embeddings_move_with_what_follows_the_comma),
        cmocka_unit_test(test_an_embedding_larger_than_a_chunk_is_refused),
        cmocka_unit_test(test_literal_prompts_keep_their_brackets),
        cmocka_unit_test(test_extending_appends_empty_chunks),
        cmocka_unit_test(test_steps_behind_the_last_take_the_last_stage),
        cmocka_unit_test(test_groups_are_taken_where_the_original_wavers),
        cmocka_unit_test(test_too_many_open_brackets_are_refused),
        cmocka_unit_test(test_the_longest_prompts_take_bounded_time),
        cmocka_unit_test(test_every_failing_allocation_is_survived),
        cmocka_unit_test(test_decimals_equal_the_compilers),
        cmocka_unit_test(test_emphasis_follows_its_formulas),
        cmocka_unit_test(test_weights_of_one_keep_every_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
