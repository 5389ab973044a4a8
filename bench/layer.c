/* SPDX-License-Identifier: MIT
 *
 * Layers to time. Weights are held so many times that going round them leaves the caches, as a
 * whole step does.
 */
#include "layer.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    BATCH = 2,
    COPIES_MAX = 64,
    REPEATS_MAX = 101,
};
static const size_t cold_bytes = (size_t)96 << 20;
static const double seconds_a_layer = 0.5;

/* A layer at work. */
typedef struct work {
    const bench *b;
    const layer *l;
    sdi_packed packed[COPIES_MAX];
    int32_t copies;
    void *blocks[COPIES_MAX + 16]; // everything that was allocated
    int32_t block_count;
    int failed;
    float *vector; // weight or bias
    sdi_exec exec;
    sdi_linear linear;
    sdi_conv conv;
    sdi_attention attention;
    sdi_group_norm group_norm;
    sdi_layer_norm layer_norm;
} work;

double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int64_t conv_out(const layer *l)
{
    return (l->size[5] ? 2 * l->size[0] : l->size[0]) / l->size[4];
}

double bench_flops(const layer *l)
{
    const int32_t *s = l->size;
    switch (l->kind) {
    case LINEAR: return 2.0 * s[0] * s[1] * s[2];
    case CONV: {
        const double side = (double)conv_out(l);
        return 2.0 * BATCH * side * side * s[1] * s[2] * s[3] * s[3];
    }
    case ATTENTION: return 4.0 * BATCH * s[0] * s[1] * s[2] * s[3];
    case GROUP_NORM:
    case LAYER_NORM: break;
    }
    return 0;
}

double bench_bytes(const layer *l, const bench *b)
{
    const double in = sizeof(float); // the residual stream
    const double out = (double)sdi_dtype_size(b->k.operand);
    const double numbers = (double)l->size[0] * l->size[1];
    return l->kind == GROUP_NORM ? BATCH * numbers * (2 * in + out) : numbers * (in + out);
}

void bench_name(const layer *l, char *name, size_t size)
{
    const int32_t *s = l->size;
    switch (l->kind) {
    case LINEAR:
        snprintf(name, size, "linear %dx%dx%d%s", s[0], s[1], s[2], s[3] ? " GEGLU" : "");
        break;
    case CONV:
        snprintf(name, size, "conv%d %d->%d on %dx%d%s%s", s[3], s[1], s[2], s[0], s[0],
                 s[4] == 2 ? " stride 2" : "", s[5] ? " upsampled" : "");
        break;
    case ATTENTION:
        snprintf(name, size, "attention %dx%d %d heads of %d", s[0], s[1], s[2], s[3]);
        break;
    case GROUP_NORM:
        snprintf(name, size, "group_norm %d pixels %d%s", s[0], s[1], s[2] ? " SiLU" : "");
        break;
    case LAYER_NORM: snprintf(name, size, "layer_norm %dx%d", s[0], s[1]); break;
    }
}

static void *allocate(work *w, size_t bytes)
{
    void *block = sdi_alloc(&w->b->env, bytes, 1);
    if (block)
        w->blocks[w->block_count++] = block;
    else
        w->failed = 1;
    return block;
}

/* Random numbers in [-1, 1]: real data is slower to multiply than zeros. */
static float *random_floats(work *w, int64_t count)
{
    float *values = allocate(w, (size_t)count * sizeof *values);
    uint32_t state = 1;
    for (int64_t i = 0; values && i < count; i++) {
        state = state * 1664525 + 1013904223;
        values[i] = (float)(int32_t)state * 0x1p-31f;
    }
    return values;
}

static sdi_mat matrix(work *w, int64_t rows, int64_t columns, sdi_dtype type)
{
    const int64_t multiple = w->b->k.row_multiple;
    const int64_t ld = (columns + multiple - 1) / multiple * multiple;
    sdi_mat m = {allocate(w, (size_t)(rows * ld) * sdi_dtype_size(type)), ld, type};
    float *values = random_floats(w, ld);
    for (int64_t row = 0; !w->failed && row < rows; row++)
        sdi_convert_from_f32((char *)m.data + (size_t)(row * ld) * sdi_dtype_size(type), type,
                             values, (size_t)ld);
    return m;
}

static void make_weights(work *w, sdi_packed shape)
{
    const int64_t count = shape.n * shape.k * shape.kh * shape.kw;
    const size_t bytes = w->b->k.pack_bytes(&shape);
    float *source = random_floats(w, count);
    w->copies = (int32_t)SDI_MAX(1, SDI_MIN((size_t)COPIES_MAX, cold_bytes / bytes));
    for (int32_t i = 0; i < w->copies && !w->failed; i++) {
        w->packed[i] = shape;
        w->packed[i].data = allocate(w, bytes);
        const sdi_exec exec = {.pool = w->b->pool};
        if (!w->failed)
            w->b->k.pack(&exec, &w->packed[i], 0, shape.n, source, SDI_F32);
    }
}

