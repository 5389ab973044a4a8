/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "tensor/dtype.h"

#include <math.h>

static void test_every_half_survives_a_round_trip(void **state)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float value = sdi_f16_to_f32((uint16_t)h);
        if (isnan(value))
            assert_true(isnan(sdi_f16_to_f32(sdi_f32_to_f16(value))));
        else
            assert_int_equal(sdi_f32_to_f16(value), h);
    }
}

static void test_halves_round_to_nearest_even(void **state)
{
    assert_int_equal(sdi_f32_to_f16(1.0f + 0x1p-11f), 0x3c00);          // tie: to even
    assert_int_equal(sdi_f32_to_f16(1.0f + 3 * 0x1p-11f), 0x3c02);      // tie: to even
    assert_int_equal(sdi_f32_to_f16(1.0f + 0x1.004p-11f), 0x3c01);      // above the tie
    assert_int_equal(sdi_f32_to_f16(65519.0f), 0x7bff);                 // largest half
    assert_int_equal(sdi_f32_to_f16(65520.0f), 0x7c00);                 // rounds to infinity
    assert_int_equal(sdi_f32_to_f16(-0x1p-24f), 0x8001);                // smallest subnormal
    assert_int_equal(sdi_f32_to_f16(0x1p-25f), 0);                      // tie: to even
    assert_int_equal(sdi_f32_to_f16(0x1.8p-25f), 1);
}

static void test_brain_floats_round_to_nearest_even(void **state)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float value = sdi_bf16_to_f32((uint16_t)h);
        if (!isnan(value))
            assert_int_equal(sdi_f32_to_bf16(value), h);
    }
    assert_int_equal(sdi_f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);
    assert_int_equal(sdi_f32_to_bf16(1.0f + 3 * 0x1p-8f), 0x3f82);
    assert_true(isnan(sdi_bf16_to_f32(sdi_f32_to_bf16(NAN))));
}

static void test_conversions_need_no_alignment(void **state)
{
    unsigned char bytes[1 + 4 * 2] = {0, 0x00, 0x3c, 0x00, 0xc0, 0x00, 0x38, 0x01, 0x00};
    float out[4];
    sdi_convert_to_f32(out, bytes + 1, SDI_F16, 4);
    assert_true(out[0] == 1.0f && out[1] == -2.0f && out[2] == 0.5f && out[3] == 0x1p-24f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_half_survives_a_round_trip),
        cmocka_unit_test(test_halves_round_to_nearest_even),
        cmocka_unit_test(test_brain_floats_round_to_nearest_even),
        cmocka_unit_test(test_conversions_need_no_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
