/* SPDX-License-Identifier: MIT */
#include "test_io_cases.h"

#include "io/json.h"

/* Only what JSON itself forbids: the values are the business of those who ask for them. */
static void check_syntax(const bad_case *c)
{
    static const char *const broken[] = {
        "config-truncated.json", "config-empty.json",       "config-trailing.json",
        "config-utf16.json",     "config-nested-100k.json", "config-number-huge.json",
        "config-infinity.json",  "config-duplicate-key.json"};
    sdi_env env = test_env_new();
    json_t *value = NULL;
    const sdiff_status status = sdi_json_parse_file(&env, c->path, &value);
    int expected = SDIFF_OK;
    for (size_t i = 0; i < SDI_COUNT(broken); i++)
        if (strcmp(c->file, broken[i]) == 0)
            expected = SDIFF_ERROR_FORMAT;
    if (status != expected)
        fail_msg("%s: status %d, %s", c->file, (int)status, test_error(&env));
    if (status != SDIFF_OK)
        assert_non_null(strstr(test_error(&env), c->file));
    json_decref(value);
    test_env_free(&env);
}

static void test_the_syntax_of_every_configuration_is_judged(void **state)
{
    assert_true(for_each_bad("config-", check_syntax) >= 40);
}

/* Short text may not become long lists: 6 MB of "{}," would be half a gigabyte. */
static void test_too_many_values_are_refused(void **state)
{
    enum { VALUES = 2000000, ROOM = 3 * VALUES + 4 };
    sdi_env env = test_env_new();
    json_t *value = NULL;
    char *text = malloc(ROOM);
    assert_non_null(text);
    text[0] = '[';
    for (size_t i = 0; i < VALUES; i++)
        memcpy(text + 1 + 3 * i, "{},", 3);
    memcpy(text + 1 + 3 * VALUES - 1, "]", 1);
    assert_int_equal(sdi_json_parse(&env, "here", text, 1 + 3 * VALUES, &value),
                     SDIFF_ERROR_LIMIT);
    assert_null(value);
    memcpy(text, "[\"\\\"", 4); // in a string it is one value
    memset(text + 4, ',', VALUES);
    memcpy(text + 4 + VALUES, "\"]", 2);
    test_ok(&env, sdi_json_parse(&env, "here", text, VALUES + 6, &value));
    json_decref(value);
    free(text);
    test_env_free(&env);
}

/* A parser that goes down with the text needs the stack for it. */
static void test_deep_nesting_is_refused(void **state)
{
    sdi_env env = test_env_new();
    char text[400];
    json_t *value = NULL;
    memset(text, '[', 200);
    memset(text + 200, ']', 200);
    assert_int_equal(sdi_json_parse(&env, "here", text, 400, &value), SDIFF_ERROR_FORMAT);
    assert_string_equal(test_error(&env), "here: is JSON nested more than 64 levels deep");
    test_ok(&env, sdi_json_parse(&env, "here", text + 136, 128, &value));
    json_decref(value);
    test_env_free(&env);
}

static json_t *parse(const sdi_env *env, const char *text)
{
    json_t *value = NULL;
    test_ok(env, sdi_json_parse(env, "here", text, strlen(text), &value));
    return value;
}

static void test_members_are_read_and_absent_ones_left(void **state)
{
    sdi_env env = test_env_new();
    json_t *o = parse(&env, "\xef\xbb\xbf{\"i\": 7, \"r\": 0.5, \"b\": true, \"s\": \"x\", "
                            "\"l\": [1, 2, 3], \"n\": null}");
    int64_t i = -1, list[4] = {0};
    double r = -1;
    int b = -1;
    const char *s = "unset";
    int32_t count = -1;
    test_ok(&env, sdi_json_get_int(&env, "here", o, "i", 0, 10, &i));
    test_ok(&env, sdi_json_get_real(&env, "here", o, "r", &r));
    test_ok(&env, sdi_json_get_bool(&env, "here", o, "b", &b));
    test_ok(&env, sdi_json_get_string(&env, "here", o, "s", &s));
    test_ok(&env, sdi_json_get_ints(&env, "here", o, "l", 0, 10, 4, list, &count));
    assert_true(i == 7 && r == 0.5 && b == 1 && count == 3 && list[2] == 3);
    assert_string_equal(s, "x");
    test_ok(&env, sdi_json_get_ints(&env, "here", o, "i", 0, 10, 4, list, &count));
    assert_true(count == 1 && list[0] == 7);
    test_ok(&env, sdi_json_get_real(&env, "here", o, "i", &r));
    assert_true(r == 7);
    test_ok(&env, sdi_json_get_int(&env, "here", o, "n", 0, 10, &i));
    test_ok(&env, sdi_json_get_string(&env, "here", o, "absent", &s));
    assert_true(i == 7 && strcmp(s, "x") == 0);
    json_decref(o);
    test_env_free(&env);
}

static void test_wrong_members_are_named_with_what_was_found(void **state)
{
    sdi_env env = test_env_new();
    json_t *o = parse(&env, "{\"i\": 11, \"f\": 1.5, \"s\": \"yes\", \"l\": [1, 2, \"x\"]}");
    int64_t i = 3, list[3] = {0};
    int b = 0;
    int32_t count = 0;
    const char *s = NULL;
    assert_int_equal(sdi_json_get_int(&env, "here", o, "i", 0, 10, &i), SDIFF_ERROR_FORMAT);
    assert_string_equal(test_error(&env), "here: 'i' is 11, 0 to 10 was needed");
    assert_int_equal(sdi_json_get_int(&env, "here", o, "f", 0, 10, &i), SDIFF_ERROR_FORMAT);
    assert_int_equal(sdi_json_get_bool(&env, "here", o, "s", &b), SDIFF_ERROR_FORMAT);
    assert_string_equal(test_error(&env), "here: 's' is a string, true or false was needed");
    assert_int_equal(sdi_json_get_string(&env, "here", o, "i", &s), SDIFF_ERROR_FORMAT);
    assert_int_equal(sdi_json_get_ints(&env, "here", o, "l", 0, 9, 3, list, &count),
                     SDIFF_ERROR_FORMAT);
    assert_int_equal(sdi_json_get_ints(&env, "here", o, "l", 0, 9, 2, list, &count),
                     SDIFF_ERROR_FORMAT);
    assert_non_null(strstr(test_error(&env), "at most 2"));
    assert_true(i == 3 && count == 0);
    json_decref(o);
    test_env_free(&env);
}

static void test_nul_and_trailing_bytes_are_refused(void **state)
{
    static const char *const texts[] = {"{\"a\\u0000\": 1}", "{} x", "{\"a\": NaN}", "[1,]", "7",
                                        "{\"a\": \"\\ud800\"}", "{\"a\": \"\xff\"}", "   "};
    sdi_env env = test_env_new();
    for (size_t i = 0; i < SDI_COUNT(texts); i++) {
        json_t *value = NULL;
        assert_int_equal(sdi_json_parse(&env, "here", texts[i], strlen(texts[i]), &value),
                         SDIFF_ERROR_FORMAT);
        assert_null(value);
    }
    json_t *value = NULL;
    assert_int_equal(sdi_json_parse(&env, "here", "{}\0", 3, &value), SDIFF_ERROR_FORMAT);
    test_env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_too_many_values_are_refused),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_the_syntax_of_every_configuration_is_judged),
        cmocka_unit_test(test_members_are_read_and_absent_ones_left),
        cmocka_unit_test(test_wrong_members_are_named_with_what_was_found),
        cmocka_unit_test(test_nul_and_trailing_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
