/* SPDX-License-Identifier: MIT
 *
 * Memory limits: whatever the limit, a picture is either the one that is made without it, made in
 * that much memory, or refused with the number of bytes needed.
 */
#include "test_api_support.h"

#include <unistd.h>

enum { SIDE = 96, PIXELS = 3 * SIDE * SIDE, LATENTS = 4 * SIDE / 4 * SIDE / 4 };

typedef struct picture {
    float latents[LATENTS], pixels[PIXELS];
} picture;

/* How a picture came about, by what the library says of it. */
typedef struct run {
    uint64_t limit; // 0: none
    int32_t compute;
    int32_t tile;
    const char *path, *lora;
    const float *image; // image to image
    const void *bytes;  // a model in memory, in place of `path`
    size_t size;
    int packed, rows, tiles; // weights packed anew, rows one by one, tiles
    uint64_t opened, foretold, peak;
    uint64_t needed; // where it was refused
    picture result;
} run;

static void listen(void *user, int32_t level, const char *message)
{
    run *r = user;
    (void)level;
    r->packed |= strstr(message, "packed anew in each step") != NULL;
    r->rows |= strstr(message, "row by row") != NULL;
    r->tiles |= strstr(message, "tiles") != NULL;
}

/* The largest number of a sentence. */
static uint64_t number_in(const char *text)
{
    uint64_t most = 0;
    while (*text) {
        char *end = NULL;
        const uint64_t number = strtoull(text, &end, 10);
        if (end != text && number > most)
            most = number;
        text = end != text ? end : text + 1;
    }
    return most;
}

static sdiff_generate_params request_of(const run *r)
{
    sdiff_generate_params request;
    sdiff_generate_params_init(&request, sizeof request);
    request.prompt = "a green apple";
    request.negative_prompt = "a cat";
    request.steps = 2;
    request.seed = 3;
    request.width = request.height = SIDE;
    request.tile = r->tile;
    request.image = r->image;
    return request;
}

static sdiff_status draw(run *r, const api *a)
{
    const sdiff_generate_params request = request_of(r);
    sdiff_context_memory(a->context, &r->opened, NULL);
    sdiff_status status = sdiff_pipeline_memory(a->pipeline, &request, &r->foretold);
    if (status == SDIFF_OK)
        status = sdiff_pipeline_generate(a->pipeline, &request);
    if (status == SDIFF_OK)
        status = sdiff_pipeline_result(a->pipeline, 0, r->result.latents, r->result.pixels);
    if (status == SDIFF_OK && !sdiff_pipeline_image(a->pipeline, 0))
        status = SDIFF_ERROR_NO_MEMORY;
    if (status != SDIFF_OK)
        r->needed = number_in(sdiff_pipeline_error(a->pipeline));
    return status;
}

static sdiff_status open_and_draw(run *r, api *a)
{
    sdiff_model_params params;
    sdiff_model_params_init(&params, sizeof params);
    params.compute = r->compute;
    params.width = params.height = SIDE;
    const char *path = r->path ? r->path : api_model_path();
    params.vocab = r->bytes ? path : NULL;
    sdiff_status status =
        r->bytes ? sdiff_model_open_memory(a->context, r->bytes, r->size, &params, &a->model)
                 : sdiff_model_open(a->context, path, &params, &a->model);
    if (status != SDIFF_OK) {
        r->needed = number_in(sdiff_context_error(a->context));
        return status;
    }
    if (r->lora) {
        status = sdiff_model_add_lora(a->model, r->lora, 1);
        if (status != SDIFF_OK)
            r->needed = number_in(sdiff_model_error(a->model));
    }
    if (status == SDIFF_OK && (status = sdiff_pipeline_new(a->model, &a->pipeline)) == SDIFF_OK)
        status = draw(r, a);
    return status;
}

/* Makes a picture from nothing; NO_MEMORY is the only failure that may be. */
static int make(run *r)
{
    api a = {0};
    sdiff_context_params params;
    sdiff_context_params_init(&params, sizeof params);
    params.memory_limit = r->limit;
    params.threads = 2;
    params.log = listen;
    params.log_user = r;
    api_heap_use(&a.heap, &params);
    r->packed = r->rows = r->tiles = 0;
    sdiff_status status = sdiff_context_new(&params, &a.context);
    if (status == SDIFF_OK)
        status = open_and_draw(r, &a);
    sdiff_context_memory(a.context, NULL, &r->peak);
    if (status != SDIFF_OK && status != SDIFF_ERROR_NO_MEMORY)
        fail_msg("limit %llu: %s", (unsigned long long)r->limit, sdiff_context_error(a.context));
    sdiff_pipeline_free(a.pipeline);
    sdiff_model_free(a.model);
    sdiff_context_free(a.context);
    api_heap_assert_empty(&a.heap);
    return status == SDIFF_OK;
}

