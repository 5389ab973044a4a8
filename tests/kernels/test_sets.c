/* SPDX-License-Identifier: MIT
 *
 * Names and masks of kernel sets.
 */
#include "support.h"

#include "kernel/kernel.h"
#include "kernel/x86/x86.h"

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

#if defined(__x86_64__)

enum {
    MACHINE_SSE2 = 0,
    MACHINE_AVX2 = SDI_SET_AVX2,
    MACHINE_AVX512 = MACHINE_AVX2 | SDI_SET_AVX512,
    MACHINE_BF16 = MACHINE_AVX512 | SDI_SET_AVX512_BF16,
    MACHINE_AMX = MACHINE_BF16 | SDI_SET_AMX_BF16
};

/* Bits as in the manuals of the makers. */
static x86_cpu machine(const char *maker, uint32_t sets)
{
    x86_cpu c;
    memset(&c, 0, sizeof c);
    memcpy(c.maker, maker, sizeof c.maker);
    c.one_ecx = 1u << 27; // OSXSAVE
    c.xcr0 = 0x7;
    if (sets & SDI_SET_AVX2) {
        c.one_ecx |= 1u << 28 | 1u << 12 | 1u << 29;
        c.seven_ebx |= 1u << 5;
    }
    if (sets & SDI_SET_AVX512) {
        c.seven_ebx |= 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
        c.xcr0 |= 0xe0;
    }
    if (sets & SDI_SET_AVX512_BF16)
        c.seven1_eax |= 1u << 5;
    if (sets & SDI_SET_AMX_BF16) {
        c.seven_edx |= 1u << 22 | 1u << 24;
        c.xcr0 |= 0x60000;
        c.tiles = 8;
        c.tile_rows = c.product_k = 16;
        c.tile_row_bytes = c.product_row_bytes = 64;
    }
    return c;
}

static void test_sets_follow_from_the_cpu(void **state)
{
    const uint32_t machines[] = {MACHINE_SSE2, MACHINE_AVX2, MACHINE_AVX512, MACHINE_BF16,
                                 MACHINE_AMX};
    (void)state;
    for (size_t i = 0; i < SDI_COUNT(machines); i++) {
        const x86_cpu c = machine("GenuineIntel", machines[i]);
        assert_int_equal(sdi_x86_sets_of(&c), machines[i]);
    }
    const x86_cpu here = sdi_x86_cpu();
    assert_int_equal(sdi_x86_sets_available(MACHINE_BF16), sdi_x86_sets_of(&here) & MACHINE_BF16);
    assert_int_equal(sdi_x86_sets_available(0), 0);
}

/* Any one of these missing means no tiles, and the rest stays. */
static void test_tiles_need_every_condition(void **state)
{
    (void)state;
    x86_cpu c[10];
    for (size_t i = 0; i < SDI_COUNT(c); i++)
        c[i] = machine("GenuineIntel", MACHINE_AMX);
    c[0].seven_edx = 1u << 22; // bf16 products without tiles
    c[1].seven_edx = 1u << 24;
    c[2].xcr0 &= ~0x20000u; // the system saves no configuration
    c[3].xcr0 &= ~0x40000u; // no tile data
    c[4].tiles = 4;
    c[5].tile_rows = 8;
    c[6].tile_row_bytes = 32;
    c[7].product_k = 8;
    c[8].product_row_bytes = 32;
    c[9].tiles = c[9].tile_rows = c[9].tile_row_bytes = 0; // no palette 1
    for (size_t i = 0; i < SDI_COUNT(c); i++)
        assert_int_equal(sdi_x86_sets_of(&c[i]), MACHINE_BF16);
    c[0] = machine("GenuineIntel", MACHINE_AMX);
    c[0].xcr0 = 0x7; // registers of AVX alone
    assert_int_equal(sdi_x86_sets_of(&c[0]), MACHINE_AVX2);
    c[0].one_ecx &= ~(1u << 27);
    assert_int_equal(sdi_x86_sets_of(&c[0]), 0);
}

