/* SPDX-License-Identifier: MIT
 *
 * The library as a guest: the host's memory, threads, floating-point mode and standard output.
 */
#include "test_api_support.h"

#include <fcntl.h>
#include <fenv.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

/* ---- memory ---------------------------------------------------------------------------------- */

static void test_host_allocator_is_used_and_balanced(void **state)
{
    api *a = api_open();
    uint64_t used = 0, peak = 0, after = 0;
    api_result result;
    const sdiff_generate_params request = api_request("a red apple");
    sdiff_context_memory(a->context, &used, NULL);
    assert_true(used > 1000000 && (long long)used <= atomic_load(&a->heap.bytes));
    for (int i = 0; i < 3; i++) {
        api_make(a->pipeline, &request, &result);
        sdiff_context_memory(a->context, i ? &after : &used, &peak);
        assert_true(!i || used == after); // nothing grows from call to call
    }
    assert_true(peak >= used);
    api_close(a); // asserts that every block came back
}

/* What a request holds at most is what was foretold, but for small things: texts,
 * latents, lists. */
static void test_foretold_memory_is_what_is_used(void **state)
{
    api *a = api_open();
    uint64_t before = 0, peak = 0, foretold = 0;
    sdiff_generate_params request = api_request("a red apple");
    request.width = request.height = 256;
    sdiff_context_memory(a->context, &before, NULL);
    assert_int_equal(sdiff_pipeline_memory(a->pipeline, &request, &foretold), SDIFF_OK);
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    sdiff_context_memory(a->context, NULL, &peak);
    print_message("foretold %llu bytes, held %llu\n", (unsigned long long)foretold,
                  (unsigned long long)(peak - before));
    assert_true(peak - before < foretold + foretold / 20 + (1 << 20));
    assert_true(peak - before > foretold / 2);
    api_close(a);
}

/* The first number of a sentence. */
static unsigned long long number_in(const char *sentence)
{
    return strtoull(sentence + strcspn(sentence, "0123456789"), NULL, 10);
}

static void test_memory_limit_is_refused_with_the_bytes_needed(void **state)
{
    sdiff_context_params params;
    uint64_t needed = 0, used = 0, peak = 0;
    api *a = api_open();
    sdiff_generate_params request = api_request("a red apple");
    sdiff_generate_params large = request;
    large.width = large.height = 2048;
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    sdiff_context_memory(a->context, &used, &peak);
    assert_int_equal(sdiff_pipeline_memory(a->pipeline, &large, &needed), SDIFF_OK);
    assert_true(needed > 2 * peak);
    api_close(a);
    sdiff_context_params_init(&params, sizeof params);
    params.memory_limit = 2 * peak;
    a = api_open_with(&params);
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    assert_int_equal(sdiff_pipeline_generate(a->pipeline, &large), SDIFF_ERROR_NO_MEMORY);
    print_message("%s\n", sdiff_pipeline_error(a->pipeline));
    const unsigned long long told = number_in(sdiff_pipeline_error(a->pipeline));
    assert_true(told > params.memory_limit && told <= needed + used);
    sdiff_context_memory(a->context, NULL, &peak);
    assert_true(peak <= params.memory_limit);
    request = api_request("a red apple"); // what fits still works
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    api_close(a);
}

/* One whole life under a heap whose n-th allocation fails. Returns whether it was reached. */
static int live_with_failure(long long n)
{
    api_heap heap = {.fail_at = n};
    sdiff_context_params params;
    sdiff_context *context = NULL;
    sdiff_model *model = NULL;
    sdiff_pipeline *pipeline = NULL;
    sdiff_image *image = NULL;
    const float latent[4] = {0};
    sdiff_generate_params request = api_request("a red apple");
    request.width = request.height = 16;
    request.steps = 1;
    sdiff_context_params_init(&params, sizeof params);
    params.threads = 1;
    api_heap_use(&heap, &params);
    sdiff_status status = sdiff_context_new(&params, &context);
    if (status == SDIFF_OK)
        status = sdiff_model_open(context, api_model_path(), NULL, &model);
    if (status == SDIFF_OK)
        status = sdiff_pipeline_new(model, &pipeline);
    if (status == SDIFF_OK)
        status = sdiff_pipeline_generate(pipeline, &request);
    if (status == SDIFF_OK && !sdiff_pipeline_image(pipeline, 0))
        status = SDIFF_ERROR_NO_MEMORY;
    if (status == SDIFF_OK)
        status = sdiff_model_preview(model, latent, 1, 1, &image);
    const int reached = atomic_load(&heap.count) >= n;
    if (status != (reached ? SDIFF_ERROR_NO_MEMORY : SDIFF_OK))
        fail_msg("allocation %lld fails: status %d, '%s' '%s'", n, (int)status,
                 sdiff_context_error(context), sdiff_pipeline_error(pipeline));
    sdiff_image_free(image);
    sdiff_pipeline_free(pipeline);
    sdiff_model_free(model);
    sdiff_context_free(context);
    api_heap_assert_empty(&heap);
    return reached;
}

