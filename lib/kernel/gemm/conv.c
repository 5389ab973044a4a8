/* SPDX-License-Identifier: MIT
 *
 * Convolution as products of patches: a piece of work is up to 64 output pixels times a group of
 * panels. A slice of the pixels' patches (64 x TERMS numbers at most) is gathered in scratch, is
 * multiplied with all panels of the group, and the next slice's products are added.
 */
#include "kernel/gemm/gemm.h"
#include "kernel/gemm/product.h"
#include "kernel/gemm/vector.h"
#include "kernel/geometry.h"
#include "kernel/parallel.h"

enum {
    TERMS = 1024,   // of a slice
    MIN_PANELS = 4, // that share a gathered slice
};

typedef struct job {
    const sdi_exec *exec;
    const sdi_conv *a;
    sdi_dtype operand;
    sdi_gemm_cut cut;
} job;

/* Of one worker: a slice of patches, sums for all outputs of a group, a widened weight block. */
typedef struct scratch {
    float *patches, *sums, *widened;
} scratch;

static sdi_gemm_cut cut_of(const sdi_conv *a)
{
    return sdi_gemm_cut_for(a->n * a->oh * a->ow, a->wt->n, MIN_PANELS);
}

static size_t scratch_bytes(const sdi_gemm_cut *cut)
{
    return (size_t)(SDI_GEMM_ROWS * (TERMS + cut->group_outputs) + SDI_GEMM_WIDENED) *
           sizeof(float);
}

size_t sdi_k_conv_scratch_gemm(const sdi_conv *a, int32_t workers)
{
    const sdi_gemm_cut cut = cut_of(a);
    return sdi_scratch_round(scratch_bytes(&cut)) * (size_t)workers;
}

/* Channels [c0, c0 + count) of one tap for all pixels of a block, to columns of `to`. */
static void gather_tap(const job *j, int64_t pixel0, int64_t pixels, int64_t tap, int64_t c0,
                       int64_t count, float *to)
{
    const sdi_conv *a = j->a;
    for (int64_t r = 0; r < pixels; r++, to += TERMS) {
        const int64_t row = sdi_conv_source(a, pixel0 + r, tap / a->wt->kw, tap % a->wt->kw);
        if (row < 0)
            memset(to, 0, (size_t)count * sizeof *to);
        else
            sdi_row_operand(&a->x, row, c0, count, j->operand, to);
    }
}

/* Terms [k0, k0 + terms) of the patches of a block of pixels: [pixels][TERMS]. */
static void gather(const job *j, int64_t pixel0, int64_t pixels, int64_t k0, int64_t terms,
                   float *patches)
{
    const int64_t k = j->a->wt->k;
    for (int64_t i = 0; i < terms;) {
        const int64_t c0 = (k0 + i) % k;
        const int64_t count = SDI_MIN(k - c0, terms - i);
        gather_tap(j, pixel0, pixels, (k0 + i) / k, c0, count, patches + i);
        i += count;
    }
}

static void add_row(const sdi_mat *m, int64_t row, int64_t column, int64_t count, float *sums)
{
    float buffer[SDI_GEMM_PANEL];
    for (int64_t i = 0; i < count; i += SDI_GEMM_PANEL) {
        const int64_t some = SDI_MIN(SDI_GEMM_PANEL, count - i);
        const float *add = sdi_row_read(m, row, column + i, some, buffer);
        for (int64_t l = 0; l < some; l++)
            sums[i + l] += add[l];
    }
}

static void finish_row(const sdi_conv *a, int64_t pixel, int64_t column, int64_t count,
                       float *sums)
{
    for (int64_t i = 0; a->bias && i < count; i++)
        sums[i] += a->bias[column + i];
    if (a->channel_add.data)
        add_row(&a->channel_add, pixel / (a->oh * a->ow), column, count, sums);
    if (a->residual.data)
        add_row(&a->residual, pixel, column, count, sums);
    sdi_row_write(&a->out, pixel, column, count, sums);
}

static void conv_piece(void *argument, int64_t index, int32_t worker)
{
    const job *j = argument;
    const sdi_packed *w = j->a->wt;
    const int64_t pixel0 = index % j->cut.row_blocks * j->cut.block_rows;
    const int64_t pixels = SDI_MIN(j->cut.block_rows, j->a->n * j->a->oh * j->a->ow - pixel0);
    const int64_t column0 = index / j->cut.row_blocks * j->cut.group_outputs;
    const int64_t columns = SDI_MIN(j->cut.group_outputs, w->n - column0);
    const int64_t length = sdi_gemm_length(w);
    scratch s;
    s.patches = sdi_scratch_of(j->exec, scratch_bytes(&j->cut), worker);
    s.sums = s.patches + SDI_GEMM_ROWS * TERMS;
    s.widened = s.sums + SDI_GEMM_ROWS * j->cut.group_outputs;
    for (int64_t k0 = 0; k0 < length && pixels > 0; k0 += TERMS) {
        const int64_t terms = SDI_MIN(TERMS, length - k0);
        gather(j, pixel0, pixels, k0, terms, s.patches);
        for (int64_t i = 0; i < columns; i += SDI_GEMM_PANEL) {
            const sdi_gemm_panel panel = sdi_gemm_panel_of(w, j->operand, column0 + i);
            sdi_gemm_panel_product(&panel, k0, terms, s.patches, TERMS, pixels, s.sums + i,
                                   columns, k0 > 0, s.widened);
        }
    }
    for (int64_t r = 0; r < pixels; r++)
        finish_row(j->a, pixel0 + r, column0, columns, s.sums + r * columns);
}

static void conv(const sdi_exec *exec, const sdi_conv *a, sdi_dtype operand)
{
    job j = {exec, a, operand, cut_of(a)};
    const double pixels = (double)(a->n * a->oh * a->ow);
    const double work = pixels * (double)a->wt->n * (double)sdi_gemm_length(a->wt) / 16;
    sdi_parallel_work(exec, j.cut.row_blocks * j.cut.groups, work, conv_piece, &j);
}

void sdi_k_conv_f32_gemm(const sdi_exec *exec, const sdi_conv *a)
{
    conv(exec, a, SDI_F32);
}

void sdi_k_conv_bf16_gemm(const sdi_exec *exec, const sdi_conv *a)
{
    conv(exec, a, SDI_BF16);
}
