/* SPDX-License-Identifier: MIT
 *
 * Group normalisation in two readings and one writing of the map; included by group_norm_<isa>.c.
 *
 * The rows are cut into blocks that fit the second-level cache. First reading, block by block: a
 * group's mean over the first eighth of the rows is the shift; sums of x - shift and (x - shift)^2
 * over all rows give the block's mean and squared deviations. A shift from an eighth of the numbers
 * is at most sqrt(7) standard deviations off whatever the numbers are (Cauchy-Schwarz), so the
 * difference of the two sums loses no more than 3 bits, however large the mean. Where the mean is
 * not much larger than the deviation, the shift is a short number: x - shift is then exact for most
 * x, and its rounding no bias that all x of a binade share. Blocks are put together in double
 * (Chan, Golub and LeVeque 1983). Second reading: (x - mean) / deviation * weight + bias, the mean
 * in two parts so that subtracting it is exact near it, and SiLU.
 *
 * Roof: memory. Bytes: x twice (the second time often from a cache), out once.
 */
#include "kernel/parallel.h"
#include "kernel/x86/elements.h"
#include "kernel/x86/fpu.h"
#include "kernel/x86/rows.h"
#include "kernel/x86/vmath.h"

#include <math.h>

enum {
    BLOCK_BYTES = 128 * 1024, // of x as float32
    BLOCK_ROWS = 256,         // at most: floats are summed over so many
    SAMPLE = 8,
    WORKER_ROWS = 8 // of floats: shift, sum as doubles, square, four rows widened
};

typedef struct job {
    const sdi_exec *exec;
    const sdi_group_norm *a;
    int64_t blocks, block_rows; // blocks of an image
    int64_t pitch;              // channels in whole cache lines
    double *stats;              // [n][blocks][2][groups]: mean, squared deviations
    float *scale;               // [n][3][pitch]: mean, factor, summand of a channel
    float *workers;             // [workers][WORKER_ROWS][pitch]
} job;

static job job_of(const sdi_exec *exec, const sdi_group_norm *a)
{
    job j = {.exec = exec, .a = a};
    const int64_t row_bytes = a->c * (int64_t)sizeof(float);
    j.block_rows = SDI_MAX(SDI_MIN(BLOCK_BYTES / row_bytes, BLOCK_ROWS), 1);
    j.blocks = sdi_pieces(a->pixels, j.block_rows);
    j.pitch = (a->c + 15) / 16 * 16;
    if (exec) {
        j.stats = exec->scratch;
        j.scale = (float *)(void *)(j.stats + (a->n * j.blocks * 2 * a->groups + 7) / 8 * 8);
        j.workers = j.scale + a->n * 3 * j.pitch;
    }
    return j;
}

static size_t group_norm_scratch(const sdi_group_norm *a, int32_t workers)
{
    const job j = job_of(NULL, a);
    return (size_t)((a->n * j.blocks * 2 * a->groups + 7) / 8 * 8) * sizeof(double) +
           (size_t)((3 * a->n + WORKER_ROWS * workers) * j.pitch) * sizeof(float);
}

/* sum[c] += x[c], square[c] += x[c]^2 */
static void add_row(const float *x, int64_t c, double *sum, float *square)
{
    for (int64_t i = 0; i < c; i += VEC) {
        const vec y = vec_load(x + i, c - i);
        vec_wide_store(sum + i, vec_wide_add(vec_wide_load(sum + i), y));
        vec_storeu(square + i, vec_fma(y, y, vec_loadu(square + i)));
    }
}

/* sum[c] += x[c] - shift[c], square[c] += (x[c] - shift[c])^2 */
static void add_moments(const float *x, const float *shift, int64_t c, double *sum, float *square)
{
    for (int64_t i = 0; i < c; i += VEC) {
        const vec y = vec_sub(vec_load(x + i, c - i), vec_loadu(shift + i));
        vec_wide_store(sum + i, vec_wide_add(vec_wide_load(sum + i), y));
        vec_storeu(square + i, vec_fma(y, y, vec_loadu(square + i)));
    }
}

/* The same for `n` channels of four rows that lie `ld` floats apart. */
static inline void add_four(const float *x, int64_t ld, const float *shift, int64_t n, double *sum,
                            float *square)
{
    const vec m = vec_loadu(shift);
    const vec y0 = vec_sub(vec_load(x, n), m), y1 = vec_sub(vec_load(x + ld, n), m);
    const vec y2 = vec_sub(vec_load(x + 2 * ld, n), m), y3 = vec_sub(vec_load(x + 3 * ld, n), m);
    const vec s = vec_add(vec_add(y0, y1), vec_add(y2, y3));
    const vec q = vec_add(vec_fma(y1, y1, vec_mul(y0, y0)), vec_fma(y3, y3, vec_mul(y2, y2)));
    vec_wide_store(sum, vec_wide_add(vec_wide_load(sum), s));
    vec_storeu(square, vec_add(vec_loadu(square), q));
}

