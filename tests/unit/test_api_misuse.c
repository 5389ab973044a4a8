/* SPDX-License-Identifier: MIT
 *
 * Misuse of the public API: numbers that make no sense, callbacks that fail at every point, readers
 * that lie, memory that runs out at every point of every kind of call.
 */
#include "test_api_support.h"

#include <limits.h>
#include <unistd.h>

/* ---- memory that runs out -------------------------------------------------------------------- */

/* What happens in a life, on a context that exists; the sentence of a failure is in `error`. */
typedef struct act {
    sdiff_context *context;
    sdiff_model *model;
    sdiff_pipeline *pipeline;
    const char *error;
} act;

typedef sdiff_status body(act *a);

static sdiff_status on_context(act *a, sdiff_status status)
{
    if (status != SDIFF_OK)
        a->error = sdiff_context_error(a->context);
    return status;
}

static sdiff_status on_model(act *a, sdiff_status status)
{
    if (status != SDIFF_OK)
        a->error = sdiff_model_error(a->model);
    return status;
}

static sdiff_status on_pipeline(act *a, sdiff_status status)
{
    if (status != SDIFF_OK)
        a->error = sdiff_pipeline_error(a->pipeline);
    return status;
}

#define TRY(call)                                                                                  \
    do {                                                                                           \
        const sdiff_status try_status = (call);                                                    \
        if (try_status != SDIFF_OK)                                                                \
            return try_status;                                                                     \
    } while (0)

static sdiff_status open_model(act *a, const char *path)
{
    TRY(on_context(a, sdiff_model_open(a->context, path, NULL, &a->model)));
    return on_model(a, sdiff_pipeline_new(a->model, &a->pipeline));
}

static sdiff_status generate(act *a, const sdiff_generate_params *request)
{
    TRY(on_pipeline(a, sdiff_pipeline_generate(a->pipeline, request)));
    if (sdiff_pipeline_image(a->pipeline, 0))
        return SDIFF_OK;
    return on_pipeline(a, SDIFF_ERROR_NO_MEMORY);
}

enum { SIDE = 16, PIXELS = SIDE * SIDE };

static sdiff_generate_params small_request(void)
{
    sdiff_generate_params request = api_request("a (red:1.2) [apple|cat] AND a dog");
    request.width = request.height = SIDE;
    request.steps = 1;
    return request;
}

static sdiff_status repaint(act *a)
{
    static const float picture[3 * PIXELS];
    static float mask[PIXELS];
    mask[0] = 1;
    TRY(open_model(a, api_model_path()));
    sdiff_generate_params request = small_request();
    request.image = picture;
    request.mask = mask;
    request.sampler = "dpmpp_2m_sde";
    request.schedule = "karras";
    return generate(a, &request);
}

static sdiff_status adapt(act *a)
{
    TRY(open_model(a, test_shared("fixtures/tiny-sd1")));
    TRY(on_model(a, sdiff_model_add_lora(
                        a->model, test_shared("fixtures/tiny-sd1/lora/kohya_locon.safetensors"),
                        0.5)));
    TRY(on_model(a, sdiff_model_add_embedding(
                        a->model, test_shared("fixtures/tiny-sd1/textual_inversion/my-style.pt"),
                        "x")));
    TRY(on_model(a, sdiff_model_clear_loras(a->model)));
    return on_model(a, sdiff_model_clear_embeddings(a->model));
}

static sdiff_status control(act *a)
{
    static const float hint[3 * PIXELS];
    sdiff_controlnet *net = NULL;
    sdiff_control_params params;
    TRY(open_model(a, test_shared("fixtures/tiny-sd1")));
    TRY(on_context(a, sdiff_controlnet_open(a->context, test_shared("fixtures/tiny-controlnet"),
                                            NULL, &net)));
    sdiff_control_params_init(&params, sizeof params);
    params.hint = hint;
    params.width = params.height = SIDE;
    sdiff_status status = sdiff_pipeline_add_control(a->pipeline, net, &params);
    sdiff_controlnet_free(net);
    TRY(on_pipeline(a, status));
    const sdiff_generate_params request = small_request();
    return generate(a, &request);
}

