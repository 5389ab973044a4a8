/* SPDX-License-Identifier: MIT
 *
 * Callbacks of a run, cancelling it, and the same run as a loop of the host's own.
 */
#include "test_api_support.h"

#include <time.h>

/* ---- progress and steps ---------------------------------------------------------------------- */

typedef struct watcher {
    int32_t steps, images, calls;
    double fraction, seconds;
    int32_t phase, image, step;
    int finite;
} watcher;

static int watch_progress(void *user, const sdiff_progress *p)
{
    watcher *w = user;
    assert_int_equal(p->struct_size, sizeof *p);
    assert_true(p->fraction >= w->fraction && p->fraction <= 1);
    assert_true(p->seconds >= w->seconds);
    assert_true(p->image > w->image || (p->image == w->image && p->step >= w->step));
    assert_in_range(p->phase, 0, 2);
    w->fraction = p->fraction;
    w->seconds = p->seconds;
    w->image = p->image;
    w->step = p->step;
    w->phase = p->phase;
    w->calls++;
    return 0;
}

static int watch_step(void *user, const sdiff_step *s)
{
    watcher *w = user;
    assert_int_equal(s->struct_size, sizeof *s);
    assert_int_equal(s->step, w->steps % 20);
    assert_int_equal(s->image, w->steps / 20);
    assert_int_equal(s->steps, 20);
    assert_int_equal(s->channels, 4);
    assert_int_equal(s->height, 8);
    assert_int_equal(s->width, 8);
    assert_true(s->sigma > 0 && s->timestep >= 0 && s->timestep < 1000 && s->seconds >= 0);
    for (int i = 0; i < API_LATENTS; i++)
        w->finite += isfinite(s->latents[i]) && isfinite(s->predicted_x0[i]);
    w->steps++;
    return 0;
}

static void test_progress_rises_to_1_and_every_step_is_told(void **state)
{
    static const char *const samplers[] = {"dpmpp_2m", "euler_a", "ddim", "heun"};
    for (size_t i = 0; i < sizeof samplers / sizeof samplers[0]; i++) {
        api *a = api_open();
        watcher w = {0};
        sdiff_generate_params request = api_request("a red apple");
        request.sampler = samplers[i];
        request.steps = 20;
        request.batch_count = 2;
        request.on_progress = watch_progress;
        request.on_step = watch_step;
        request.progress_user = request.step_user = &w;
        api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
        assert_true(w.fraction == 1);
        assert_int_equal(w.phase, 2);
        assert_int_equal(w.image, 1);
        assert_int_equal(w.step, 19);
        assert_int_equal(w.steps, 40);
        assert_int_equal(w.finite, 40 * API_LATENTS);
        api_close(a);
    }
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static int stop_at_second_step(void *user, const sdiff_step *step)
{
    return step->step == 1;
}

static int stop_at_half(void *user, const sdiff_progress *progress)
{
    return progress->fraction > 0.5;
}

static void assert_usable(sdiff_pipeline *pipeline, const api_result *expected)
{
    api_result result;
    const sdiff_generate_params request = api_request("a red apple");
    api_make(pipeline, &request, &result);
    api_assert_same(expected, &result);
}

static void test_callbacks_cancel_and_the_handle_stays_usable(void **state)
{
    api *a = api_open();
    api_result expected;
    sdiff_generate_params request = api_request("a red apple");
    api_make(a->pipeline, &request, &expected);
    request.on_step = stop_at_second_step;
    assert_int_equal(sdiff_pipeline_generate(a->pipeline, &request), SDIFF_ERROR_CANCELLED);
    assert_int_equal(sdiff_pipeline_image_count(a->pipeline), 0);
    assert_usable(a->pipeline, &expected);
    request.on_step = NULL;
    request.on_progress = stop_at_half;
    request.steps = 200; // long enough for several calls
    assert_int_equal(sdiff_pipeline_generate(a->pipeline, &request), SDIFF_ERROR_CANCELLED);
    assert_usable(a->pipeline, &expected);
    api_close(a);
}

static int cancel_here(void *user, const sdiff_step *step)
{
    sdiff_pipeline_cancel(user);
    return 0;
}

static void test_cancel_takes_effect_before_the_next_step(void **state)
{
    api *a = api_open();
    api_result expected;
    sdiff_generate_params request = api_request("a red apple");
    api_make(a->pipeline, &request, &expected);
    request.on_step = cancel_here;
    request.step_user = a->pipeline;
    assert_int_equal(sdiff_pipeline_generate(a->pipeline, &request), SDIFF_ERROR_CANCELLED);
    sdiff_pipeline_cancel(a->pipeline); // nothing runs: nothing happens
    assert_usable(a->pipeline, &expected);
    api_close(a);
}

typedef struct long_run {
    sdiff_pipeline *pipeline;
    atomic_int steps;
    double step_seconds; // of the first step
    struct timespec cancelled, ended;
    _Atomic sdiff_status status;
} long_run;

static int count_step(void *user, const sdiff_step *step)
{
    long_run *r = user;
    if (step->step == 0)
        r->step_seconds = step->seconds;
    atomic_fetch_add(&r->steps, 1);
    return 0;
}

static void *run_long(void *argument)
{
    long_run *r = argument;
    sdiff_generate_params request = api_request("a red apple");
    request.steps = 900;
    request.on_step = count_step;
    request.step_user = r;
    request.width = request.height = 128;
    r->status = sdiff_pipeline_generate(r->pipeline, &request);
    clock_gettime(CLOCK_MONOTONIC, &r->ended);
    return NULL;
}

static void test_another_thread_cancels(void **state)
{
    api *a = api_open();
    api_result expected;
    const sdiff_generate_params request = api_request("a red apple");
    api_make(a->pipeline, &request, &expected);
    long_run r = {.pipeline = a->pipeline};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_long, &r), 0);
    while (atomic_load(&r.steps) < 2 && r.status == SDIFF_OK)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    sdiff_pipeline_cancel(a->pipeline);
    clock_gettime(CLOCK_MONOTONIC, &r.cancelled);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(r.status, SDIFF_ERROR_CANCELLED);
    assert_true(atomic_load(&r.steps) < 900);
    const double delay = (double)(r.ended.tv_sec - r.cancelled.tv_sec) +
                         1e-9 * (double)(r.ended.tv_nsec - r.cancelled.tv_nsec);
    print_message("cancelled %.4f s after the call, a step takes %.4f s\n", delay, r.step_seconds);
    assert_true(delay < 5); // a loaded machine; the run would last for minutes
    assert_usable(a->pipeline, &expected);
    api_close(a);
}

