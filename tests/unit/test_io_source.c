/* SPDX-License-Identifier: MIT */
#include "test_io_cases.h"

#include <unistd.h>

static void make_file(char *path, const char *text)
{
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, strlen(text)), strlen(text));
    close(descriptor);
}

static void test_a_mapped_file_gives_its_bytes(void **state)
{
    sdi_env env = test_env_new();
    char path[] = "/tmp/sdiff-source-XXXXXX";
    make_file(path, "0123456789");
    sdi_source *source = NULL;
    test_ok(&env, sdi_source_open_path(&env, path, &source));
    assert_int_equal(sdi_source_size(source), 10);
    assert_string_equal(sdi_source_name(source), path);
    assert_memory_equal(sdi_source_bytes(source), "0123456789", 10);
    char part[3];
    test_ok(&env, sdi_source_read(&env, source, 7, part, 3));
    assert_memory_equal(part, "789", 3);
    assert_int_equal(sdi_source_read(&env, source, 8, part, 3), SDIFF_ERROR_FORMAT);
    assert_non_null(strstr(test_error(&env), "3 bytes at offset 8"));
    assert_int_equal(sdi_source_read(&env, source, UINT64_MAX, part, 2), SDIFF_ERROR_FORMAT);
    sdi_source_ref(source);
    sdi_source_unref(&env, source);
    assert_int_equal(sdi_source_bytes(source)[9], '9');
    sdi_source_unref(&env, source);
    unlink(path);
    test_env_free(&env);
}

static void test_what_is_no_file_is_refused_with_the_reason(void **state)
{
    sdi_env env = test_env_new();
    sdi_source *source = NULL;
    assert_int_equal(sdi_source_open_path(&env, "/tmp/no/such/file", &source), SDIFF_ERROR_IO);
    assert_non_null(strstr(test_error(&env), "/tmp/no/such/file"));
    assert_non_null(strstr(test_error(&env), "No such file"));
    assert_int_equal(sdi_source_open_path(&env, "/tmp", &source), SDIFF_ERROR_IO);
    assert_non_null(strstr(test_error(&env), "is a folder"));
    assert_int_equal(sdi_source_open_path(&env, "/dev/null", &source), SDIFF_ERROR_IO);
    assert_non_null(strstr(test_error(&env), "not a regular file"));
    assert_null(source);
    test_env_free(&env);
}

static void test_a_reader_is_asked_only_inside_and_its_failure_told(void **state)
{
    sdi_env env = test_env_new();
    read_user user = {.bytes = (const unsigned char *)"abcdef", .size = 6, .fail_at = 2};
    sdi_source *source = NULL;
    test_ok(&env, sdi_source_open_reader(&env, read_bytes, &user, user.size, &source));
    assert_null(sdi_source_bytes(source));
    const unsigned char *bytes = NULL;
    void *owned = NULL;
    test_ok(&env, sdi_source_view(&env, source, 2, 3, &bytes, &owned));
    assert_memory_equal(bytes, "cde", 3);
    sdi_free(&env, owned);
    assert_int_equal(sdi_source_view(&env, source, 2, 3, &bytes, &owned), SDIFF_ERROR_IO);
    assert_null(owned);
    assert_int_equal(sdi_source_view(&env, source, 5, 2, &bytes, &owned), SDIFF_ERROR_FORMAT);
    assert_int_equal(user.calls, 2);
    sdi_source_unref(&env, source);
    test_env_free(&env);
}

static void test_a_small_file_ends_with_nul_and_has_a_limit(void **state)
{
    sdi_env env = test_env_new();
    char path[] = "/tmp/sdiff-small-XXXXXX";
    make_file(path, "hello");
    char *text = NULL;
    size_t size = 0;
    test_ok(&env, sdi_read_small_file(&env, path, 5, &text, &size));
    assert_int_equal(size, 5);
    assert_string_equal(text, "hello");
    sdi_free(&env, text);
    assert_int_equal(sdi_read_small_file(&env, path, 4, &text, &size), SDIFF_ERROR_LIMIT);
    assert_null(text);
    unlink(path);
    test_env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mapped_file_gives_its_bytes),
        cmocka_unit_test(test_what_is_no_file_is_refused_with_the_reason),
        cmocka_unit_test(test_a_reader_is_asked_only_inside_and_its_failure_told),
        cmocka_unit_test(test_a_small_file_ends_with_nul_and_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