static sdiff_status save(act *a)
{
    char name[] = "/tmp/test_api_misuse.XXXXXX";
    TRY(open_model(a, api_model_path()));
    const int file = mkstemp(name);
    assert_true(file >= 0);
    close(file);
    const sdiff_status status = sdiff_model_save(a->model, name, NULL);
    unlink(name);
    return on_model(a, status);
}

static sdiff_status pictures(act *a)
{
    static const char pose[] = "{\"people\": [], \"canvas_width\": 8, \"canvas_height\": 8}";
    static const char *const text[] = {"key", "value \xc3\xa9", NULL};
    static const float map[4];
    sdiff_image *list[8] = {0};
    sdiff_context *c = a->context;
    sdiff_rect area;
    char name[] = "/tmp/test_api_misuse.XXXXXX";
    const int file = mkstemp(name);
    assert_true(file >= 0);
    close(file);
    sdiff_status status = sdiff_image_new(c, SIDE, SIDE, 3, NULL, &list[0]);
    if (status == SDIFF_OK)
        status = sdiff_image_save_png(c, list[0], name, text);
    if (status == SDIFF_OK)
        status = sdiff_image_load_png(c, name, &list[1]);
    if (status == SDIFF_OK)
        status = sdiff_image_resize(c, list[1], 7, 9, &list[2]);
    if (status == SDIFF_OK)
        status = sdiff_image_convert(c, list[2], 1, &list[3]);
    if (status == SDIFF_OK)
        status = sdiff_hint_canny(c, list[1], 1, 100, 200, &list[4]);
    if (status == SDIFF_OK)
        status = sdiff_hint_pose(c, pose, strlen(pose), 8, 8, &list[5]);
    if (status == SDIFF_OK)
        status = sdiff_hint_depth(c, map, 2, 2, 8, 8, &list[6]);
    if (status == SDIFF_OK)
        status = sdiff_mask_blur(c, list[3], 2);
    if (status == SDIFF_OK)
        status = sdiff_mask_area(c, list[4], 1, 8, 8, &area) == SDIFF_ERROR_NO_MEMORY
                     ? SDIFF_ERROR_NO_MEMORY
                     : SDIFF_OK;
    unlink(name);
    for (size_t i = 0; i < 8; i++)
        sdiff_image_free(list[i]);
    return on_context(a, status);
}

static sdiff_status components(act *a)
{
    static const int64_t ids[77], shape[] = {1, 77};
    sdiff_tensors *in = NULL, *out = NULL;
    TRY(open_model(a, api_model_path()));
    sdiff_status status = sdiff_tensors_new(a->context, &in);
    if (status == SDIFF_OK)
        status = sdiff_tensors_new(a->context, &out);
    status = on_context(a, status);
    if (status == SDIFF_OK) {
        status = sdiff_tensors_set(in, "input_ids", SDIFF_DTYPE_I64, 2, shape, ids);
        assert_true(status == SDIFF_OK || sdiff_tensors_error(in)[0]);
    }
    if (status == SDIFF_OK)
        status = on_model(a, sdiff_model_run(a->model, "text", in, NULL, out));
    sdiff_tensors_free(in);
    sdiff_tensors_free(out);
    return status;
}

/* Whether the n-th allocation was reached. */
static int live_with_failure(body *live, long long n)
{
    api_heap heap = {.fail_at = n};
    sdiff_context_params params;
    act a = {.error = "none"};
    sdiff_context_params_init(&params, sizeof params);
    params.threads = 1;
    api_heap_use(&heap, &params);
    sdiff_status status = sdiff_context_new(&params, &a.context);
    if (status == SDIFF_OK)
        status = live(&a);
    const int reached = atomic_load(&heap.count) >= n;
    if (status != (reached ? SDIFF_ERROR_NO_MEMORY : SDIFF_OK) || (reached && !a.error[0]))
        fail_msg("allocation %lld fails: status %d, '%s'", n, (int)status, a.error);
    sdiff_pipeline_free(a.pipeline);
    sdiff_model_free(a.model);
    sdiff_context_free(a.context);
    api_heap_assert_empty(&heap);
    return reached;
}