static double psnr(const float *a, const float *b, int count)
{
    double sum = 1e-12;
    for (int i = 0; i < count; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return 10 * log10(count / sum);
}

static double worst(const float *a, const float *b, int count)
{
    double most = 0;
    for (int i = 0; i < count; i++)
        most = fmax(most, fabs((double)a[i] - b[i]));
    return most;
}

/* A batch of another size divides sums differently: float32's roundings, in bf16 those of operands
 * that fall to the other side. */
static double slack(const run *r)
{
    return r->compute == SDIFF_COMPUTE_BF16 ? 0.2 : 2e-4;
}

static void check_picture(const run *r, const run *plain)
{
    const int encoded_in_tiles = r->image && r->tiles; // then latents differ as pixels do
    if (!r->rows && !encoded_in_tiles)
        assert_memory_equal(r->result.latents, plain->result.latents, sizeof r->result.latents);
    else if (!encoded_in_tiles)
        assert_true(worst(r->result.latents, plain->result.latents, LATENTS) < slack(r));
    if (!r->rows && !r->tiles)
        assert_memory_equal(r->result.pixels, plain->result.pixels, sizeof r->result.pixels);
    else if (psnr(r->result.pixels, plain->result.pixels, PIXELS) < (r->tiles ? 18 : 40))
        fail_msg("limit %llu: PSNR %g", (unsigned long long)r->limit,
                 psnr(r->result.pixels, plain->result.pixels, PIXELS));
}

static void check_memory(const run *r)
{
    const uint64_t foretold = r->opened + r->foretold;
    if (r->limit)
        assert_true(r->peak <= r->limit);
    if (r->peak > foretold)
        fail_msg("limit %llu: %llu bytes were foretold, %llu were in use",
                 (unsigned long long)r->limit, (unsigned long long)foretold,
                 (unsigned long long)r->peak);
}

/* ---- all limits ------------------------------------------------------------------------------ */

typedef struct seen {
    int refused, resident, packed, rows, tiles;
} seen;

static void try_limits(int32_t compute, const float *image, seen *s)
{
    static run plain, r;
    memset(&plain, 0, sizeof plain);
    plain.compute = compute;
    plain.image = image;
    assert_true(make(&plain));
    check_memory(&plain);
    assert_false(plain.packed || plain.rows || plain.tiles);
    double lowest_tiles = 100;
    for (double limit = 5e4; limit < 1.3 * (double)plain.peak; limit *= 1.12) {
        memset(&r, 0, sizeof r);
        r.compute = compute;
        r.image = image;
        r.limit = (uint64_t)limit;
        if (!make(&r)) {
            assert_true(r.needed > 0 && r.peak <= r.limit);
            assert_false(s->resident + s->packed); // more never is worse
            s->refused++;
            continue;
        }
        check_picture(&r, &plain);
        check_memory(&r);
        if (r.tiles)
            lowest_tiles = fmin(lowest_tiles, psnr(r.result.pixels, plain.result.pixels, PIXELS));
        s->packed += r.packed;
        s->rows += r.rows;
        s->tiles += r.tiles;
        s->resident += !r.packed;
    }
    print_message("refused %d, packed anew %d (row by row %d, tiles %d), resident %d; PSNR of "
                  "tiles %.1f\n", s->refused, s->packed, s->rows, s->tiles, s->resident,
                  lowest_tiles);
}

static void test_every_limit_is_met_or_refused(void **state)
{
    seen f32 = {0}, bf16 = {0};
    try_limits(SDIFF_COMPUTE_F32, NULL, &f32);
    try_limits(SDIFF_COMPUTE_BF16, NULL, &bf16);
    assert_true(f32.refused && f32.packed && f32.resident);
    assert_true(f32.rows + bf16.rows);
    assert_true(f32.tiles + bf16.tiles);
}

static void test_every_limit_is_met_or_refused_with_a_picture(void **state)
{
    static float image[PIXELS];
    seen s = {0};
    for (int i = 0; i < PIXELS; i++)
        image[i] = (float)(i % SIDE) / SIDE;
    try_limits(SDIFF_COMPUTE_F32, image, &s);
    assert_true(s.refused && s.packed && s.resident);
}

static void test_the_number_of_a_refusal_leads_to_a_picture(void **state)
{
    static run r;
    memset(&r, 0, sizeof r);
    r.compute = SDIFF_COMPUTE_F32;
    r.limit = 3000000;
    int rounds = 0;
    while (!make(&r) && rounds++ < 4) {
        print_message("%llu bytes are not enough: %llu\n", (unsigned long long)r.limit,
                      (unsigned long long)r.needed);
        assert_true(r.needed > r.limit);
        r.limit = r.needed;
    }
    assert_true(rounds <= 2);
}

/* ---- tiles ----------------------------------------------------------------------------------- */

static void test_tiles_that_are_asked_for(void **state)
{
    static run plain, r;
    memset(&plain, 0, sizeof plain);
    assert_true(make(&plain));
    memset(&r, 0, sizeof r);
    r.tile = 64;
    assert_true(make(&r));
    check_memory(&r);
    assert_true(r.tiles && !r.packed);
    assert_memory_equal(r.result.latents, plain.result.latents, sizeof r.result.latents);
    const double found = psnr(r.result.pixels, plain.result.pixels, PIXELS);
    print_message("tiles of 64 pixels: PSNR %.1f\n", found);
    assert_true(found > 20 && found < 100);
    r.tile = SIDE; // one tile is the whole
    assert_true(make(&r));
    assert_memory_equal(&r.result, &plain.result, sizeof r.result);
}

/* ---- streamed weights ------------------------------------------------------------------------ */

static void test_adapters_change_streamed_weights(void **state)
{
    static run plain, r;
    const char *path = test_shared("fixtures/tiny-sd1");
    const char *lora = test_shared("fixtures/tiny-sd1/lora/pytorch_lora_weights_peft.safetensors");
    memset(&plain, 0, sizeof plain);
    plain.path = path;
    plain.lora = lora;
    assert_true(make(&plain));
    int made = 0, packed = 0;
    for (double part = 0.3; part < 1; part += 0.02) {
        memset(&r, 0, sizeof r);
        r.path = path;
        r.lora = lora;
        r.limit = (uint64_t)((double)plain.peak * part);
        if (!make(&r))
            continue;
        made++;
        packed += r.packed && !r.rows && !r.tiles;
        check_picture(&r, &plain);
    }
    print_message("%d pictures with an adapter, %d of them from weights packed anew\n", made,
                  packed);
    assert_true(packed);
}

/* Their memory is the host's, whatever is done with files. */
static void test_models_in_memory_are_streamed_and_left_alone(void **state)
{
    static run plain, r;
    char path[] = "/tmp/sdiff-limit-XXXXXX";
    assert_true(close(mkstemp(path)) == 0);
    api *a = api_open();
    sdiff_save_params params;
    sdiff_save_params_init(&params, sizeof params);
    params.format = SDIFF_SAVE_LDM;
    if (sdiff_model_save(a->model, path, &params) != SDIFF_OK)
        fail_msg("%s", sdiff_model_error(a->model));
    api_close(a);
    size_t size = 0;
    void *bytes = test_read_file(path, &size), *copy = malloc(size);
    unlink(path);
    assert_true(bytes && copy);
    memcpy(copy, bytes, size);
    memset(&plain, 0, sizeof plain);
    plain.bytes = bytes;
    plain.size = size;
    assert_true(make(&plain));
    r = plain;
    r.limit = plain.peak * 2 / 3;
    assert_true(make(&r));
    assert_true(r.packed);
    check_picture(&r, &plain);
    assert_memory_equal(bytes, copy, size);
    free(bytes);
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_limit_is_met_or_refused),
        cmocka_unit_test(test_every_limit_is_met_or_refused_with_a_picture),
        cmocka_unit_test(test_the_number_of_a_refusal_leads_to_a_picture),
        cmocka_unit_test(test_tiles_that_are_asked_for),
        cmocka_unit_test(test_adapters_change_streamed_weights),
        cmocka_unit_test(test_models_in_memory_are_streamed_and_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
