/* SPDX-License-Identifier: MIT
 *
 * Pictures and masks on their way to and from the pipeline: channels, parts, planes, soft edges,
 * areas, pasting.
 */
#include "support.h"

#include "image/mask.h"

#include <math.h>
#include <string.h>

static sdi_image *make(const sdi_env *env, int32_t width, int32_t height, int32_t channels,
                       const uint8_t *pixels)
{
    sdi_image *image = NULL;
    test_ok(env, sdi_image_new(env, width, height, channels, pixels, &image));
    return image;
}

/* ---- channels and planes --------------------------------------------------------------------- */

static void test_alpha_is_composed(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    static const uint8_t rgba[] = {200, 100, 0, 255, 200, 100, 0, 0, 200, 100, 0, 51};
    sdi_image *image = make(&env, 3, 1, 4, rgba), *rgb = NULL, *gray = NULL;
    test_ok(&env, sdi_image_convert(&env, image, 3, &rgb));
    static const uint8_t over_white[] = {200, 100, 0, 255, 255, 255, 244, 224, 204};
    assert_memory_equal(rgb->pixels, over_white, sizeof over_white);
    test_ok(&env, sdi_image_convert(&env, image, 1, &gray));
    static const uint8_t over_black[] = {119, 0, 24};
    assert_memory_equal(gray->pixels, over_black, sizeof over_black);
    float planes[9], alpha[3];
    test_ok(&env, sdi_image_to_planes(&env, image, 3, 1, 1, 3, planes, alpha));
    assert_true(planes[0] == 200 / 255.0f && planes[3] == 100 / 255.0f && planes[6] == 0);
    assert_true(planes[1] == 1 && alpha[0] == 1 && alpha[1] == 0 && alpha[2] == 0.2f);
    sdi_image_free(&env, image);
    sdi_image_free(&env, rgb);
    sdi_image_free(&env, gray);
    test_env_free(&env);
}

/* 8-bit values survive the way to planes and back. */
static void test_planes_come_back_as_the_same_bytes(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    uint8_t pixels[16 * 16 * 3];
    float planes[3 * 16 * 16];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 7 % 256);
    sdi_image *image = make(&env, 16, 16, 3, pixels), *back = NULL;
    test_ok(&env, sdi_image_to_planes(&env, image, 16, 16, 1, 3, planes, NULL));
    test_ok(&env, sdi_image_from_planes(&env, planes, 16, 16, &back));
    assert_memory_equal(back->pixels, pixels, sizeof pixels);
    sdi_image_free(&env, image);
    sdi_image_free(&env, back);
    test_env_free(&env);
}

