/* SPDX-License-Identifier: MIT
 *
 * PNG files through the public API: every malformed and unusual one of bad.tsv, exact pixels,
 * texts, files that appear complete or not at all.
 */
#include "test_api_support.h"
#include "test_io_cases.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static sdiff_context *new_context(api_heap *heap)
{
    sdiff_context_params params;
    sdiff_context *context = NULL;
    sdiff_context_params_init(&params, sizeof params);
    params.threads = 1;
    params.memory_limit = 64 << 20; // a damaged header must not ask for more
    api_heap_use(heap, &params);
    assert_int_equal(sdiff_context_new(&params, &context), SDIFF_OK);
    return context;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int is_near(int a, int b, int tolerance)
{
    return abs(a - b) <= tolerance;
}

/* Pixel p of an image as RGBA. */
static void rgba_of(sdiff_image *image, int p, int out[4])
{
    const int n = sdiff_image_channels(image);
    const uint8_t *in = sdiff_image_pixels(image) + (size_t)n * (size_t)p;
    for (int c = 0; c < 3; c++)
        out[c] = in[n == 1 ? 0 : c];
    out[3] = n == 4 ? in[3] : 255;
}

static void compare_pixels(const bad_case *c, sdiff_image *image)
{
    char path[1300];
    struct stat info;
    size_t size = 0;
    snprintf(path, sizeof path, "%.*s.rgba8", (int)(strlen(c->path) - 4), c->path);
    if (stat(path, &info) != 0)
        return;
    uint8_t *expected = test_read_file(path, &size);
    const int pixels = sdiff_image_width(image) * sdiff_image_height(image);
    const int tolerance = strstr(c->file, "16") ? 1 : 0; // 16 bits may be scaled or cut
    assert_int_equal(size, 4 * (size_t)pixels);
    for (int p = 0; p < pixels; p++) {
        int found[4];
        rgba_of(image, p, found);
        for (int k = 0; k < 4; k++)
            if (!is_near(found[k], expected[4 * p + k], tolerance))
                fail_msg("%s: pixel %d, channel %d is %d, not %d", c->file, p, k, found[k],
                         expected[4 * p + k]);
    }
    free(expected);
}

static void check_case(const bad_case *c, sdiff_context *context, sdiff_status status,
                       sdiff_image *image)
{
    assert_int_equal(status == SDIFF_OK, image != NULL);
    if (strcmp(c->expect, "ok") == 0 && status != SDIFF_OK)
        fail_msg("%s must open: %s", c->file, sdiff_context_error(context));
    if (strcmp(c->expect, "error") == 0 && status == SDIFF_OK)
        fail_msg("%s must be refused", c->file);
    if (status == SDIFF_OK) {
        compare_pixels(c, image);
        return;
    }
    const int is_large = strstr(c->file, "large-dims") || strstr(c->file, "huge-dims");
    if (!*sdiff_context_error(context) ||
        status != (is_large ? SDIFF_ERROR_LIMIT : SDIFF_ERROR_FORMAT))
        fail_msg("%s: status %d, '%s'", c->file, (int)status, sdiff_context_error(context));
}

static void read_both_ways(const bad_case *c)
{
    if (strcmp(c->kind, "png") != 0)
        return;
    api_heap heap = {0};
    sdiff_context *context = new_context(&heap);
    sdiff_image *image = NULL;
    size_t size = 0;
    sdiff_status status = sdiff_image_load_png(context, c->path, &image);
    check_case(c, context, status, image);
    sdiff_image_free(image);
    void *bytes = test_read_file(c->path, &size);
    status = sdiff_image_load_png_memory(context, bytes, size, &image);
    check_case(c, context, status, image);
    free(bytes);
    sdiff_image_free(image);
    sdiff_context_free(context);
    api_heap_assert_empty(&heap);
}

static void test_png_files_give_their_pixels_or_a_sentence(void **state)
{
    assert_true(for_each_bad("png-", read_both_ways) > 30);
}

static void fail_every_allocation(const bad_case *c)
{
    if (strcmp(c->kind, "png") != 0)
        return;
    for (long long n = 1, done = 0; !done; n++) {
        api_heap heap = {0};
        sdiff_image *image = NULL;
        sdiff_context *context = new_context(&heap);
        const long long before = atomic_load(&heap.count);
        heap.fail_at = before + n;
        const sdiff_status status = sdiff_image_load_png(context, c->path, &image);
        done = atomic_load(&heap.count) < heap.fail_at;
        if (!done && status == SDIFF_OK)
            fail_msg("%s: allocation %lld failed unseen", c->file, n);
        if (!done && strcmp(c->expect, "ok") == 0)
            assert_int_equal(status, SDIFF_ERROR_NO_MEMORY);
        sdiff_image_free(image);
        sdiff_context_free(context);
        api_heap_assert_empty(&heap);
    }
}

static void test_png_reading_survives_failing_allocations(void **state)
{
    for_each_bad("png-", fail_every_allocation);
}

/* 16384 x 16384 are allowed, but not in a file of a few bytes. */
static void test_claimed_size_is_not_believed(void **state)
{
    static const unsigned char file[] =
        "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x40\0\0\0\x40\0\x08\x06\0\0\0\xa9\xc8\x10\x84"
        "\0\0\0\x02IDATxx\0\0\0\0";
    api_heap heap = {0};
    uint64_t before = 0, peak = 0;
    sdiff_context *context = new_context(&heap);
    sdiff_image *image = NULL;
    sdiff_context_memory(context, NULL, &before);
    assert_int_equal(sdiff_image_load_png_memory(context, file, sizeof file - 1, &image),
                     SDIFF_ERROR_FORMAT);
    sdiff_context_memory(context, NULL, &peak);
    assert_true(peak - before < 1 << 20);
    sdiff_context_free(context);
    api_heap_assert_empty(&heap);
}

static void test_missing_png_is_an_io_error(void **state)
{
    api_heap heap = {0};
    sdiff_context *context = new_context(&heap);
    sdiff_image *image = NULL;
    assert_int_equal(sdiff_image_load_png(context, "/nonexistent.png", &image), SDIFF_ERROR_IO);
    assert_int_equal(sdiff_image_load_png(context, "/", &image), SDIFF_ERROR_IO);
    sdiff_context_free(context);
    api_heap_assert_empty(&heap);
}

/* ---- writing --------------------------------------------------------------------------------- */

typedef struct folder {
    char path[64], file[80];
} folder;

static void folder_new(folder *f)
{
    strcpy(f->path, "/tmp/test_image_png.XXXXXX");
    assert_non_null(mkdtemp(f->path));
    snprintf(f->file, sizeof f->file, "%s/picture.png", f->path);
}

static int count_files(const folder *f)
{
    int count = 0;
    DIR *directory = opendir(f->path);
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count - 2;
}

static void folder_drop(folder *f)
{
    unlink(f->file);
    assert_int_equal(rmdir(f->path), 0); // nothing else was left there
}

static void test_pixels_and_texts_come_back(void **state)
{
    static const char *const text[] = {"parameters", "a caf\xc3\xa9, \xe7\x8c\xab\nSteps: 3",
                                       "Comment", "plain", NULL};
    api_heap heap = {0};
    sdiff_context *context = new_context(&heap);
    folder f;
    folder_new(&f);
    for (int32_t channels = 1; channels <= 4; channels += 1 + (channels == 1)) {
        uint8_t pixels[7 * 5 * 4];
        sdiff_image *image = NULL, *back = NULL;
        for (size_t i = 0; i < sizeof pixels; i++)
            pixels[i] = (uint8_t)(37 * i + 11);
        assert_int_equal(sdiff_image_new(context, 7, 5, channels, pixels, &image), SDIFF_OK);
        assert_int_equal(sdiff_image_save_png(context, image, f.file, text), SDIFF_OK);
        assert_int_equal(sdiff_image_load_png(context, f.file, &back), SDIFF_OK);
        assert_int_equal(sdiff_image_width(back), 7);
        assert_int_equal(sdiff_image_height(back), 5);
        assert_int_equal(sdiff_image_channels(back), channels);
        assert_memory_equal(sdiff_image_pixels(back), pixels, 7 * 5 * (size_t)channels);
        assert_string_equal(sdiff_image_text(back, "parameters"), text[1]);
        assert_string_equal(sdiff_image_text(back, "Comment"), text[3]);
        assert_null(sdiff_image_text(back, "comment"));
        sdiff_image_free(image);
        sdiff_image_free(back);
    }
    folder_drop(&f);
    sdiff_context_free(context);
    api_heap_assert_empty(&heap);
}

static void test_full_disk_leaves_nothing(void **state)
{
    api_heap heap = {0};
    sdiff_context *context = new_context(&heap);
    sdiff_image *image = NULL;
    assert_int_equal(sdiff_image_new(context, 64, 64, 3, NULL, &image), SDIFF_OK);
    assert_int_equal(sdiff_image_save_png(context, image, "/dev/full", NULL), SDIFF_ERROR_IO);
    assert_non_null(strstr(sdiff_context_error(context), "/dev/full"));
    assert_int_equal(sdiff_image_save_png(context, image, "/nonexistent/a.png", NULL),
                     SDIFF_ERROR_IO);
    assert_int_equal(sdiff_image_save_png(context, image, "/tmp", NULL), SDIFF_ERROR_IO);
    sdiff_image_free(image);
    sdiff_context_free(context);
    api_heap_assert_empty(&heap);
}

static void test_failed_writing_keeps_the_old_file(void **state)
{
    folder f;
    folder_new(&f);
    FILE *old = fopen(f.file, "w");
    assert_non_null(old);
    fputs("old", old);
    fclose(old);
    for (long long n = 1, done = 0; !done; n++) {
        api_heap heap = {0};
        sdiff_image *image = NULL;
        sdiff_context *context = new_context(&heap);
        assert_int_equal(sdiff_image_new(context, 16, 16, 3, NULL, &image), SDIFF_OK);
        heap.fail_at = atomic_load(&heap.count) + n;
        const sdiff_status status = sdiff_image_save_png(context, image, f.file, NULL);
        done = atomic_load(&heap.count) < heap.fail_at;
        assert_int_equal(status, done ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY);
        assert_int_equal(count_files(&f), 1);
        struct stat info;
        assert_int_equal(stat(f.file, &info), 0);
        assert_true(done == (info.st_size != 3));
        sdiff_image_free(image);
        sdiff_context_free(context);
        api_heap_assert_empty(&heap);
    }
    folder_drop(&f);
}

/* A keyword that PNG cannot hold is refused, not cut. */
static void test_impossible_texts_are_refused(void **state)
{
    char keyword[100];
    memset(keyword, 'k', sizeof keyword - 1);
    keyword[sizeof keyword - 1] = '\0';
    const char *const text[] = {keyword, "value", NULL};
    api_heap heap = {0};
    sdiff_context *context = new_context(&heap);
    sdiff_image *image = NULL;
    folder f;
    folder_new(&f);
    assert_int_equal(sdiff_image_new(context, 4, 4, 3, NULL, &image), SDIFF_OK);
    assert_int_equal(sdiff_image_save_png(context, image, f.file, text),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    keyword[0] = '\0';
    assert_int_equal(sdiff_image_save_png(context, image, f.file, text),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(count_files(&f), 0);
    sdiff_image_free(image);
    sdiff_context_free(context);
    folder_drop(&f);
}

/* ---- resizing -------------------------------------------------------------------------------- */

static void test_resizing_keeps_flat_colours(void **state)
{
    static const int32_t sizes[][2] = {{1, 1}, {3, 17}, {64, 64}, {200, 5}, {31, 1}};
    api_heap heap = {0};
    sdiff_context *context = new_context(&heap);
    sdiff_image *image = NULL, *other = NULL;
    assert_int_equal(sdiff_image_new(context, 13, 11, 4, NULL, &image), SDIFF_OK);
    for (int p = 0; p < 13 * 11; p++)
        memcpy(sdiff_image_pixels(image) + 4 * p, "\x14\x80\xf0\xff", 4);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(
            sdiff_image_resize(context, image, sizes[i][0], sizes[i][1], &other), SDIFF_OK);
        assert_int_equal(sdiff_image_width(other), sizes[i][0]);
        assert_int_equal(sdiff_image_height(other), sizes[i][1]);
        for (int p = 0; p < sizes[i][0] * sizes[i][1]; p++)
            assert_memory_equal(sdiff_image_pixels(other) + 4 * p, "\x14\x80\xf0\xff", 4);
        sdiff_image_free(other);
    }
    assert_int_equal(sdiff_image_resize(context, image, 0, 4, &other),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdiff_image_resize(context, image, 4, 1000000, &other),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    assert_null(other);
    sdiff_image_free(image);
    sdiff_context_free(context);
    api_heap_assert_empty(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png_files_give_their_pixels_or_a_sentence),
        cmocka_unit_test(test_png_reading_survives_failing_allocations),
        cmocka_unit_test(test_claimed_size_is_not_believed),
        cmocka_unit_test(test_missing_png_is_an_io_error),
        cmocka_unit_test(test_pixels_and_texts_come_back),
        cmocka_unit_test(test_full_disk_leaves_nothing),
        cmocka_unit_test(test_failed_writing_keeps_the_old_file),
        cmocka_unit_test(test_impossible_texts_are_refused),
        cmocka_unit_test(test_resizing_keeps_flat_colours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