static void add_moments4(const float *x, int64_t ld, const float *shift, int64_t c, double *sum,
                         float *square)
{
    int64_t i = 0;
    for (; i + VEC <= c; i += VEC)
        add_four(x + i, ld, shift + i, VEC, sum + i, square + i);
    if (i < c)
        add_four(x + i, ld, shift + i, c - i, sum + i, square + i);
}

static double total(const double *x, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += x[i];
    return sum;
}

static double total_f32(const float *x, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i];
    return sum;
}

/* A shift near `mean` for numbers of this mean and mean square. */
static float shift_near(double mean, double square)
{
    const double deviation = sqrt(SDI_MAX(square - mean * mean, 0));
    if (4 * deviation < fabs(mean) || deviation == 0)
        return (float)mean; // x - mean is exact: they are within a factor of 2
    int exponent;
    frexp(deviation, &exponent);
    const double unit = ldexp(1, exponent - 6);
    return (float)(rint(mean / unit) * unit);
}

static void sample_shift(const job *j, int64_t row0, int64_t rows, float *shift, double *sum,
                         float *square, float *buffer)
{
    const sdi_group_norm *a = j->a;
    const int64_t channels = a->c / a->groups;
    memset(sum, 0, (size_t)j->pitch * sizeof *sum);
    memset(square, 0, (size_t)j->pitch * sizeof *square);
    memset(shift, 0, (size_t)j->pitch * sizeof *shift);
    for (int64_t r = 0; r < sdi_pieces(rows, SAMPLE); r++)
        add_row(elements_read(&a->x, row0 + r, 0, a->c, buffer), a->c, sum, square);
    const double count = (double)(sdi_pieces(rows, SAMPLE) * channels);
    for (int64_t g = 0; g < a->groups; g++) {
        const float near = shift_near(total(sum + g * channels, channels) / count,
                                      total_f32(square + g * channels, channels) / count);
        for (int64_t c = 0; c < channels; c++)
            shift[g * channels + c] = near;
    }
}

/* Four rows as floats, `ld` apart. */
static const float *read4(const job *j, int64_t row, float *buffer, int64_t *ld)
{
    const sdi_mat *x = &j->a->x;
    *ld = x->type == SDI_F32 ? x->ld : j->pitch;
    if (x->type == SDI_F32)
        return (const float *)x->data + row * x->ld;
    for (int64_t r = 0; r < 4; r++)
        elements_widen(buffer + r * j->pitch, elements_at(x, row + r, 0), x->type, j->a->c);
    return buffer;
}

static void block_moments(const job *j, int64_t row0, int64_t rows, const float *shift,
                          double *sum, float *square, float *buffer)
{
    const int64_t c = j->a->c;
    int64_t r = 0;
    memset(sum, 0, (size_t)j->pitch * sizeof *sum);
    memset(square, 0, (size_t)j->pitch * sizeof *square);
    for (; r + 4 <= rows; r += 4) {
        int64_t ld;
        const float *x = read4(j, row0 + r, buffer, &ld);
        add_moments4(x, ld, shift, c, sum, square);
    }
    for (; r < rows; r++)
        add_moments(elements_read(&j->a->x, row0 + r, 0, c, buffer), shift, c, sum, square);
}

static void stats_piece(void *argument, int64_t index, int32_t worker)
{
    const job *j = argument;
    const sdi_group_norm *a = j->a;
    const int64_t first = index % j->blocks * j->block_rows;
    const int64_t rows = SDI_MIN(j->block_rows, a->pixels - first);
    const int64_t row0 = index / j->blocks * a->pixels + first, channels = a->c / a->groups;
    float *shift = j->workers + worker * WORKER_ROWS * j->pitch, *square = shift + j->pitch;
    float *buffer = square + j->pitch;
    double *sum = (double *)(void *)(buffer + 4 * j->pitch);
    double *mean = j->stats + index * 2 * a->groups, *deviation = mean + a->groups;
    const double count = (double)(rows * channels);
    const unsigned callers = fpu_enter();
    sample_shift(j, row0, rows, shift, sum, square, buffer);
    block_moments(j, row0, rows, shift, sum, square, buffer);
    for (int64_t g = 0; g < a->groups; g++) {
        const double s = total(sum + g * channels, channels);
        const double q = total_f32(square + g * channels, channels);
        mean[g] = (double)shift[g * channels] + s / count;
        deviation[g] = SDI_MAX(q - s * s / count, 0);
    }
    fpu_leave(callers);
}