/* ---- a loop of the host's own ---------------------------------------------------------------- */

/* The context of a prompt through the components. */
static void encode(api *a, const char *prompt, float *context, size_t count)
{
    sdiff_tokenizer *tokenizer = NULL;
    sdiff_tensors *in = NULL, *out = NULL;
    int64_t ids[77];
    int32_t text[75], found = 0;
    assert_int_equal(sdiff_tokenizer_of_model(a->model, &tokenizer), SDIFF_OK);
    assert_int_equal(sdiff_tokenizer_encode(tokenizer, prompt, (size_t)-1, 0, text, 75, &found),
                     SDIFF_OK);
    for (int i = 0; i < 77; i++)
        ids[i] = sdiff_tokenizer_pad(tokenizer);
    ids[0] = sdiff_tokenizer_bos(tokenizer);
    for (int32_t i = 0; i < found; i++)
        ids[1 + i] = text[i];
    ids[1 + found] = sdiff_tokenizer_eos(tokenizer);
    const int64_t shape[2] = {1, 77};
    assert_int_equal(sdiff_tensors_new(a->context, &in), SDIFF_OK);
    assert_int_equal(sdiff_tensors_new(a->context, &out), SDIFF_OK);
    assert_int_equal(sdiff_tensors_set(in, "input_ids", SDIFF_DTYPE_I64, 2, shape, ids), SDIFF_OK);
    assert_int_equal(sdiff_model_run(a->model, "text", in, NULL, out), SDIFF_OK);
    assert_int_equal(sdiff_tensors_get_f32(out, "context", context, count), SDIFF_OK);
    sdiff_tensors_free(in);
    sdiff_tensors_free(out);
    sdiff_tokenizer_free(tokenizer);
}

enum { CONTEXT = 77 * 96 };

static void predict(api *a, const float *sample, double timestep, const float *context, float *out)
{
    sdiff_tensors *in = NULL, *result = NULL;
    const int64_t sample_shape[4] = {1, 4, 8, 8}, context_shape[3] = {1, 77, 96};
    const float t = (float)timestep;
    assert_int_equal(sdiff_tensors_new(a->context, &in), SDIFF_OK);
    assert_int_equal(sdiff_tensors_new(a->context, &result), SDIFF_OK);
    sdiff_tensors_set(in, "sample", SDIFF_DTYPE_F32, 4, sample_shape, sample);
    sdiff_tensors_set(in, "timestep", SDIFF_DTYPE_F32, 0, NULL, &t);
    sdiff_tensors_set(in, "context", SDIFF_DTYPE_F32, 3, context_shape, context);
    if (sdiff_model_run(a->model, "unet", in, NULL, result) != SDIFF_OK)
        fail_msg("%s", sdiff_model_error(a->model));
    assert_int_equal(sdiff_tensors_get_f32(result, "out", out, API_LATENTS), SDIFF_OK);
    sdiff_tensors_free(in);
    sdiff_tensors_free(result);
}

