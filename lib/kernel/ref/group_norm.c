/* SPDX-License-Identifier: MIT
 *
 * Group normalisation (Wu and He 2018; torch.nn.GroupNorm), then an activation:
 *
 *     out = act(weight[c] * (x - mean) / sqrt(var + eps) + bias[c])
 *
 * mean and var (biased) over all pixels and the channels of the group, image by image.
 */
#include "kernel/parallel.h"
#include "kernel/ref/ref.h"

size_t sdi_k_group_norm_scratch_ref(const sdi_group_norm *a, int32_t workers)
{
    (void)a;
    (void)workers;
    return 0;
}

/* Mean of (x - shift)^power over pixels from row0 on and channels [c0, c1). */
static double moment(const sdi_group_norm *a, int64_t row0, int64_t c0, int64_t c1, double shift,
                     int power)
{
    double sum = 0;
    for (int64_t row = row0; row < row0 + a->pixels; row++) {
        for (int64_t c = c0; c < c1; c++) {
            const double x = sdi_ref_get(&a->x, row, c) - shift;
            sum += power == 2 ? x * x : x;
        }
    }
    return sum / ((double)a->pixels * (double)(c1 - c0));
}

static void group_piece(void *argument, int64_t index, int32_t worker)
{
    (void)worker;
    const sdi_group_norm *a = argument;
    const int64_t channels = a->c / a->groups;
    const int64_t row0 = index / a->groups * a->pixels;
    const int64_t c0 = index % a->groups * channels;
    const double mean = moment(a, row0, c0, c0 + channels, 0, 1);
    const double var = moment(a, row0, c0, c0 + channels, mean, 2);
    const double scale = 1 / sqrt(var + (double)a->eps);
    for (int64_t row = row0; row < row0 + a->pixels; row++) {
        for (int64_t c = c0; c < c0 + channels; c++) {
            const double x = (sdi_ref_get(&a->x, row, c) - mean) * scale;
            const double y = x * (double)a->weight[c] + (double)a->bias[c];
            sdi_ref_put(&a->out, row, c, sdi_ref_act(a->act, y));
        }
    }
}

void sdi_k_group_norm_ref(const sdi_exec *exec, const sdi_group_norm *a)
{
    sdi_group_norm copy = *a;
    const double work = 10.0 * (double)(a->n * a->pixels) * (double)a->c;
    sdi_parallel_work(exec, a->n * a->groups, work, group_piece, &copy);
}
