/* SPDX-License-Identifier: MIT
 *
 * Hint pictures: edges, strokes, depth, poses.
 */
#include "support/support.h"

#include "image/hint.h"
#include "image/pose.h"
#include "pipeline/pose_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 16 };

/* Gray levels by column. */
static sdi_image *stripes(const sdi_env *env, const uint8_t levels[SIDE], int32_t channels)
{
    sdi_image *image = NULL;
    test_ok(env, sdi_image_new(env, SIDE, SIDE, channels, NULL, &image));
    for (int32_t p = 0; p < SIDE * SIDE; p++)
        memset(image->pixels + channels * p, levels[p % SIDE], (size_t)channels);
    return image;
}

/* Columns that are white in every row, as bits; fails where rows differ. */
static uint32_t white_columns(const sdi_image *image)
{
    uint32_t columns = 0;
    assert_int_equal(image->channels, 3);
    for (int32_t x = 0; x < image->width; x++)
        columns |= (uint32_t)(image->pixels[3 * x] == 255) << x;
    for (int32_t p = 0; p < image->width * image->height; p++)
        for (int32_t c = 0; c < 3; c++)
            assert_int_equal(image->pixels[3 * p + c],
                             columns >> (p % image->width) & 1 ? 255 : 0);
    return columns;
}

static uint32_t canny(const uint8_t levels[SIDE], int32_t channels, double low, double high)
{
    sdi_env env = test_env_new();
    sdi_image *image = stripes(&env, levels, channels), *edges = NULL;
    test_ok(&env, sdi_hint_canny(&env, image, 0, low, high, &edges));
    const uint32_t columns = white_columns(edges);
    sdi_image_free(&env, image);
    sdi_image_free(&env, edges);
    test_env_free(&env);
    return columns;
}

/* A step of 255 has the gradient 4 * 255 = 1020 at both of its sides; the first one stays. */
static void test_canny_finds_a_step_once(void **state)
{
    static const uint8_t step[SIDE] = {[8] = 255, 255, 255, 255, 255, 255, 255, 255};
    static const uint8_t flat[SIDE] = {0};
    (void)state;
    assert_int_equal(canny(step, 1, 100, 200), 1 << 7);
    assert_int_equal(canny(step, 3, 100, 200), 1 << 7);
    assert_int_equal(canny(step, 3, 200, 100), 1 << 7); // in either order
    assert_int_equal(canny(step, 1, 100, 1019), 1 << 7);
    assert_int_equal(canny(step, 1, 100, 1020), 0); // not above it
    assert_int_equal(canny(flat, 1, 0, 0), 0);
}

/* Weak edges stay only where they touch a strong one: here a step that fades downwards. */
static void test_canny_follows_weak_edges(void **state)
{
    sdi_env env = test_env_new();
    sdi_image *image = NULL, *edges = NULL;
    (void)state;
    test_ok(&env, sdi_image_new(&env, SIDE, SIDE, 1, NULL, &image));
    for (int32_t y = 0; y < SIDE; y++)
        for (int32_t x = 8; x < SIDE; x++)
            image->pixels[y * SIDE + x] = (uint8_t)(y < 8 ? 100 : 40); // 400 and 160
    test_ok(&env, sdi_hint_canny(&env, image, 0, 100, 300, &edges));
    assert_int_equal(edges->pixels[3 * (2 * SIDE + 7)], 255);
    assert_int_equal(edges->pixels[3 * (13 * SIDE + 7)], 255); // weak, but connected
    sdi_image_free(&env, edges);
    for (int32_t y = 0; y < 8; y++)
        memset(image->pixels + y * SIDE, 0, SIDE); // the strong part is gone
    test_ok(&env, sdi_hint_canny(&env, image, 0, 100, 300, &edges));
    assert_int_equal(edges->pixels[3 * (13 * SIDE + 7)], 0);
    sdi_image_free(&env, edges);
    assert_int_equal(sdi_hint_canny(&env, image, -1, 1, 2, &edges), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdi_hint_canny(&env, image, 0, NAN, 2, &edges), SDIFF_ERROR_INVALID_ARGUMENT);
    test_ok(&env, sdi_hint_canny(&env, image, 10, 1, 2, &edges));
    sdi_image_free(&env, edges);
    sdi_image_free(&env, image);
    test_env_free(&env);
}

