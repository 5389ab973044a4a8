/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <string.h>

static void test_a_size_that_overflows_is_refused(void **state)
{
    sdi_env env = test_env_new();
    assert_null(sdi_alloc(&env, UINT64_MAX / 2, 3));
    assert_non_null(strstr(test_error(&env), "not possible"));
    test_env_free(&env);
}

static void test_the_limit_holds_and_is_told(void **state)
{
    const sdi_mem_params params = {.limit = 10000};
    sdi_env env = test_env_with(&params);
    void *a = sdi_alloc(&env, 6000, 1);
    assert_non_null(a);
    assert_null(sdi_alloc(&env, 6000, 1));
    assert_int_equal(env.error->status, SDIFF_ERROR_NO_MEMORY);
    assert_non_null(strstr(test_error(&env), "the limit is 10000"));
    sdi_free(&env, a);
    assert_true(sdi_mem_peak(env.mem) >= 6000 && sdi_mem_peak(env.mem) < 10000);
    test_env_free(&env);
}

static void test_blocks_are_aligned_and_keep_their_bytes(void **state)
{
    sdi_env env = test_env_new();
    char *a = sdi_alloc(&env, 100, 1);
    memset(a, 7, 100);
    a = sdi_realloc(&env, a, 5000, 1);
    assert_int_equal((uintptr_t)a % 64, 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(a[i], 7);
    sdi_free(&env, a);
    sdi_free(&env, NULL);
    test_env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_size_that_overflows_is_refused),
        cmocka_unit_test(test_the_limit_holds_and_is_told),
        cmocka_unit_test(test_blocks_are_aligned_and_keep_their_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
