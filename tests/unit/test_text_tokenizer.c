/* SPDX-License-Identifier: MIT
 *
 * The tokenizer on small vocabularies made here, and its promises about errors and memory.
 */
#include "support.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static const char vocab[] = "{\"a\":0,\"b\":1,\"c\":2,\"a</w>\":3,\"b</w>\":4,\"c</w>\":5,\"ab\":6,"
                            "\"ab</w>\":7,\"<|startoftext|>\":8,\"<|endoftext|>\":9}";
static const char merges[] = "#version: 0.2\na b\na b</w>\n";

static sdiff_status small(const sdi_env *env, const char *v, const char *m, sdi_tokenizer **out)
{
    return sdi_tokenizer_new_hf(env, "v", v, strlen(v), "m", m, strlen(m), out);
}

static void expect_ids(const sdi_env *env, const sdi_tokenizer *t, sdi_tokenizer_variant variant,
                       const char *text, int count, const int *want)
{
    sdi_ids ids = {0};
    test_ok(env, sdi_tokenizer_encode(env, t, variant, text, strlen(text), &ids));
    assert_int_equal(ids.count, count);
    for (int i = 0; i < count; i++)
        assert_int_equal(ids.ids[i], want[i]);
    sdi_ids_free(env, &ids);
}

static void test_merges_apply_by_rank_from_the_left(void **state)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *t = NULL;
    test_ok(&env, small(&env, vocab, merges, &t));
    assert_int_equal(sdi_tokenizer_vocab_size(t), 10);
    assert_int_equal(sdi_tokenizer_bos(t), 8);
    assert_int_equal(sdi_tokenizer_eos(t), 9);
    expect_ids(&env, t, SDI_TOKENIZER_HF_FAST, "AB  abab\tac", 5, (int[]){7, 6, 7, 0, 5});
    expect_ids(&env, t, SDI_TOKENIZER_HF_FAST, "", 0, NULL);
    sdi_tokenizer_free(&env, t);
    test_env_free(&env);
}

static void test_bytes_that_the_vocabulary_lacks_are_eos(void **state)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *t = NULL;
    test_ok(&env, small(&env, vocab, merges, &t));
    expect_ids(&env, t, SDI_TOKENIZER_HF_FAST, "xab", 2, (int[]){9, 7});
    sdi_tokenizer_free(&env, t);
    test_env_free(&env);
}

static void test_specials_in_the_text_depend_on_the_variant(void **state)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *t = NULL;
    test_ok(&env, small(&env, vocab, merges, &t));
    for (int v = 0; v < 3; v++)
        expect_ids(&env, t, (sdi_tokenizer_variant)v, "a<|endoftext|>b <|STARToftext|>", 4,
                   (int[]){3, 9, 4, 8});
    /* "<|", "endoftext", "|>" as words of unknown bytes */
    sdi_ids ids = {0};
    test_ok(&env, sdi_tokenizer_encode(&env, t, SDI_TOKENIZER_HF_FAST, "<|EndOfText|>", 13, &ids));
    assert_int_equal(ids.count, 13);
    sdi_ids_free(&env, &ids);
    expect_ids(&env, t, SDI_TOKENIZER_OPENAI, "<|EndOfText|>", 1, (int[]){9});
    sdi_tokenizer_free(&env, t);
    test_env_free(&env);
}

static void test_frame_cuts_and_pads(void **state)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *t = NULL;
    test_ok(&env, small(&env, vocab, merges, &t));
    sdi_ids ids = {0};
    test_ok(&env, sdi_tokenizer_encode(&env, t, SDI_TOKENIZER_HF_FAST, "a b c", 5, &ids));
    int32_t out[6];
    assert_int_equal(sdi_tokenizer_frame(t, &ids, 2, 6, out), 0);
    assert_memory_equal(out, ((int32_t[]){8, 3, 4, 5, 9, 2}), sizeof out);
    assert_int_equal(sdi_tokenizer_frame(t, &ids, 2, 4, out), 1);
    assert_memory_equal(out, ((int32_t[]){8, 3, 4, 9}), 4 * sizeof *out);
    sdi_ids_free(&env, &ids);
    sdi_tokenizer_free(&env, t);
    test_env_free(&env);
}

