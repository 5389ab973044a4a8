/* SPDX-License-Identifier: MIT
 *
 * What the tests of the public API share: the small model, a host allocator that counts, bits of
 * results.
 */
#ifndef TEST_API_SUPPORT_H
#define TEST_API_SUPPORT_H

#include "support.h"

#include <stablediff/stablediff.h>

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline const char *api_model_path(void)
{
    static char path[4096];
    const char *root = getenv("SDIFF_SOURCE_DIR");
    assert_non_null(root);
    snprintf(path, sizeof path, "%s/models/tinysd", root);
    return path;
}

/* ---- a host allocator ------------------------------------------------------------------------ */

typedef struct api_heap {
    atomic_llong blocks, bytes, count; // held, held, allocations ever
    long long fail_at;                 // the n-th and all after it fail, 0: never
} api_heap;

static inline void *api_alloc(void *user, size_t size, size_t alignment)
{
    api_heap *heap = user;
    void *memory = NULL;
    const long long n = atomic_fetch_add(&heap->count, 1) + 1;
    if ((heap->fail_at && n >= heap->fail_at) || posix_memalign(&memory, alignment, size) != 0)
        return NULL;
    memset(memory, 0xcd, size); // nobody may count on zeros
    atomic_fetch_add(&heap->blocks, 1);
    atomic_fetch_add(&heap->bytes, (long long)size);
    return memory;
}

static inline void api_free(void *user, void *memory, size_t size)
{
    api_heap *heap = user;
    assert_non_null(memory);
    atomic_fetch_sub(&heap->blocks, 1);
    atomic_fetch_sub(&heap->bytes, (long long)size);
    free(memory);
}

static inline void api_heap_use(api_heap *heap, sdiff_context_params *params)
{
    params->alloc = api_alloc;
    params->free = api_free;
    params->memory_user = heap;
}

static inline void api_heap_assert_empty(api_heap *heap)
{
    assert_int_equal(atomic_load(&heap->blocks), 0);
    assert_int_equal(atomic_load(&heap->bytes), 0);
}

/* ---- context, model, pipeline ---------------------------------------------------------------- */

typedef struct api {
    api_heap heap;
    sdiff_context *context;
    sdiff_model *model;
    sdiff_pipeline *pipeline;
} api;

static inline api *api_open_with(sdiff_context_params *params)
{
    api *a = calloc(1, sizeof *a);
    assert_non_null(a);
    if (!params->alloc)
        api_heap_use(&a->heap, params);
    assert_int_equal(sdiff_context_new(params, &a->context), SDIFF_OK);
    if (sdiff_model_open(a->context, api_model_path(), NULL, &a->model) != SDIFF_OK)
        fail_msg("%s", sdiff_context_error(a->context));
    assert_int_equal(sdiff_pipeline_new(a->model, &a->pipeline), SDIFF_OK);
    return a;
}

static inline api *api_open(void)
{
    sdiff_context_params params;
    sdiff_context_params_init(&params, sizeof params);
    return api_open_with(&params);
}

static inline void api_close(api *a)
{
    sdiff_pipeline_free(a->pipeline);
    sdiff_model_free(a->model);
    sdiff_context_free(a->context);
    api_heap_assert_empty(&a->heap);
    free(a);
}

/* Few steps: enough for every stage to run. */
static inline sdiff_generate_params api_request(const char *prompt)
{
    sdiff_generate_params request;
    sdiff_generate_params_init(&request, sizeof request);
    request.prompt = prompt;
    request.steps = 3;
    request.seed = 7;
    request.width = request.height = 32;
    return request;
}

enum { API_LATENTS = 4 * 8 * 8, API_PIXELS = 3 * 32 * 32 };

/* Results of api_request() as numbers. */
typedef struct api_result {
    float latents[API_LATENTS], pixels[API_PIXELS];
} api_result;

static inline void api_ok(sdiff_pipeline *pipeline, sdiff_status status)
{
    if (status != SDIFF_OK)
        fail_msg("%s: %s", sdiff_status_string(status), sdiff_pipeline_error(pipeline));
}

static inline void api_take(sdiff_pipeline *pipeline, int32_t index, api_result *result)
{
    api_ok(pipeline, sdiff_pipeline_result(pipeline, index, result->latents, result->pixels));
}

static inline void api_make(sdiff_pipeline *pipeline, const sdiff_generate_params *request,
                            api_result *result)
{
    api_ok(pipeline, sdiff_pipeline_generate(pipeline, request));
    api_take(pipeline, 0, result);
}

static inline void api_assert_same(const api_result *a, const api_result *b)
{
    assert_memory_equal(a, b, sizeof *a);
}

static inline void api_assert_differ(const api_result *a, const api_result *b)
{
    assert_true(memcmp(a, b, sizeof *a) != 0);
}

#endif
