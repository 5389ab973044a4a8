/* SPDX-License-Identifier: MIT
 *
 * sgemm in blocks.
 */
#include "kernel/gemm/product.h"

#include "kernel/gemm/vector.h"
#include "kernel/parallel.h"

#include <cblas.h>

/* sgemm of up to 65536 * GEMM_MULTITHREAD_THRESHOLD (4 unless the build says otherwise) products
 * stays on the calling thread. Where another build draws the line elsewhere, results are the same
 * and only speed suffers. */
enum { ALONE = 262144, PIECES = 32 };

static int64_t terms_of_block(int64_t m, int64_t n)
{
    const int64_t terms = ALONE / (m * n);
    return terms > 8 ? terms / 8 * 8 : SDI_MAX(terms, 1);
}

static void gemm_columns(const sdi_gemm_block *g, int64_t row, int64_t m, int64_t column, int64_t n)
{
    const int64_t step = terms_of_block(m, n);
    for (int64_t k0 = 0; k0 < g->k; k0 += step) {
        const int64_t k = SDI_MIN(step, g->k - k0);
        const float *b =
            g->b + (g->b_transposed ? column * g->ldb + k0 : k0 * g->ldb + column);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, g->b_transposed ? CblasTrans : CblasNoTrans,
                    (blasint)m, (blasint)n, (blasint)k, g->alpha, g->a + row * g->lda + k0,
                    (blasint)g->lda, b, (blasint)g->ldb, k0 ? 1 : g->beta,
                    g->c + row * g->ldc + column, (blasint)g->ldc);
    }
}

void sdi_gemm(const sdi_gemm_block *g)
{
    for (int64_t row = 0; row < g->m; row += SDI_GEMM_ROWS)
        for (int64_t column = 0; column < g->n; column += SDI_GEMM_PANEL)
            gemm_columns(g, row, SDI_MIN(SDI_GEMM_ROWS, g->m - row), column,
                         SDI_MIN(SDI_GEMM_PANEL, g->n - column));
}

sdi_gemm_panel sdi_gemm_panel_of(const sdi_packed *w, sdi_dtype type, int64_t output)
{
    sdi_gemm_panel panel;
    const int64_t part = sdi_gemm_part(w), within = output % part;
    panel.type = type;
    panel.width = SDI_MIN(SDI_GEMM_PANEL, part - within);
    panel.data =
        (const char *)w->data + (size_t)(output * sdi_gemm_length(w)) * sdi_dtype_size(type);
    return panel;
}

void sdi_gemm_panel_product(const sdi_gemm_panel *panel, int64_t k0, int64_t k, const float *a,
                            int64_t lda, int64_t rows, float *c, int64_t ldc, int accumulate,
                            float *widened)
{
    const int64_t width = panel->width;
    const int64_t step = panel->type == SDI_F32 ? k : SDI_GEMM_WIDENED / width;
    for (int64_t i = 0; i < k; i += step) {
        sdi_gemm_block g = {.m = rows, .n = width, .k = SDI_MIN(step, k - i), .a = a + i,
                            .lda = lda, .ldb = width, .alpha = 1, .c = c, .ldc = ldc};
        g.beta = accumulate || i > 0;
        if (panel->type == SDI_F32) {
            g.b = (const float *)panel->data + k0 * width;
        } else {
            sdi_bf16_row((const uint16_t *)panel->data + (k0 + i) * width, g.k * width, widened);
            g.b = widened;
        }
        sdi_gemm(&g);
    }
}

sdi_gemm_cut sdi_gemm_cut_for(int64_t rows, int64_t outputs, int64_t min_panels)
{
    sdi_gemm_cut cut;
    cut.row_blocks = sdi_pieces(rows, SDI_GEMM_ROWS);
    cut.block_rows = sdi_pieces(rows, cut.row_blocks);
    const int64_t panels = sdi_pieces(outputs, SDI_GEMM_PANEL);
    const int64_t wanted = SDI_MIN(sdi_pieces(PIECES, cut.row_blocks), panels);
    const int64_t group_panels = SDI_MAX(sdi_pieces(panels, wanted), min_panels);
    cut.groups = sdi_pieces(panels, group_panels);
    cut.group_outputs = group_panels * SDI_GEMM_PANEL;
    return cut;
}