static void test_failing_allocations_neither_crash_nor_leak(void **state)
{
    long long n = 1;
    while (live_with_failure(n))
        n++;
    print_message("%lld allocations\n", n - 1);
    assert_true(n > 100);
}

/* ---- threads --------------------------------------------------------------------------------- */

typedef struct runner {
    atomic_int calls;
    int reversed;
} runner;

/* A parallel for of one thread, which may go through the pieces backwards. */
static void run_pieces(void *user, sdiff_task_fn task, void *argument, int64_t count)
{
    runner *r = user;
    atomic_fetch_add(&r->calls, 1);
    for (int64_t i = 0; i < count; i++)
        task(argument, r->reversed ? count - 1 - i : i, (int32_t)(i % 3));
}

static void test_host_parallel_for_is_used_and_gives_the_same_bits(void **state)
{
    api_result own, result;
    api *a = api_open();
    const sdiff_generate_params request = api_request("a red apple");
    api_make(a->pipeline, &request, &own);
    api_close(a);
    for (int reversed = 0; reversed < 2; reversed++) {
        runner r = {.reversed = reversed};
        sdiff_context_params params;
        sdiff_context_params_init(&params, sizeof params);
        params.parallel_for = run_pieces;
        params.parallel_user = &r;
        params.threads = 3;
        a = api_open_with(&params);
        api_make(a->pipeline, &request, &result);
        assert_true(atomic_load(&r.calls) > 100);
        api_assert_same(&own, &result);
        api_close(a);
    }
}

/* ---- the floating-point mode ----------------------------------------------------------------- */

typedef struct modes {
    unsigned csr;
    int rounding, exceptions_on, differences;
} modes;

static unsigned control(void)
{
#if defined(__SSE2__)
    return _mm_getcsr() & ~0x3fu; // but the sticky flags
#else
    return 0;
#endif
}

static int compare_modes(void *user, const sdiff_step *step)
{
    modes *m = user;
    m->differences += control() != m->csr || fegetround() != m->rounding;
    return 0;
}

static void assert_modes_are_kept(void)
{
    modes m = {.csr = control(), .rounding = fegetround()};
    api *a = api_open();
    api_result result;
    sdiff_generate_params request = api_request("a red apple");
    request.on_step = compare_modes;
    request.step_user = &m;
    api_make(a->pipeline, &request, &result);
    assert_int_equal(m.differences, 0); // the host's code runs in its own mode
    assert_int_equal(control(), m.csr);
    assert_int_equal(fegetround(), m.rounding);
    api_close(a);
    assert_int_equal(control(), m.csr);
}

static void test_floating_point_mode_is_kept(void **state)
{
    assert_modes_are_kept();
    assert_int_equal(fesetround(FE_UPWARD), 0);
    assert_modes_are_kept();
    assert_int_equal(fesetround(FE_TONEAREST), 0);
#if defined(__SSE2__)
    const unsigned found = _mm_getcsr();
    _mm_setcsr(found | 0x8040); // a host that flushes denormals itself
    assert_modes_are_kept();
    _mm_setcsr(found);
#endif
}

/* ---- silence --------------------------------------------------------------------------------- */

static off_t size_of(int descriptor)
{
    struct stat info;
    assert_int_equal(fstat(descriptor, &info), 0);
    return info.st_size;
}