static size_t make_linear(work *w)
{
    const int32_t *s = w->l->size;
    const sdi_dtype type = w->b->k.operand;
    make_weights(w, (sdi_packed){.n = s[1], .k = s[2], .kh = 1, .kw = 1, .geglu = s[3]});
    w->linear = (sdi_linear){.m = s[0], .w = w->packed, .bias = w->vector,
                             .act = s[3] ? SDI_ACT_GEGLU : SDI_ACT_NONE,
                             .x = matrix(w, s[0], s[2], type),
                             .out = matrix(w, s[0], s[3] ? s[1] / 2 : s[1], type)};
    return w->b->k.linear_scratch(&w->linear, sdi_pool_size(w->b->pool));
}

static size_t make_conv(work *w)
{
    const int32_t *s = w->l->size;
    const int64_t up = s[5] ? 2 * s[0] : s[0], out = conv_out(w->l);
    make_weights(w, (sdi_packed){.n = s[2], .k = s[1], .kh = s[3], .kw = s[3]});
    w->conv = (sdi_conv){.n = BATCH, .h = s[0], .w = s[0], .up_h = up, .up_w = up, .oh = out,
                         .ow = out, .stride = s[4], .pad_top = s[3] / 2, .pad_left = s[3] / 2,
                         .wt = w->packed, .bias = w->vector,
                         .x = matrix(w, (int64_t)BATCH * s[0] * s[0], s[1], w->b->k.operand),
                         .out = matrix(w, BATCH * out * out, s[2], SDI_F32)};
    return w->b->k.conv_scratch(&w->conv, sdi_pool_size(w->b->pool));
}

static size_t make_attention(work *w)
{
    const int32_t *s = w->l->size;
    const int64_t columns = (int64_t)s[2] * s[3];
    const sdi_dtype type = w->b->k.operand;
    w->attention = (sdi_attention){.b = BATCH, .tq = s[0], .tk = s[1], .heads = s[2], .d = s[3],
                                   .scale = 1 / sqrtf((float)s[3]),
                                   .q = matrix(w, (int64_t)BATCH * s[0], columns, type),
                                   .k = matrix(w, (int64_t)BATCH * s[1], columns, type),
                                   .v = matrix(w, (int64_t)BATCH * s[1], columns, type),
                                   .out = matrix(w, (int64_t)BATCH * s[0], columns, type)};
    return w->b->k.attention_scratch(&w->attention, sdi_pool_size(w->b->pool));
}

static size_t make_norm(work *w)
{
    const int32_t *s = w->l->size;
    const int64_t rows = w->l->kind == GROUP_NORM ? (int64_t)BATCH * s[0] : s[0];
    const sdi_mat x = matrix(w, rows, s[1], SDI_F32);
    const sdi_mat out = matrix(w, rows, s[1], w->b->k.operand);
    w->layer_norm = (sdi_layer_norm){.rows = rows, .c = s[1], .eps = 1e-5f, .weight = w->vector,
                                     .bias = w->vector, .x = x, .out = out};
    w->group_norm = (sdi_group_norm){.n = BATCH, .pixels = s[0], .c = s[1], .groups = 32,
                                     .eps = 1e-5f, .weight = w->vector, .bias = w->vector,
                                     .act = s[2] ? SDI_ACT_SILU : SDI_ACT_NONE, .x = x,
                                     .out = out};
    return w->l->kind == GROUP_NORM
               ? w->b->k.group_norm_scratch(&w->group_norm, sdi_pool_size(w->b->pool))
               : 0;
}

static void run(work *w, int32_t round)
{
    const sdi_packed *weights = w->copies ? &w->packed[round % w->copies] : NULL;
    const sdi_kernels *k = &w->b->k;
    w->linear.w = w->conv.wt = weights;
    switch (w->l->kind) {
    case LINEAR: k->linear(&w->exec, &w->linear); break;
    case CONV: k->conv(&w->exec, &w->conv); break;
    case ATTENTION: k->attention(&w->exec, &w->attention); break;
    case GROUP_NORM: k->group_norm(&w->exec, &w->group_norm); break;
    case LAYER_NORM: k->layer_norm(&w->exec, &w->layer_norm); break;
    }
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_time(work *w)
{
    double times[REPEATS_MAX];
    int32_t count = 0;
    const double begin = bench_now();
    run(w, 0);
    while (count < REPEATS_MAX && (count < 3 || bench_now() - begin < seconds_a_layer)) {
        const double start = bench_now();
        run(w, count + 1);
        times[count++] = bench_now() - start;
    }
    qsort(times, (size_t)count, sizeof *times, ascending);
    return times[count / 2];
}

double bench_layer(const bench *b, const layer *l)
{
    static size_t (*const make[])(work *w) = {make_linear, make_conv, make_attention, make_norm,
                                              make_norm};
    work w = {.b = b, .l = l};
    double seconds = -1;
    w.vector = random_floats(&w, 32768);
    const size_t bytes = make[l->kind](&w);
    w.exec = (sdi_exec){b->pool, allocate(&w, bytes), bytes};
    if (!w.failed)
        seconds = median_time(&w);
    while (w.block_count > 0)
        sdi_free(&b->env, w.blocks[--w.block_count]);
    return seconds;
}
