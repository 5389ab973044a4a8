/* SPDX-License-Identifier: MIT
 *
 * Blocks of products by sgemm on the calling thread, and the layout of weights that suits them.
 *
 * Packed weights are panels of 64 outputs: [outputs/64][kh*kw*k][64], the last panel narrower, so
 * that a block of 64 terms is one run of memory. The two halves of GEGLU weights are paneled apart.
 */
#ifndef SDI_KERNEL_GEMM_PRODUCT_H
#define SDI_KERNEL_GEMM_PRODUCT_H

#include "kernel/kernel.h"

enum {
    SDI_GEMM_PANEL = 64,        // outputs of a panel
    SDI_GEMM_ROWS = 64,         // rows of a block
    SDI_GEMM_WIDENED = 1 << 14, // floats that widening a block of bf16 weights needs
};

/* A panel of packed weights. */
typedef struct sdi_gemm_panel {
    const void *data; // [length][width]
    sdi_dtype type;   // SDI_F32 or SDI_BF16
    int64_t width;    // <= SDI_GEMM_PANEL
} sdi_gemm_panel;

/* Terms of one output number. */
static inline int64_t sdi_gemm_length(const sdi_packed *w)
{
    return w->kh * w->kw * w->k;
}

/* Outputs that are paneled together: all, or the half of GEGLU. */
static inline int64_t sdi_gemm_part(const sdi_packed *w)
{
    return w->geglu ? w->n / 2 : w->n;
}

/* The panel that holds `output`, whose number within its part is a multiple of SDI_GEMM_PANEL. */
sdi_gemm_panel sdi_gemm_panel_of(const sdi_packed *w, sdi_dtype type, int64_t output);

/* c[m][n] = alpha * a[m][k] * b + beta * c by sgemm, in pieces that it runs on this thread.
 * b is [k][n], or [n][k] when transposed. */
typedef struct sdi_gemm_block {
    int64_t m, n, k;
    const float *a, *b;
    int64_t lda, ldb;
    int b_transposed;
    float alpha, beta;
    float *c;
    int64_t ldc;
} sdi_gemm_block;
void sdi_gemm(const sdi_gemm_block *block);

/* c[rows][width] = (accumulate ? c : 0) + a[rows][k] * terms [k0, k0 + k) of the panel.
 * `widened` is used for bf16 panels. */
void sdi_gemm_panel_product(const sdi_gemm_panel *panel, int64_t k0, int64_t k, const float *a,
                            int64_t lda, int64_t rows, float *c, int64_t ldc, int accumulate,
                            float *widened);

/* How `rows` x `outputs` is cut into pieces of work: blocks of rows, groups of panels. */
typedef struct sdi_gemm_cut {
    int64_t row_blocks, block_rows;   // block_rows <= SDI_GEMM_ROWS
    int64_t groups, group_outputs;    // a multiple of SDI_GEMM_PANEL
} sdi_gemm_cut;
sdi_gemm_cut sdi_gemm_cut_for(int64_t rows, int64_t outputs, int64_t min_panels);

#endif