/* A wide picture of three stripes: cropping to a square keeps the middle, stretching keeps all. */
static void test_fit_crops_or_stretches(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    sdi_image *image = make(&env, 30, 10, 1, NULL);
    for (int i = 0; i < 300; i++)
        image->pixels[i] = (uint8_t)(i % 30 < 10 ? 0 : i % 30 < 20 ? 120 : 240);
    float planes[100];
    test_ok(&env, sdi_image_to_planes(&env, image, 10, 10, 1, 1, planes, NULL));
    for (int i = 0; i < 100; i++)
        assert_true(planes[i] == 120 / 255.0f);
    test_ok(&env, sdi_image_to_planes(&env, image, 10, 10, 0, 1, planes, NULL));
    assert_true(planes[0] == 0);
    assert_float_equal(planes[5], 120 / 255.0, 0.02);
    assert_true(planes[9] == 240 / 255.0f);
    assert_int_equal(sdi_image_to_planes(&env, image, 0, 10, 1, 1, planes, NULL),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    sdi_image_free(&env, image);
    test_env_free(&env);
}

static void test_areas_outside_are_refused(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    static const sdi_rect bad[] = {{0, 0, 9, 1}, {-1, 0, 2, 2}, {0, 0, 0, 1}, {4, 4, 5, 1},
                                   {INT32_MAX, 0, 1, 1}, {0, 1, 1, INT32_MAX}};
    sdi_image *image = make(&env, 8, 8, 3, NULL), *out = NULL;
    for (size_t i = 0; i < SDI_COUNT(bad); i++) {
        assert_int_equal(sdi_image_crop(&env, image, &bad[i], &out), SDIFF_ERROR_INVALID_ARGUMENT);
        assert_null(out);
    }
    sdi_image_free(&env, image);
    test_env_free(&env);
}

/* ---- edges ----------------------------------------------------------------------------------- */

/* A step becomes the integral of the Gaussian. */
static void test_blur_is_gaussian(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    sdi_image *mask = make(&env, 64, 9, 1, NULL);
    for (int i = 0; i < 64 * 9; i++)
        mask->pixels[i] = i % 64 < 32 ? 0 : 255;
    test_ok(&env, sdi_mask_blur(&env, mask, 4));
    for (int i = 0; i < 64 * 9; i++) {
        const double distance = i % 64 - 31.5;
        assert_float_equal(mask->pixels[i], 127.5 * (1 + erf(distance / (4 * sqrt(2)))), 1.5);
    }
    sdi_image_free(&env, mask);
    test_env_free(&env);
}

static void test_grow_and_shrink(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    sdi_image *mask = make(&env, 20, 20, 1, NULL);
    mask->pixels[10 * 20 + 7] = 200;
    test_ok(&env, sdi_mask_grow(&env, mask, 3));
    for (int i = 0; i < 400; i++) {
        const int x = i % 20 - 7, y = i / 20 - 10;
        assert_int_equal(mask->pixels[i], x >= -3 && x <= 3 && y >= -3 && y <= 3 ? 200 : 0);
    }
    test_ok(&env, sdi_mask_grow(&env, mask, -3));
    for (int i = 0; i < 400; i++)
        assert_int_equal(mask->pixels[i], i == 10 * 20 + 7 ? 200 : 0);
    sdi_image_free(&env, mask);
    test_env_free(&env);
}

static void test_bad_edges_are_refused(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    sdi_image *mask = make(&env, 8, 8, 1, NULL), *colours = make(&env, 8, 8, 3, NULL);
    assert_int_equal(sdi_mask_blur(&env, mask, NAN), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdi_mask_blur(&env, mask, -1), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdi_mask_blur(&env, mask, 1e9), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdi_mask_blur(&env, colours, 1), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdi_mask_grow(&env, mask, INT32_MIN), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdi_mask_grow(&env, colours, 1), SDIFF_ERROR_INVALID_ARGUMENT);
    sdi_image_free(&env, mask);
    sdi_image_free(&env, colours);
    test_env_free(&env);
}

/* ---- areas ----------------------------------------------------------------------------------- */

static sdi_rect area_of(const sdi_env *env, int32_t x, int32_t y, int32_t padding, int32_t width,
                        int32_t height)
{
    sdi_rect area = {0};
    sdi_image *mask = make(env, 100, 60, 1, NULL);
    for (int32_t i = 0; i < 10; i++)
        mask->pixels[(y + i % 5) * 100 + x + i] = 1;
    test_ok(env, sdi_mask_area(env, mask, padding, width, height, &area));
    assert_true(sdi_rect_is_inside(&area, mask));
    assert_true(area.x <= x && area.y <= y && area.x + area.width >= x + 10 &&
                area.y + area.height >= y + 5);
    sdi_image_free(env, mask);
    return area;
}

static void test_area_holds_the_mask_in_the_right_proportions(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    const sdi_rect inside = area_of(&env, 40, 20, 5, 64, 64);
    assert_int_equal(inside.width, 20);
    assert_int_equal(inside.height, 20);
    const sdi_rect corner = area_of(&env, 0, 55, 8, 64, 64);
    assert_int_equal(corner.x, 0);
    assert_int_equal(corner.width, corner.height);
    const sdi_rect wide = area_of(&env, 40, 20, 0, 96, 32);
    assert_int_equal(wide.width, 3 * wide.height);
    const sdi_rect all = area_of(&env, 40, 20, 1000, 64, 64); // no square of 100 fits
    assert_int_equal(all.width, 100);
    assert_int_equal(all.height, 60);
    sdi_rect area;
    sdi_image *empty = make(&env, 8, 8, 1, NULL);
    assert_int_equal(sdi_mask_area(&env, empty, 1, 8, 8, &area), SDIFF_ERROR_INVALID_ARGUMENT);
    sdi_image_free(&env, empty);
    test_env_free(&env);
}

static void test_paste_changes_what_is_marked(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    const sdi_rect area = {4, 4, 8, 8};
    sdi_image *image = make(&env, 16, 16, 4, NULL), *mask = make(&env, 16, 16, 1, NULL);
    sdi_image *patch = make(&env, 4, 4, 1, NULL); // white, enlarged
    memset(patch->pixels, 255, 16);
    for (int i = 0; i < 16 * 16; i++) {
        memset(image->pixels + 4 * i, i, 4);
        mask->pixels[i] = i % 16 == 6 ? 255 : i % 16 == 7 ? 128 : 0;
    }
    test_ok(&env, sdi_mask_paste(&env, image, patch, &area, mask));
    for (int i = 0; i < 16 * 16; i++) {
        const int inside = i / 16 >= 4 && i / 16 < 12, x = i % 16;
        const int want = inside && x == 6   ? 255
                         : inside && x == 7 ? (255 * 128 + i * 127 + 127) / 255
                                            : i;
        assert_int_equal(image->pixels[4 * i], want);
        assert_int_equal(image->pixels[4 * i + 3], i); // opacity stays
    }
    const sdi_rect outside = {12, 4, 8, 8};
    assert_int_equal(sdi_mask_paste(&env, image, patch, &outside, mask),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdi_mask_paste(&env, image, patch, &area, patch),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    sdi_image_free(&env, image);
    sdi_image_free(&env, mask);
    sdi_image_free(&env, patch);
    test_env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alpha_is_composed),
        cmocka_unit_test(test_planes_come_back_as_the_same_bytes),
        cmocka_unit_test(test_fit_crops_or_stretches),
        cmocka_unit_test(test_areas_outside_are_refused),
        cmocka_unit_test(test_blur_is_gaussian),
        cmocka_unit_test(test_grow_and_shrink),
        cmocka_unit_test(test_bad_edges_are_refused),
        cmocka_unit_test(test_area_holds_the_mask_in_the_right_proportions),
        cmocka_unit_test(test_paste_changes_what_is_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