static void test_errors_name_file_and_cause(void **state)
{
    static const struct {
        const char *vocab, *merges, *says;
    } cases[] = {
        {"{}", merges, "v: a vocabulary is an object"},
        {"[1]", merges, "v: a vocabulary is an object"},
        {"{\"a\":-1}", merges, "token 'a'"},
        {"{\"a\":1099511627776}", merges, "token 'a'"},
        {"{\"a\":\"1\"}", merges, "token 'a'"},
        {"{\"a\":1,\"b\":1}", merges, "id 1"},
        {"{\"a\":1,\"<|startoftext|>\":2}", merges, "'<|endoftext|>'"},
        {vocab, "", "m: empty"},
        {vocab, "#version\na b\nc\n", "line 3"},
        {vocab, "a b\na b c\n", "line 2"},
        {vocab, "a b\nb c\n", "'bc', which v lacks"},
    };
    sdi_env env = test_env_new();
    for (size_t i = 0; i < SDI_COUNT(cases); i++) {
        sdi_tokenizer *t = NULL;
        assert_int_equal(small(&env, cases[i].vocab, cases[i].merges, &t), SDIFF_ERROR_FORMAT);
        assert_null(t);
        if (!strstr(test_error(&env), cases[i].says))
            fail_msg("'%s' lacks '%s'", test_error(&env), cases[i].says);
    }
    test_env_free(&env);
}

static void test_a_path_without_tokenizer_tells_what_was_sought(void **state)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *t = NULL;
    assert_int_equal(sdi_tokenizer_open(&env, "/", &t), SDIFF_ERROR_IO);
    assert_non_null(strstr(test_error(&env), "vocab.json"));
    assert_int_equal(sdi_tokenizer_open(&env, "/nowhere/at/all", &t), SDIFF_ERROR_IO);
    assert_null(t);
    test_env_free(&env);
}

/* Runs construction and encoding with the n-th allocation failing; true once nothing failed. */
static int survives(uint64_t n)
{
    const sdi_mem_params params = {.fail_at = n};
    sdi_env env = test_env_with(&params);
    sdi_tokenizer *t = NULL;
    sdi_ids ids = {0};
    sdiff_status status = small(&env, vocab, merges, &t);
    static const char text[] = "AB \xc3\x84\xcc\x88\xcc\xa3 &amp; \xc4\xb0\xce\xa3 <|endoftext|>";
    for (int v = 0; v < 3 && status == SDIFF_OK; v++)
        status = sdi_tokenizer_encode(&env, t, (sdi_tokenizer_variant)v, text, strlen(text), &ids);
    assert_true(status == SDIFF_OK || status == SDIFF_ERROR_NO_MEMORY);
    sdi_ids_free(&env, &ids);
    sdi_tokenizer_free(&env, t);
    test_env_free(&env);
    return status == SDIFF_OK;
}

static void test_every_failing_allocation_is_survived(void **state)
{
    uint64_t n = 1;
    while (!survives(n))
        assert_true(++n < 200);
    assert_true(n > 10);
}

/* A word of 2^20 equal letters, and as many combining marks in falling order. */
static void test_long_words_take_linear_time(void **state)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *t = NULL;
    test_ok(&env, small(&env, vocab, merges, &t));
    enum { LENGTH = 1 << 20 };
    char *text = malloc(LENGTH);
    for (int i = 0; i < LENGTH; i++)
        text[i] = i % 2 ? 'b' : 'a';
    sdi_ids ids = {0};
    test_ok(&env, sdi_tokenizer_encode(&env, t, SDI_TOKENIZER_HF_FAST, text, LENGTH, &ids));
    assert_int_equal(ids.count, LENGTH / 2);
    for (int i = 0; i < LENGTH; i += 4)
        memcpy(text + i, "\xcc\x81\xcc\xa3", 4); // classes 230, 220
    test_ok(&env, sdi_tokenizer_encode(&env, t, SDI_TOKENIZER_HF_FAST, text, LENGTH, &ids));
    free(text);
    sdi_ids_free(&env, &ids);
    sdi_tokenizer_free(&env, t);
    test_env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merges_apply_by_rank_from_the_left),
        cmocka_unit_test(test_bytes_that_the_vocabulary_lacks_are_eos),
        cmocka_unit_test(test_specials_in_the_text_depend_on_the_variant),
        cmocka_unit_test(test_frame_cuts_and_pads),
        cmocka_unit_test(test_errors_name_file_and_cause),
        cmocka_unit_test(test_a_path_without_tokenizer_tells_what_was_sought),
        cmocka_unit_test(test_every_failing_allocation_is_survived),
        cmocka_unit_test(test_long_words_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
