/* SPDX-License-Identifier: MIT
 *
 * Names and masks of kernel sets.
 */
#include "support.h"

#include "kernel/kernel.h"

static void test_sets_are_read_from_their_names(void **state)
{
    static const struct {
        const char *list;
        uint32_t mask;
    } good[] = {
        {"ref", 0},
        {"openblas", SDI_SET_OPENBLAS},
        {"ref,openblas", SDI_SET_OPENBLAS},
        {"avx2,avx512", SDI_SET_AVX2 | SDI_SET_AVX512},
        {"ref,openblas,avx2,avx512,avx512bf16,amx",
         SDI_SET_OPENBLAS | SDI_SET_AVX2 | SDI_SET_AVX512 | SDI_SET_AVX512_BF16 | SDI_SET_AMX_BF16},
        {"all", SDI_SET_ALL},
    };
    sdi_env env = test_env_new();
    for (size_t i = 0; i < SDI_COUNT(good); i++) {
        uint32_t mask = 99;
        test_ok(&env, sdi_kernel_sets_parse(&env, good[i].list, &mask));
        assert_int_equal(mask, good[i].mask);
    }
    test_env_free(&env);
}

static void test_unknown_sets_are_refused_by_name(void **state)
{
    static const char *const bad[] = {"",      "sse",  "avx",       "ref,",         ",ref",
                                      "avx2 ", "AVX2", "avx2,,ref", "openblas,neon"};
    sdi_env env = test_env_new();
    for (size_t i = 0; i < SDI_COUNT(bad); i++) {
        uint32_t mask;
        assert_int_equal(sdi_kernel_sets_parse(&env, bad[i], &mask), SDIFF_ERROR_INVALID_ARGUMENT);
        assert_non_null(strstr(test_error(&env), "avx512bf16"));
    }
    test_env_free(&env);
}

static void test_tables_are_complete_and_named(void **state)
{
    for (uint32_t mask = 0; mask < 64; mask++) {
        for (int bf16 = 0; bf16 < 2; bf16++) {
            sdi_kernels k;
            sdi_kernels_init(&k, mask, bf16 ? SDI_BF16 : SDI_F32);
            assert_non_null(strstr(k.names, "ref"));
            assert_int_equal(strstr(k.names, "openblas") != NULL, (mask & SDI_SET_OPENBLAS) != 0);
            assert_int_equal(k.operand, bf16 ? SDI_BF16 : SDI_F32);
            assert_true(k.row_multiple >= 1);
            assert_true(k.pack_bytes && k.pack && k.unpack && k.linear && k.linear_scratch);
            assert_true(k.conv && k.conv_scratch && k.attention && k.attention_scratch);
            assert_true(k.group_norm && k.group_norm_scratch && k.layer_norm && k.map);
            assert_true(k.convert_to_f32);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets_are_read_from_their_names),
        cmocka_unit_test(test_unknown_sets_are_refused_by_name),
        cmocka_unit_test(test_tables_are_complete_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
