/* SPDX-License-Identifier: MIT
 *
 * Linear layers of so few rows that reading the weight takes the time: no strips, no ranges of k
 * over all panels; a piece reads a panel once from its beginning to its end, as memory delivers it.
 */
#include "kernel/x86/products.h"

#include "base/attributes.h"

typedef struct few_rows {
    const x86_isa *isa;
    const sdi_linear *a;
} few_rows;

static void multiply_panel(void *argument, int64_t panel, int32_t worker)
{
    const few_rows *few = argument;
    const sdi_linear *a = few->a;
    const sdi_packed *w = a->w;
    const int64_t lanes = w->geglu ? PANEL / 2 : PANEL, column = panel * lanes;
    _Alignas(64) float c[FEW_ROWS_MAX * PANEL], bias[PANEL];
    sdi_x86_order_bias(w, panel, a->bias, bias);
    few->isa->few_rows(a->x.data, a->x.ld, (int32_t)a->m,
                       (const float *)w->data + panel * panel_floats(w), w->k, c);
    const x86_finish f = {
        .c = c,
        .bias = bias,
        .residual = sdi_x86_row_of(a->residual, 0, column),
        .out = (float *)a->out.data + column,
        .residual_ld = a->residual.ld,
        .out_ld = a->out.ld,
        .rows = (int32_t)a->m,
        .columns = (int32_t)SDI_MIN(lanes, (w->geglu ? w->n / 2 : w->n) - column),
        .act = a->act,
    };
    few->isa->finish(&f);
}

void sdi_x86_few_rows(const x86_isa *isa, const sdi_exec *exec, const sdi_linear *a)
{
    few_rows few = {isa, a};
    const int64_t work = a->m * panel_count(a->w) * panel_floats(a->w);
    sdi_parallel_for(work < PRODUCT_ALONE ? NULL : exec->pool, panel_count(a->w), multiply_panel,
                     &few);
}