/* All allocations of a life that nothing disturbs. */
static long long count_allocations(body *live)
{
    long long low = 1, high = 2;
    while (live_with_failure(live, high)) {
        low = high;
        high *= 2;
    }
    while (high - low > 1) {
        const long long middle = low + (high - low) / 2;
        *(live_with_failure(live, middle) ? &low : &high) = middle;
    }
    return low;
}

/* Each of the first and the last ones, fewer between: most of them are the same lines again. */
static void fail_everywhere(body *live)
{
    enum { AT_ENDS = 40 };
    const long long count = count_allocations(live);
    long long tries = 0;
    for (long long n = 1; n <= count; n += n < AT_ENDS || n > count - AT_ENDS ? 1 : 1 + n / 23) {
        assert_true(live_with_failure(live, n));
        tries++;
    }
    print_message("%lld of %lld allocations\n", tries, count);
}

static void test_memory_that_runs_out_while_repainting(void **state)
{
    fail_everywhere(repaint);
}

static void test_memory_that_runs_out_while_adapting(void **state)
{
    fail_everywhere(adapt);
}

static void test_memory_that_runs_out_under_control(void **state)
{
    fail_everywhere(control);
}

static void test_memory_that_runs_out_while_saving(void **state)
{
    fail_everywhere(save);
}

static void test_memory_that_runs_out_on_pictures(void **state)
{
    fail_everywhere(pictures);
}

static void test_memory_that_runs_out_in_components(void **state)
{
    fail_everywhere(components);
}

/* ---- callbacks that fail --------------------------------------------------------------------- */

typedef struct failing {
    int left; // calls before the failure
} failing;

static int fails(failing *f)
{
    return f->left-- <= 0;
}

static int fail_step(void *user, const sdiff_step *step)
{
    return fails(user);
}

static int fail_progress(void *user, const sdiff_progress *progress)
{
    return fails(user);
}

static int fail_guide(void *user, const sdiff_guide *guide)
{
    return fails(user) ? INT_MIN : 0;
}

static int fail_noise(void *user, int64_t draw, float *out, size_t count)
{
    memset(out, 0, count * sizeof *out);
    return fails(user);
}

static double absurd_cfg(void *user, int32_t step, int32_t steps, double scale)
{
    return *(const double *)user;
}

static void test_callbacks_that_fail_at_any_point_stop_the_call(void **state)
{
    api *a = api_open();
    for (int kind = 0; kind < 4; kind++) {
        sdiff_status status = SDIFF_ERROR_CANCELLED;
        for (int n = 0; status == SDIFF_ERROR_CANCELLED && n < 200; n++) {
            failing f = {n};
            sdiff_generate_params request = api_request("a cat");
            request.sampler = "euler_a";
            request.on_step = kind == 0 ? fail_step : NULL;
            request.on_progress = kind == 1 ? fail_progress : NULL;
            request.guide = kind == 2 ? fail_guide : NULL;
            request.noise = kind == 3 ? fail_noise : NULL;
            request.step_user = request.progress_user = request.guide_user = &f;
            request.noise_user = &f;
            status = sdiff_pipeline_generate(a->pipeline, &request);
            if (status == SDIFF_OK)
                break;
            assert_int_equal(status, SDIFF_ERROR_CANCELLED);
            assert_int_not_equal(sdiff_pipeline_error(a->pipeline)[0], 0);
            assert_int_equal(sdiff_pipeline_image_count(a->pipeline), 0);
        }
        assert_int_equal(status, SDIFF_OK);
    }
    api_close(a);
}

static void test_absurd_guidance_is_refused_or_survived(void **state)
{
    static const double list[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 1e308, -1e308,
                                  1e-320};
    api *a = api_open();
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        double scale = list[i];
        sdiff_generate_params request = api_request("a cat");
        request.cfg = absurd_cfg;
        request.cfg_user = &scale;
        const sdiff_status status = sdiff_pipeline_generate(a->pipeline, &request);
        assert_true(status == SDIFF_OK || sdiff_pipeline_error(a->pipeline)[0]);
    }
    api_close(a);
}

/* ---- numbers that make no sense -------------------------------------------------------------- */

#define FIELD(member) offsetof(sdiff_generate_params, member)

