/* SPDX-License-Identifier: MIT
 *
 * Group normalisation in two passes over memory. First each block of pixels is summed channel by
 * channel (in double, relative to the first number of the channel's group, so that a large mean
 * costs no digits), then each block is written with one multiplication and addition a number.
 */
#include "kernel/gemm/gemm.h"
#include "kernel/gemm/vector.h"
#include "kernel/parallel.h"

#include <math.h>

enum {
    RUN = 512,       // columns that are converted at a time
    PIECE = 1 << 15, // numbers of a piece of work
};

/* Sums of a group over a block of pixels, of x - shift and its square. */
typedef struct moments {
    double sum, square;
} moments;

typedef struct job {
    const sdi_exec *exec;
    const sdi_group_norm *a;
    int64_t block_pixels, blocks; // of one image
    moments *partial;             // [n][blocks][groups]
    float *scale, *offset;        // [n][c]
    char *workers;                // worker_bytes() each
} job;

static int64_t pixels_of_block(const sdi_group_norm *a)
{
    return sdi_pieces(PIECE, a->c);
}

/* Sums, squares and shifts of each channel. */
static size_t worker_bytes(const sdi_group_norm *a)
{
    return sdi_scratch_round((size_t)a->c * 3 * sizeof(double));
}

static size_t partial_bytes(const sdi_group_norm *a)
{
    const int64_t blocks = sdi_pieces(a->pixels, pixels_of_block(a));
    return sdi_scratch_round((size_t)(a->n * blocks * a->groups) * sizeof(moments));
}

static size_t affine_bytes(const sdi_group_norm *a)
{
    return sdi_scratch_round((size_t)(a->n * a->c) * sizeof(float));
}

size_t sdi_k_group_norm_scratch_gemm(const sdi_group_norm *a, int32_t workers)
{
    return partial_bytes(a) + 2 * affine_bytes(a) + worker_bytes(a) * (size_t)workers;
}

/* The number that the sums of a group are relative to. */
static double shift_of(const sdi_group_norm *a, int64_t image, int64_t group)
{
    float buffer;
    return (double)*sdi_row_read(&a->x, image * a->pixels, group * (a->c / a->groups), 1, &buffer);
}

static void add_row(const sdi_group_norm *a, int64_t row, const double *shift, double *sum,
                    double *square)
{
    float buffer[RUN];
    for (int64_t c = 0; c < a->c; c += RUN) {
        const int64_t count = SDI_MIN(RUN, a->c - c);
        const float *x = sdi_row_read(&a->x, row, c, count, buffer);
        for (int64_t i = 0; i < count; i++) {
            const double d = (double)x[i] - shift[c + i];
            sum[c + i] += d;
            square[c + i] += d * d;
        }
    }
}

static void sum_piece(void *argument, int64_t index, int32_t worker)
{
    const job *j = argument;
    const sdi_group_norm *a = j->a;
    const int64_t image = index / j->blocks, channels = a->c / a->groups;
    const int64_t begin = index % j->blocks * j->block_pixels;
    const int64_t end = SDI_MIN(begin + j->block_pixels, a->pixels);
    double *sum = (double *)(j->workers + worker_bytes(a) * (size_t)worker);
    double *square = sum + a->c, *shift = square + a->c;
    memset(sum, 0, (size_t)a->c * 2 * sizeof *sum);
    for (int64_t c = 0; c < a->c; c++)
        shift[c] = shift_of(a, image, c / channels);
    for (int64_t pixel = begin; pixel < end; pixel++)
        add_row(a, image * a->pixels + pixel, shift, sum, square);
    for (int64_t group = 0; group < a->groups; group++) {
        moments m = {0, 0};
        for (int64_t c = group * channels; c < (group + 1) * channels; c++) {
            m.sum += sum[c];
            m.square += square[c];
        }
        j->partial[index * a->groups + group] = m;
    }
}

/* Factor and summand of each channel of a group, from the sums of all blocks. */
static void combine(const job *j, int64_t image, int64_t group)
{
    const sdi_group_norm *a = j->a;
    const int64_t channels = a->c / a->groups;
    const double count = (double)a->pixels * (double)channels;
    moments all = {0, 0};
    for (int64_t block = 0; block < j->blocks; block++) {
        const moments *m = &j->partial[(image * j->blocks + block) * a->groups + group];
        all.sum += m->sum;
        all.square += m->square;
    }
    const double shifted = all.sum / count;
    const double var = all.square / count - shifted * shifted;
    const double mean = shifted + shift_of(a, image, group);
    const double scale = 1 / sqrt(SDI_MAX(var, 0) + (double)a->eps);
    for (int64_t c = group * channels; c < (group + 1) * channels; c++) {
        const double factor = scale * (double)a->weight[c];
        j->scale[image * a->c + c] = (float)factor;
        j->offset[image * a->c + c] = (float)((double)a->bias[c] - mean * factor);
    }
}

static void apply_piece(void *argument, int64_t index, int32_t worker)
{
    (void)worker;
    const job *j = argument;
    const sdi_group_norm *a = j->a;
    const int64_t image = index / j->blocks;
    const int64_t begin = index % j->blocks * j->block_pixels;
    const int64_t end = SDI_MIN(begin + j->block_pixels, a->pixels);
    const float *scale = j->scale + image * a->c, *offset = j->offset + image * a->c;
    float buffer[RUN], result[RUN];
    for (int64_t pixel = begin; pixel < end; pixel++) {
        const int64_t row = image * a->pixels + pixel;
        for (int64_t c = 0; c < a->c; c += RUN) {
            const int64_t count = SDI_MIN(RUN, a->c - c);
            const float *x = sdi_row_read(&a->x, row, c, count, buffer);
            for (int64_t i = 0; i < count; i++)
                result[i] = x[i] * scale[c + i] + offset[c + i];
            sdi_act_row(a->act, result, count);
            sdi_row_write(&a->out, row, c, count, result);
        }
    }
}

void sdi_k_group_norm_gemm(const sdi_exec *exec, const sdi_group_norm *a)
{
    job j = {.exec = exec, .a = a, .block_pixels = pixels_of_block(a)};
    j.blocks = sdi_pieces(a->pixels, j.block_pixels);
    char *scratch = exec->scratch;
    j.partial = (moments *)scratch;
    j.scale = (float *)(scratch + partial_bytes(a));
    j.offset = (float *)(scratch + partial_bytes(a) + affine_bytes(a));
    j.workers = scratch + partial_bytes(a) + 2 * affine_bytes(a);
    const double numbers = (double)(a->n * a->pixels) * (double)a->c;
    sdi_parallel_work(exec, a->n * j.blocks, numbers, sum_piece, &j);
    for (int64_t i = 0; i < a->n * a->groups; i++)
        combine(&j, i / a->groups, i % a->groups);
    sdi_parallel_work(exec, a->n * j.blocks, 2 * numbers, apply_piece, &j);
}
