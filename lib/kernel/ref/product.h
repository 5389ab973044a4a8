/* SPDX-License-Identifier: MIT
 *
 * The inner loop that linear and convolution share: a few rows of operands against weight rows.
 */
#ifndef SDI_KERNEL_REF_PRODUCT_H
#define SDI_KERNEL_REF_PRODUCT_H

#include "kernel/kernel.h"

/* A piece of work is up to ROWS rows times up to COLUMNS outputs. */
enum { SDI_REF_ROWS = 8, SDI_REF_COLUMNS = 64 };

/* Scratch memory of one worker: the rows' operands, transposed, and one widened weight row. */
typedef struct sdi_ref_panel {
    double *rows;   // [length][SDI_REF_ROWS], rows that are not there are 0
    float *weights; // [length]
    int64_t length; // kh * kw * k
} sdi_ref_panel;

/* Products of one output number. */
static inline int64_t sdi_ref_length(const sdi_packed *w)
{
    return w->kh * w->kw * w->k;
}

size_t sdi_ref_panel_bytes(const sdi_packed *w);
sdi_ref_panel sdi_ref_panel_of(const sdi_exec *exec, const sdi_packed *w, int32_t worker);

/* sums[r] = sum over i of rows[i][r] * weight[output][i]. */
void sdi_ref_product(const sdi_ref_panel *panel, const sdi_packed *w, sdi_dtype operand,
                     int64_t output, double sums[SDI_REF_ROWS]);

#endif