static void test_every_number_of_a_request_may_be_absurd(void **state)
{
    static const size_t reals[] = {FIELD(cfg_scale), FIELD(cfg_rescale), FIELD(eta),
                                   FIELD(strength)};
    static const double doubles[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 1e308,
                                     -1e308, 1e-320, -0.0};
    static const size_t integers[] = {
        FIELD(width), FIELD(height), FIELD(steps), FIELD(batch_count), FIELD(rng), FIELD(spacing),
        FIELD(clip_skip), FIELD(no_decode), FIELD(emphasis), FIELD(class_label),
        FIELD(final_sigma_min), FIELD(depth_width), FIELD(depth_height), FIELD(encode_mode),
        FIELD(keep_unmasked), FIELD(start_from_image), FIELD(tile), FIELD(brownian)};
    static const int32_t ints[] = {INT32_MIN, -1, 3, 1 << 30, INT32_MAX};
    static const float picture[3 * PIXELS], mask[PIXELS];
    sdiff_context_params params;
    sdiff_context_params_init(&params, sizeof params);
    params.memory_limit = 200 << 20; // a size that is possible and huge is refused by this
    api *a = api_open_with(&params);
    for (int with_image = 0; with_image < 2; with_image++)
        for (size_t i = 0; i < sizeof reals / sizeof *reals + sizeof integers / sizeof *integers;
             i++) {
            const int real = i < sizeof reals / sizeof *reals;
            const size_t count =
                real ? sizeof doubles / sizeof *doubles : sizeof ints / sizeof *ints;
            for (size_t v = 0; v < count; v++) {
                sdiff_generate_params request = small_request();
                uint64_t bytes = 0;
                request.image = with_image ? picture : NULL;
                request.mask = with_image ? mask : NULL;
                char *at = (char *)&request;
                if (real)
                    memcpy(at + reals[i], &doubles[v], sizeof *doubles);
                else
                    memcpy(at + integers[i - sizeof reals / sizeof *reals], &ints[v], sizeof *ints);
                if (request.image && (request.width != SIDE || request.height != SIDE))
                    continue; // then the host's own arrays would be too small
                (void)sdiff_pipeline_memory(a->pipeline, &request, &bytes);
                const sdiff_status status = sdiff_pipeline_generate(a->pipeline, &request);
                if (status != SDIFF_OK && !sdiff_pipeline_error(a->pipeline)[0])
                    fail_msg("field %zu, value %zu: status %d without a sentence", i, v,
                             (int)status);
            }
        }
    api_close(a);
}

/* Latents, pictures and noise that are no numbers. */
static void test_arrays_without_numbers_are_survived(void **state)
{
    static float bad[3 * PIXELS];
    api *a = api_open();
    for (int kind = 0; kind < 3; kind++) {
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
            bad[i] = kind == 0 ? NAN : kind == 1 ? INFINITY : 3e38f;
        sdiff_generate_params request = small_request();
        request.init_latents = bad;
        sdiff_status status = sdiff_pipeline_generate(a->pipeline, &request);
        assert_true(status == SDIFF_OK || sdiff_pipeline_error(a->pipeline)[0]);
        if (status == SDIFF_OK)
            assert_non_null(sdiff_pipeline_image(a->pipeline, 0));
        request.init_latents = NULL;
        request.image = bad;
        status = sdiff_pipeline_generate(a->pipeline, &request);
        assert_int_equal(status, SDIFF_ERROR_INVALID_ARGUMENT);
        sdiff_image *image = NULL;
        status = sdiff_model_preview(a->model, bad, 2, 2, &image);
        assert_true(status == SDIFF_OK || sdiff_model_error(a->model)[0]);
        sdiff_image_free(image);
        image = NULL;
        status = sdiff_hint_depth(a->context, bad, 2, 2, 8, 8, &image);
        assert_true(status == SDIFF_OK || sdiff_context_error(a->context)[0]);
        sdiff_image_free(image);
    }
    api_close(a);
}

