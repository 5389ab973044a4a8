/* SPDX-License-Identifier: MIT
 *
 * 2-D cross-correlation (torch.nn.Conv2d) of any kernel size, stride and padding, read through a
 * nearest-neighbour resize (torch.nn.functional.interpolate, mode "nearest"):
 *
 *     out[i][y][x][o] = bias[o] + channel_add[i][o] + residual[i][y][x][o]
 *                     + sum_{ty,tx,c} in(i, y*stride - pad_top + ty, x*stride - pad_left + tx, c)
 *                                     * w[o][ty][tx][c]
 *
 * where in() is 0 outside of up_h x up_w and pixel (y*h/up_h, x*w/up_w) of the input within.
 */
#include "kernel/geometry.h"
#include "kernel/parallel.h"
#include "kernel/ref/product.h"
#include "kernel/ref/ref.h"

typedef struct job {
    const sdi_exec *exec;
    const sdi_conv *a;
    sdi_dtype operand;
} job;

size_t sdi_k_conv_scratch_ref(const sdi_conv *a, int32_t workers)
{
    return sdi_scratch_round(sdi_ref_panel_bytes(a->wt)) * (size_t)workers;
}

static void load_patches(const job *j, const sdi_ref_panel *panel, int64_t pixel0, int64_t pixels)
{
    const sdi_conv *a = j->a;
    const int64_t k = a->wt->k;
    memset(panel->rows, 0, (size_t)panel->length * SDI_REF_ROWS * sizeof *panel->rows);
    for (int64_t tap = 0; tap < a->wt->kh * a->wt->kw; tap++) {
        for (int64_t r = 0; r < pixels; r++) {
            const int64_t row = sdi_conv_source(a, pixel0 + r, tap / a->wt->kw, tap % a->wt->kw);
            for (int64_t c = 0; row >= 0 && c < k; c++)
                panel->rows[(tap * k + c) * SDI_REF_ROWS + r] =
                    sdi_ref_operand(sdi_ref_get(&a->x, row, c), j->operand);
        }
    }
}

static void conv_piece(void *argument, int64_t index, int32_t worker)
{
    const job *j = argument;
    const sdi_conv *a = j->a;
    const int64_t blocks = sdi_pieces(a->wt->n, SDI_REF_COLUMNS);
    const int64_t pixel0 = index / blocks * SDI_REF_ROWS;
    const int64_t pixels = SDI_MIN(SDI_REF_ROWS, a->n * a->oh * a->ow - pixel0);
    const int64_t channel0 = index % blocks * SDI_REF_COLUMNS;
    const int64_t channel1 = SDI_MIN(channel0 + SDI_REF_COLUMNS, a->wt->n);
    const sdi_ref_panel panel = sdi_ref_panel_of(j->exec, a->wt, worker);
    load_patches(j, &panel, pixel0, pixels);
    for (int64_t channel = channel0; channel < channel1; channel++) {
        double values[SDI_REF_ROWS];
        sdi_ref_product(&panel, a->wt, j->operand, channel, values);
        for (int64_t r = 0; r < pixels; r++) {
            const int64_t pixel = pixel0 + r;
            if (a->bias)
                values[r] += (double)a->bias[channel];
            if (a->channel_add.data)
                values[r] += sdi_ref_get(&a->channel_add, pixel / (a->oh * a->ow), channel);
            if (a->residual.data)
                values[r] += sdi_ref_get(&a->residual, pixel, channel);
            sdi_ref_put(&a->out, pixel, channel, values[r]);
        }
    }
}

static void conv(const sdi_exec *exec, const sdi_conv *a, sdi_dtype operand)
{
    job j = {exec, a, operand};
    const int64_t pixels = a->n * a->oh * a->ow;
    const int64_t count = sdi_pieces(pixels, SDI_REF_ROWS) * sdi_pieces(a->wt->n, SDI_REF_COLUMNS);
    const double work = (double)pixels * (double)a->wt->n * (double)sdi_ref_length(a->wt);
    sdi_parallel_work(exec, count, work, conv_piece, &j);
}

void sdi_k_conv_f32_ref(const sdi_exec *exec, const sdi_conv *a)
{
    conv(exec, a, SDI_F32);
}

void sdi_k_conv_bf16_ref(const sdi_exec *exec, const sdi_conv *a)
{
    conv(exec, a, SDI_BF16);
}