static void run_loop(api *a, double cfg, const float *contexts, float *latents)
{
    sdiff_sampler *sampler = NULL;
    sdiff_sampler_params params;
    float input[API_LATENTS], negative[API_LATENTS], prompt[API_LATENTS];
    double timestep = 0;
    sdiff_sampler_params_init(&params, sizeof params);
    params.name = "ddim";
    params.steps = 3;
    params.count = API_LATENTS;
    assert_int_equal(sdiff_sampler_new(a->context, &params, &sampler), SDIFF_OK);
    sdiff_randn(SDIFF_RNG_TORCH, 7, latents, API_LATENTS);
    for (int i = 0; i < API_LATENTS; i++)
        latents[i] *= (float)sdiff_sampler_init_sigma(sampler);
    assert_int_equal(sdiff_sampler_begin(sampler, latents), SDIFF_OK);
    while (sdiff_sampler_request(sampler, input, &timestep, NULL)) {
        predict(a, input, timestep, contexts + CONTEXT, prompt);
        if (cfg != 1) {
            predict(a, input, timestep, contexts, negative);
            for (int i = 0; i < API_LATENTS; i++)
                prompt[i] = negative[i] + (float)cfg * (prompt[i] - negative[i]);
        }
        assert_int_equal(sdiff_sampler_supply(sampler, prompt), SDIFF_OK);
    }
    memcpy(latents, sdiff_sampler_latents(sampler), API_LATENTS * sizeof *latents);
    sdiff_sampler_free(sampler);
}

static double worst_difference(const float *a, const float *b)
{
    double worst = 0;
    for (int i = 0; i < API_LATENTS; i++)
        worst = fmax(worst, fabs((double)a[i] - b[i]));
    return worst;
}

/* One half in the pipeline is the same call as the host's own, both halves are a batch of two. */
static void test_own_loop_equals_the_pipeline(void **state)
{
    api *a = api_open();
    float contexts[2 * CONTEXT], latents[API_LATENTS];
    api_result result;
    sdiff_generate_params request = api_request("a red apple");
    request.sampler = "ddim";
    encode(a, "", contexts, CONTEXT);
    encode(a, "a red apple", contexts + CONTEXT, CONTEXT);
    request.cfg_scale = 1;
    api_make(a->pipeline, &request, &result);
    run_loop(a, 1, contexts, latents);
    print_message("cfg 1: worst difference %g\n", worst_difference(latents, result.latents));
    assert_true(worst_difference(latents, result.latents) < 1e-4);
    request.cfg_scale = 5;
    api_make(a->pipeline, &request, &result);
    run_loop(a, 5, contexts, latents);
    print_message("cfg 5: worst difference %g\n", worst_difference(latents, result.latents));
    assert_true(worst_difference(latents, result.latents) < 1e-3);
    api_close(a);
}

static void test_decoding_latents_gives_the_picture(void **state)
{
    api *a = api_open();
    api_result result;
    float z[API_LATENTS], pixels[API_PIXELS];
    sdiff_vae *vae = NULL;
    const sdiff_generate_params request = api_request("a red apple");
    api_make(a->pipeline, &request, &result);
    assert_int_equal(sdiff_vae_of_model(a->model, &vae), SDIFF_OK);
    assert_int_equal(sdiff_vae_latent_scale(vae), 4);
    for (int i = 0; i < API_LATENTS; i++)
        z[i] = (float)(result.latents[i] / sdiff_vae_scaling_factor(vae));
    assert_int_equal(sdiff_vae_decode(vae, z, 1, 8, 8, pixels), SDIFF_OK);
    for (int i = 0; i < API_PIXELS; i++) {
        const float x = pixels[i] * 0.5f + 0.5f;
        assert_true(fabsf((x > 0 ? (x < 1 ? x : 1) : 0) - result.pixels[i]) < 1e-6f);
    }
    sdiff_vae_free(vae);
    api_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress_rises_to_1_and_every_step_is_told),
        cmocka_unit_test(test_callbacks_cancel_and_the_handle_stays_usable),
        cmocka_unit_test(test_cancel_takes_effect_before_the_next_step),
        cmocka_unit_test(test_another_thread_cancels),
        cmocka_unit_test(test_own_loop_equals_the_pipeline),
        cmocka_unit_test(test_decoding_latents_gives_the_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