static void test_absurd_numbers_for_pictures_are_refused(void **state)
{
    static const int32_t ints[] = {INT32_MIN, -1, 0, 1 << 30, INT32_MAX};
    static const double doubles[] = {(double)NAN, (double)INFINITY, -1, 1e308};
    static const float map[4];
    api *a = api_open();
    sdiff_context *c = a->context;
    sdiff_image *image = NULL, *gray = NULL, *out = NULL;
    sdiff_rect area;
    assert_int_equal(sdiff_image_new(c, SIDE, SIDE, 3, NULL, &image), SDIFF_OK);
    assert_int_equal(sdiff_image_new(c, SIDE, SIDE, 1, NULL, &gray), SDIFF_OK);
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        const int32_t n = ints[i];
        assert_int_not_equal(sdiff_image_new(c, n, 4, 3, NULL, &out), SDIFF_OK);
        assert_int_not_equal(sdiff_image_new(c, 4, n, 3, NULL, &out), SDIFF_OK);
        assert_int_not_equal(sdiff_image_new(c, 4, 4, n, NULL, &out), SDIFF_OK);
        assert_int_not_equal(sdiff_image_resize(c, image, n, 4, &out), SDIFF_OK);
        assert_int_not_equal(sdiff_image_convert(c, image, n, &out), SDIFF_OK);
        const sdiff_rect rects[] = {{n, 0, 4, 4}, {0, n, 4, 4}, {1, 0, n, 4}, {0, 1, 4, n}};
        for (size_t r = 0; r < 4; r++)
            if (n || r > 1)
                assert_int_not_equal(sdiff_image_crop(c, image, &rects[r], &out), SDIFF_OK);
        assert_int_not_equal(sdiff_hint_depth(c, map, n, 2, 8, 8, &out), SDIFF_OK);
        assert_int_not_equal(sdiff_hint_depth(c, map, 2, 2, n, 8, &out), SDIFF_OK);
        assert_int_not_equal(sdiff_hint_pose(c, "{\"people\":[]}", 13, n, 8, &out), SDIFF_OK);
        (void)sdiff_mask_grow(c, gray, n);
        (void)sdiff_mask_area(c, gray, n, 8, 8, &area);
        (void)sdiff_mask_area(c, gray, 1, n, 8, &area);
        (void)sdiff_hint_scribble(c, image, n, n, &out);
        sdiff_image_free(out);
        out = NULL;
        assert_int_not_equal(sdiff_model_preview(a->model, map, n, 1, &out), SDIFF_OK);
    }
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++) {
        (void)sdiff_mask_blur(c, gray, doubles[i]);
        assert_int_not_equal(sdiff_hint_canny(c, image, doubles[i], 100, 200, &out), SDIFF_OK);
        sdiff_image_free(out);
        out = NULL;
        (void)sdiff_hint_canny(c, image, 1, doubles[i], doubles[i], &out);
        sdiff_image_free(out);
        out = NULL;
    }
    sdiff_image_free(image);
    sdiff_image_free(gray);
    api_close(a);
}

/* ---- NULL ------------------------------------------------------------------------------------ */

static void assert_null_is_named(sdiff_status status, const char *sentence, const char *which)
{
    assert_int_equal(status, SDIFF_ERROR_INVALID_ARGUMENT);
    if (!strstr(sentence, "NULL") || !strstr(sentence, which))
        fail_msg("'%s' does not name %s", sentence, which);
}

static void test_the_argument_that_is_null_is_named(void **state)
{
    api *a = api_open();
    sdiff_context *c = a->context;
    sdiff_model *m = a->model;
    sdiff_vae *vae = NULL;
    sdiff_tensors *tensors = NULL;
    sdiff_image *image = NULL;
    float x[4] = {0};
    assert_null_is_named(sdiff_model_open(c, NULL, NULL, &m), sdiff_context_error(c), "model");
    m = a->model;
    assert_null_is_named(sdiff_vae_open(c, NULL, NULL, &vae), sdiff_context_error(c), "path");
    assert_null_is_named(sdiff_image_load_png(c, NULL, &image), sdiff_context_error(c), "read");
    assert_null_is_named(sdiff_hint_canny(c, NULL, 1, 2, 3, &image), sdiff_context_error(c),
                         "read");
    assert_null_is_named(sdiff_model_add_lora(m, NULL, 1), sdiff_model_error(m), "path");
    assert_null_is_named(sdiff_model_save(m, NULL, NULL), sdiff_model_error(m), "path");
    assert_null_is_named(sdiff_model_preview(m, NULL, 1, 1, &image), sdiff_model_error(m),
                         "latents");
    assert_null_is_named(sdiff_pipeline_memory(a->pipeline, NULL, NULL),
                         sdiff_pipeline_error(a->pipeline), "bytes");
    assert_null_is_named(sdiff_pipeline_add_control(a->pipeline, NULL, NULL),
                         sdiff_pipeline_error(a->pipeline), "controlnet");
    assert_int_equal(sdiff_vae_of_model(m, &vae), SDIFF_OK);
    assert_null_is_named(sdiff_vae_decode(vae, NULL, 1, 1, 1, x), sdiff_vae_error(vae), "z");
    sdiff_vae_free(vae);
    assert_int_equal(sdiff_tensors_new(c, &tensors), SDIFF_OK);
    assert_null_is_named(sdiff_tensors_save(tensors, NULL), sdiff_tensors_error(tensors), "path");
    assert_null_is_named(sdiff_tensors_set(tensors, "x", 0, 1, NULL, x),
                         sdiff_tensors_error(tensors), "shape");
    sdiff_tensors_free(tensors);
    api_close(a);
}