static void test_scribble_is_a_threshold(void **state)
{
    static const uint8_t levels[SIDE] = {[3] = 126, [4] = 127, [5] = 255};
    sdi_env env = test_env_new();
    sdi_image *image = stripes(&env, levels, 3), *out = NULL;
    (void)state;
    test_ok(&env, sdi_hint_scribble(&env, image, 127, 0, &out));
    assert_int_equal(white_columns(out), 1 << 4 | 1 << 5);
    sdi_image_free(&env, out);
    test_ok(&env, sdi_hint_scribble(&env, image, 127, 1, &out));
    assert_int_equal(white_columns(out), 0xffff & ~(1 << 4 | 1 << 5));
    sdi_image_free(&env, out);
    assert_int_equal(sdi_hint_scribble(&env, image, 256, 0, &out), SDIFF_ERROR_INVALID_ARGUMENT);
    sdi_image_free(&env, image);
    test_env_free(&env);
}

static void test_depth_is_stretched_to_gray(void **state)
{
    const float map[4] = {-3, 1, 0, -1}, flat[4] = {2, 2, 2, 2}, bad[4] = {0, NAN, 0, 0};
    static const uint8_t want[4] = {0, 255, 191, 128};
    sdi_env env = test_env_new();
    sdi_image *out = NULL;
    (void)state;
    test_ok(&env, sdi_hint_depth(&env, map, 2, 2, 2, 2, &out));
    for (int32_t i = 0; i < 12; i++)
        assert_int_equal(out->pixels[i], want[i / 3]);
    sdi_image_free(&env, out);
    test_ok(&env, sdi_hint_depth(&env, flat, 2, 2, 5, 3, &out));
    assert_int_equal(out->width, 5);
    assert_int_equal(out->pixels[0], 0);
    sdi_image_free(&env, out);
    assert_int_equal(sdi_hint_depth(&env, bad, 2, 2, 2, 2, &out), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_null(out);
    test_env_free(&env);
}

/* ---- poses ----------------------------------------------------------------------------------- */

static sdiff_status read_pose(const sdi_env *env, const char *text, sdi_pose **poses,
                              int32_t *count)
{
    return sdi_pose_read(env, "pose", text, strlen(text), 512, 256, poses, count);
}

/* One person of `points` points, all unseen but those named. */
static void write_person(char *text, size_t size, int32_t points, int32_t seen, double x, double y,
                         const char *canvas)
{
    size_t n = (size_t)snprintf(text, size, "{%s\"people\":[{\"pose_keypoints_2d\":[", canvas);
    for (int32_t i = 0; i < points; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%g,%g,%d", i ? "," : "", i == seen ? x : 0,
                              i == seen ? y : 0, i == seen);
    snprintf(text + n, size - n, "]}]}");
}

static void check_point(int32_t points, int32_t seen, double x, double y, const char *canvas,
                        int32_t point, float want_x, float want_y)
{
    char text[2048];
    sdi_env env = test_env_new();
    sdi_pose *poses = NULL;
    int32_t count = 0;
    write_person(text, sizeof text, points, seen, x, y, canvas);
    test_ok(&env, read_pose(&env, text, &poses, &count));
    assert_int_equal(count, 1);
    for (int32_t i = 0; i < SDI_POSE_POINTS; i++)
        assert_int_equal(poses[0].points[i].seen, i == point);
    assert_true(fabsf(poses[0].points[point].x - want_x) < 1e-3f);
    assert_true(fabsf(poses[0].points[point].y - want_y) < 1e-3f);
    sdi_free(&env, poses);
    test_env_free(&env);
}

static void test_key_points_of_all_orders_are_found(void **state)
{
    (void)state;
    check_point(18, 8, 100, 50, "", 8, 100, 50);  // right hip
    check_point(25, 9, 100, 50, "", 8, 100, 50);  // the same in BODY_25
    check_point(17, 12, 100, 50, "", 8, 100, 50); // and in COCO
    check_point(25, 15, 100, 50, "", 14, 100, 50);
    check_point(18, 0, 100, 50, "\"canvas_width\":1024,\"canvas_height\":128,", 0, 50, 100);
    check_point(18, 0, 0.5, 0.25, "", 0, 256, 64);
}

static void test_poses_that_cannot_be_are_refused(void **state)
{
    static const char *const texts[] = {
        "", "{", "[]", "{}", "{\"people\":3}", "{\"people\":[{}]}",
        "{\"people\":[{\"pose_keypoints_2d\":[1,2,3]}]}",
        "{\"people\":[{\"pose_keypoints_2d\":\"x\"}]}"};
    char text[2048];
    sdi_pose *poses = NULL;
    int32_t count = 0;
    (void)state;
    for (size_t i = 0; i < SDI_COUNT(texts); i++) {
        sdi_env env = test_env_new();
        assert_int_equal(read_pose(&env, texts[i], &poses, &count), SDIFF_ERROR_FORMAT);
        assert_null(poses);
        assert_true(test_error(&env)[0]);
        test_env_free(&env);
    }
    sdi_env env = test_env_new();
    write_person(text, sizeof text, 18, 0, 1e9, 0, "");
    assert_int_equal(read_pose(&env, text, &poses, &count), SDIFF_ERROR_FORMAT);
    write_person(text, sizeof text, 18, 0, 9, 9, "\"canvas_width\":0,");
    assert_int_equal(read_pose(&env, text, &poses, &count), SDIFF_ERROR_FORMAT);
    test_env_free(&env);
}

/* Disks in the points' colours over limbs at 60 % of theirs. */
static void test_pose_is_drawn_in_its_colours(void **state)
{
    sdi_env env = test_env_new();
    sdi_image *out = NULL;
    sdi_pose poses[2] = {0};
    (void)state;
    poses[0].points[1] = (sdi_pose_point){100, 100, 1};  // neck
    poses[0].points[2] = (sdi_pose_point){200, 100, 1};  // right shoulder
    poses[1].points[0] = (sdi_pose_point){-1e6f, 3, 1};  // far outside
    poses[1].points[14] = (sdi_pose_point){1e6f, 300, 1};
    test_ok(&env, sdi_pose_draw(&env, poses, 2, 512, 512, &out));
    const uint8_t *neck = out->pixels + 3 * (100 * 512 + 100);
    const uint8_t *limb = out->pixels + 3 * (100 * 512 + 150);
    assert_int_equal(neck[0], 255);
    assert_int_equal(neck[1], 85);
    assert_int_equal(limb[0], 153);
    assert_int_equal(limb[1], 0);
    assert_int_equal(out->pixels[3 * (110 * 512 + 150)], 0); // beside the limb
    sdi_image_free(&env, out);
    test_env_free(&env);
}

/* Every allocation fails once. */
static void test_lack_of_memory_is_survived(void **state)
{
    char text[2048];
    (void)state;
    write_person(text, sizeof text, 18, 3, 30, 40, "");
    for (uint64_t n = 1; n < 20; n++) {
        const sdi_mem_params params = {.fail_at = n};
        static const uint8_t levels[SIDE] = {[8] = 255};
        sdi_env env = test_env_with(&params);
        sdi_image *image = NULL, *edges = NULL, *drawn = NULL;
        sdi_pose *poses = NULL;
        int32_t count = 0;
        if (sdi_image_new(&env, SIDE, SIDE, 1, NULL, &image) == SDIFF_OK) {
            memcpy(image->pixels, levels, SIDE);
            sdi_hint_canny(&env, image, 1, 100, 200, &edges);
            if (read_pose(&env, text, &poses, &count) == SDIFF_OK)
                sdi_pose_draw(&env, poses, count, 64, 64, &drawn);
        }
        sdi_image_free(&env, image);
        sdi_image_free(&env, edges);
        sdi_image_free(&env, drawn);
        sdi_free(&env, poses);
        test_env_free(&env);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canny_finds_a_step_once),
        cmocka_unit_test(test_canny_follows_weak_edges),
        cmocka_unit_test(test_scribble_is_a_threshold),
        cmocka_unit_test(test_depth_is_stretched_to_gray),
        cmocka_unit_test(test_key_points_of_all_orders_are_found),
        cmocka_unit_test(test_poses_that_cannot_be_are_refused),
        cmocka_unit_test(test_pose_is_drawn_in_its_colours),
        cmocka_unit_test(test_lack_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