/* Success, warnings and failures, while stdout and stderr go to a file. */
static void make_noise(void)
{
    sdiff_context *context = NULL;
    sdiff_model *model = NULL;
    sdiff_pipeline *pipeline = NULL;
    sdiff_image *image = NULL;
    char prompt[1000] = "";
    sdiff_generate_params request = api_request(prompt);
    while (strlen(prompt) < 900)
        strcat(prompt, "cat ");
    sdiff_context_new(NULL, &context);
    sdiff_model_open(context, "/nonexistent", NULL, &model);
    sdiff_model_open(context, api_model_path(), NULL, &model);
    sdiff_pipeline_new(model, &pipeline);
    sdiff_pipeline_generate(pipeline, &request);
    request.steps = -1;
    sdiff_pipeline_generate(pipeline, &request);
    sdiff_image_load_png_memory(context, "\x89PNG\r\n\x1a\n????IHDR", 16, &image);
    sdiff_pipeline_free(pipeline);
    sdiff_model_free(model);
    sdiff_context_free(context);
}

static void test_library_prints_nothing(void **state)
{
    char name[] = "/tmp/test_api_host.XXXXXX";
    assert_non_null(api_model_path()); // asserts must not fail unseen below
    const int file = mkstemp(name), out = dup(1), err = dup(2);
    assert_true(file >= 0 && out >= 0 && err >= 0);
    fflush(stdout);
    dup2(file, 1);
    dup2(file, 2);
    make_noise();
    fflush(stdout);
    fflush(stderr);
    dup2(out, 1);
    dup2(err, 2);
    const off_t written = size_of(file);
    close(file);
    close(out);
    close(err);
    unlink(name);
    assert_int_equal(written, 0);
}

/* ---- log ------------------------------------------------------------------------------------- */

typedef struct lines {
    int count, warnings, highest;
    char last_warning[200];
} lines;

static void keep_line(void *user, int32_t level, const char *message)
{
    lines *l = user;
    assert_null(strchr(message, '\n'));
    l->count++;
    l->highest = level > l->highest ? level : l->highest;
    if (level == SDIFF_LOG_LEVEL_WARNING) {
        l->warnings++;
        snprintf(l->last_warning, sizeof l->last_warning, "%s", message);
    }
}

static api *open_with_log(lines *l, int32_t level)
{
    sdiff_context_params params;
    sdiff_context_params_init(&params, sizeof params);
    params.log = keep_line;
    params.log_user = l;
    params.log_level = level;
    return api_open_with(&params);
}

static void test_cut_prompt_is_warned_of_at_every_level(void **state)
{
    char prompt[1000] = "";
    while (strlen(prompt) < 400)
        strcat(prompt, "cat ");
    for (int32_t level = SDIFF_LOG_LEVEL_WARNING; level <= SDIFF_LOG_LEVEL_DEBUG; level++) {
        lines l = {0};
        api *a = open_with_log(&l, level);
        sdiff_generate_params request = api_request(prompt);
        request.emphasis = SDIFF_EMPHASIS_NONE; // one chunk, as diffusers
        api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
        api_close(a);
        assert_int_equal(l.warnings, 1);
        assert_non_null(strstr(l.last_warning, "75"));
        assert_true(l.highest <= level);
        assert_true(level == SDIFF_LOG_LEVEL_WARNING || l.count > l.warnings);
    }
}

static int endless_noise(void *user, int64_t draw, float *out, size_t count)
{
    (void)user;
    (void)draw;
    for (size_t i = 0; i < count; i++)
        out[i] = 3e38f;
    return 0;
}

static void test_picture_that_is_not_finite_is_warned_of(void **state)
{
    lines l = {0};
    api *a = open_with_log(&l, SDIFF_LOG_LEVEL_WARNING);
    sdiff_generate_params request = api_request("a red apple");
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    assert_int_equal(l.warnings, 0);
    request.noise = endless_noise;
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    assert_int_equal(l.warnings, 1);
    assert_non_null(strstr(l.last_warning, "not finite"));
    api_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_allocator_is_used_and_balanced),
        cmocka_unit_test(test_foretold_memory_is_what_is_used),
        cmocka_unit_test(test_memory_limit_is_refused_with_the_bytes_needed),
        cmocka_unit_test(test_failing_allocations_neither_crash_nor_leak),
        cmocka_unit_test(test_host_parallel_for_is_used_and_gives_the_same_bits),
        cmocka_unit_test(test_floating_point_mode_is_kept),
        cmocka_unit_test(test_library_prints_nothing),
        cmocka_unit_test(test_cut_prompt_is_warned_of_at_every_level),
        cmocka_unit_test(test_picture_that_is_not_finite_is_warned_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