/* Mean and variance of group g of an image from its blocks'. */
static void merge_blocks(const job *j, int64_t image, int64_t g, double *mean, double *variance)
{
    const int64_t groups = j->a->groups;
    const double *stats = j->stats + image * j->blocks * 2 * groups + g;
    const double last = (double)(j->a->pixels - (j->blocks - 1) * j->block_rows);
    double sum = 0, squares = 0;
    for (int64_t b = 0; b < j->blocks; b++)
        sum += stats[b * 2 * groups] * (b + 1 < j->blocks ? (double)j->block_rows : last);
    *mean = sum / (double)j->a->pixels;
    const double channels = (double)(j->a->c / groups);
    for (int64_t b = 0; b < j->blocks; b++) {
        const double off = stats[b * 2 * groups] - *mean;
        squares += stats[(b * 2 + 1) * groups] +
                   off * off * channels * (b + 1 < j->blocks ? (double)j->block_rows : last);
    }
    *variance = squares / ((double)j->a->pixels * channels);
}

/* Mean, factor and summand of each channel of a group. */
static void scale_piece(void *argument, int64_t index, int32_t worker)
{
    (void)worker;
    const job *j = argument;
    const sdi_group_norm *a = j->a;
    const int64_t image = index / a->groups, g = index % a->groups, channels = a->c / a->groups;
    float *high = j->scale + image * 3 * j->pitch;
    float *factor = high + j->pitch, *summand = factor + j->pitch;
    double mean, variance;
    merge_blocks(j, image, g, &mean, &variance);
    const double inverse = 1 / sqrt(variance + (double)a->eps);
    for (int64_t c = g * channels; c < (g + 1) * channels; c++) {
        high[c] = (float)mean;
        factor[c] = (float)((double)a->weight[c] * inverse);
        summand[c] = (float)((double)a->bias[c] -
                             (mean - (double)high[c]) * inverse * (double)a->weight[c]);
    }
}

static inline void apply_vec(const float *x, int64_t n, const float *high, const float *factor,
                             const float *summand, int silu, float *out)
{
    const vec y = vec_sub(vec_load(x, n), vec_loadu(high));
    const vec z = vec_fma(y, vec_loadu(factor), vec_loadu(summand));
    vec_store(out, silu ? vec_swish(z, 1) : z, n);
}

static inline void apply_row(const float *x, int64_t c, const float *high, const float *factor,
                             const float *summand, int silu, float *out)
{
    int64_t i = 0;
    for (; i + VEC <= c; i += VEC)
        apply_vec(x + i, VEC, high + i, factor + i, summand + i, silu, out + i);
    if (i < c)
        apply_vec(x + i, c - i, high + i, factor + i, summand + i, silu, out + i);
}

static void apply_piece(void *argument, int64_t index, int32_t worker)
{
    const job *j = argument;
    const sdi_group_norm *a = j->a;
    const int64_t first = index % j->blocks * j->block_rows, image = index / j->blocks;
    const int64_t rows = SDI_MIN(j->block_rows, a->pixels - first);
    const float *high = j->scale + image * 3 * j->pitch;
    const float *factor = high + j->pitch, *summand = factor + j->pitch;
    float *buffer = j->workers + worker * WORKER_ROWS * j->pitch;
    const unsigned callers = fpu_enter();
    for (int64_t r = 0; r < rows; r++) {
        const int64_t row = image * a->pixels + first + r;
        const float *x = elements_read(&a->x, row, 0, a->c, buffer);
        void *to = elements_at(&a->out, row, 0);
        float *y = a->out.type == SDI_F32 ? to : buffer;
        if (a->act == SDI_ACT_SILU)
            apply_row(x, a->c, high, factor, summand, 1, y);
        else
            apply_row(x, a->c, high, factor, summand, 0, y);
        if (a->out.type != SDI_F32)
            elements_narrow(to, a->out.type, y, a->c);
    }
    fpu_leave(callers);
}

static void group_norm(const sdi_exec *exec, const sdi_group_norm *a)
{
    job j = job_of(exec, a);
    const double elements = (double)(a->n * a->pixels) * (double)a->c;
    sdi_parallel_work(exec, a->n * j.blocks, elements / 4, stats_piece, &j);
    sdi_parallel_work(exec, a->n * a->groups, (double)(a->n * j.blocks * a->groups) * 16,
                      scale_piece, &j);
    sdi_parallel_work(exec, a->n * j.blocks, elements, apply_piece, &j);
}