/* What compute type `auto` takes; tiles without permission are no tiles. */
static void test_auto_takes_bf16_where_it_is_fast(void **state)
{
    static const struct {
        const char *maker;
        uint32_t cpu, permitted;
        int bf16;
    } cases[] = {
        {"GenuineIntel", MACHINE_AMX, SDI_SET_ALL, 1},
        {"GenuineIntel", MACHINE_AMX, ~(uint32_t)SDI_SET_AMX_BF16, 0},
        {"GenuineIntel", MACHINE_BF16, SDI_SET_ALL, 0},
        {"AuthenticAMD", MACHINE_BF16, SDI_SET_ALL, 1},
        {"AuthenticAMD", MACHINE_BF16, ~(uint32_t)SDI_SET_AVX512_BF16, 0},
        {"AuthenticAMD", MACHINE_AVX512, SDI_SET_ALL, 0},
        {"GenuineIntel", MACHINE_AVX512, SDI_SET_ALL, 0},
        {"AuthenticAMD", MACHINE_AVX2, SDI_SET_ALL, 0},
        {"GenuineIntel", MACHINE_SSE2, SDI_SET_ALL, 0},
    };
    (void)state;
    for (size_t i = 0; i < SDI_COUNT(cases); i++) {
        const x86_cpu c = machine(cases[i].maker, cases[i].cpu);
        const uint32_t sets = sdi_x86_sets_of(&c) & cases[i].permitted;
        assert_int_equal(sdi_kernels_prefer_bf16_on(sets, sdi_x86_bf16_dots_are_fast(&c)),
                         cases[i].bf16);
    }
}

/* The highest set alone gives the same products as with all lower ones named. */
static void test_a_set_brings_what_it_stands_on(void **state)
{
    static const uint32_t steps[] = {MACHINE_AVX2, MACHINE_AVX512, MACHINE_BF16, MACHINE_AMX};
    (void)state;
    for (size_t i = 0; i < SDI_COUNT(steps); i++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            sdi_kernels alone, all;
            sdi_kernels_init(&alone, 0, bf16 ? SDI_BF16 : SDI_F32);
            all = alone;
            sdi_kernels_init_x86(&alone, steps[i] & ~(steps[i] >> 1));
            sdi_kernels_init_x86(&all, steps[i]);
            assert_memory_equal(&alone, &all, sizeof all);
        }
}

/* A table that is filled for tiles and not run: the pointers alone. */
static void test_tiles_serve_all_bf16_products(void **state)
{
    sdi_kernels lower, tiles;
    (void)state;
    sdi_kernels_init(&lower, 0, SDI_BF16);
    tiles = lower;
    sdi_kernels_init_x86(&lower, MACHINE_BF16);
    sdi_kernels_init_x86(&tiles, SDI_SET_AMX_BF16);
    assert_true(tiles.linear != lower.linear && tiles.conv != lower.conv);
    assert_true(tiles.attention != lower.attention && tiles.pack == lower.pack);
}

/* Products of split numbers: on vdpbf16ps and on tiles, with a packing of their own; the rest of a
 * table stays as it was. */
static void test_split_products_replace_products_alone(void **state)
{
    static const uint32_t sets[] = {MACHINE_BF16, MACHINE_AMX, SDI_SET_AMX_BF16};
    sdi_kernels plain, split, before;
    (void)state;
    sdi_kernels_init(&plain, 0, SDI_F32);
    assert_string_equal(sdi_kernels_compute(&plain), "f32");
    for (size_t i = 0; i < SDI_COUNT(sets); i++) {
        split = plain;
        sdi_kernels_split_x86(&split, sets[i]);
        assert_string_equal(sdi_kernels_compute(&split), "bf16x3");
        assert_true(split.linear != plain.linear && split.conv != plain.conv);
        assert_true(split.pack != plain.pack && split.unpack != plain.unpack);
        assert_true(split.attention == plain.attention && split.map == plain.map);
        assert_int_equal(i > 0 && split.linear != before.linear, i == 1); // tiles, once
        before = split;
    }
    split = plain;
    sdi_kernels_split_x86(&split, MACHINE_AVX512);
    assert_memory_equal(&split, &plain, sizeof plain);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets_are_read_from_their_names),
        cmocka_unit_test(test_unknown_sets_are_refused_by_name),
        cmocka_unit_test(test_tables_are_complete_and_named),
#if defined(__x86_64__)
        cmocka_unit_test(test_sets_follow_from_the_cpu),
        cmocka_unit_test(test_tiles_need_every_condition),
        cmocka_unit_test(test_auto_takes_bf16_where_it_is_fast),
        cmocka_unit_test(test_a_set_brings_what_it_stands_on),
        cmocka_unit_test(test_tiles_serve_all_bf16_products),
        cmocka_unit_test(test_split_products_replace_products_alone),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