/* ---- readers --------------------------------------------------------------------------------- */

typedef struct liar {
    const unsigned char *bytes;
    size_t size;
    long long left; // calls before it fails or lies
    int lies;       // what it does then: 0 fails, 1 gives other bytes, 2 leaves the buffer
} liar;

static int read_liar(void *user, uint64_t offset, void *buffer, uint64_t size)
{
    liar *r = user;
    if (offset > r->size || size > r->size - offset)
        return -1;
    if (r->left-- > 0 || r->lies) {
        memcpy(buffer, r->bytes + offset, (size_t)size);
        if (r->left < 0 && r->lies == 1)
            memset(buffer, 0x7f, (size_t)size);
        if (r->left < 0 && r->lies == 2)
            memset(buffer, 0xcd, (size_t)size);
        return 0;
    }
    return -1;
}

static void test_readers_that_fail_or_lie_at_any_point(void **state)
{
    size_t size = 0;
    unsigned char *bytes = test_read_file(test_shared("fixtures-ldm/sd1-micro.ckpt"), &size);
    for (int lies = 0; lies < 3; lies++) {
        long long n = 0;
        sdiff_status status = SDIFF_ERROR_IO;
        for (; n < 2000; n += 1 + n / 5) {
            liar r = {bytes, size, n, lies};
            api_heap heap = {0};
            sdiff_context_params params;
            sdiff_context *context = NULL;
            sdiff_model *model = NULL;
            sdiff_context_params_init(&params, sizeof params);
            params.threads = 1;
            params.memory_limit = 500 << 20;
            api_heap_use(&heap, &params);
            assert_int_equal(sdiff_context_new(&params, &context), SDIFF_OK);
            status = sdiff_model_open_reader(context, read_liar, &r, size, NULL, &model);
            assert_true(status == SDIFF_OK || sdiff_context_error(context)[0]);
            if (r.left < 0 && !lies)
                assert_int_not_equal(status, SDIFF_OK);
            sdiff_model_free(model);
            sdiff_context_free(context);
            api_heap_assert_empty(&heap);
            if (r.left >= 0)
                break;
        }
        assert_true(n > 10);
        assert_int_equal(status, SDIFF_OK);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_that_runs_out_while_repainting),
        cmocka_unit_test(test_memory_that_runs_out_while_adapting),
        cmocka_unit_test(test_memory_that_runs_out_under_control),
        cmocka_unit_test(test_memory_that_runs_out_while_saving),
        cmocka_unit_test(test_memory_that_runs_out_on_pictures),
        cmocka_unit_test(test_memory_that_runs_out_in_components),
        cmocka_unit_test(test_callbacks_that_fail_at_any_point_stop_the_call),
        cmocka_unit_test(test_absurd_guidance_is_refused_or_survived),
        cmocka_unit_test(test_every_number_of_a_request_may_be_absurd),
        cmocka_unit_test(test_arrays_without_numbers_are_survived),
        cmocka_unit_test(test_absurd_numbers_for_pictures_are_refused),
        cmocka_unit_test(test_the_argument_that_is_null_is_named),
        cmocka_unit_test(test_readers_that_fail_or_lie_at_any_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
