/* SPDX-License-Identifier: MIT
 *
 * Rows times weights, summed in double.
 */
#include "kernel/ref/product.h"

#include "kernel/parallel.h"

size_t sdi_ref_panel_bytes(const sdi_packed *w)
{
    const size_t length = (size_t)sdi_ref_length(w);
    return length * (SDI_REF_ROWS * sizeof(double) + sizeof(float));
}

sdi_ref_panel sdi_ref_panel_of(const sdi_exec *exec, const sdi_packed *w, int32_t worker)
{
    sdi_ref_panel panel;
    panel.length = sdi_ref_length(w);
    panel.rows = sdi_scratch_of(exec, sdi_ref_panel_bytes(w), worker);
    panel.weights = (float *)(panel.rows + panel.length * SDI_REF_ROWS);
    return panel;
}

void sdi_ref_product(const sdi_ref_panel *panel, const sdi_packed *w, sdi_dtype operand,
                     int64_t output, double sums[SDI_REF_ROWS])
{
    const size_t length = (size_t)panel->length;
    const char *row = (const char *)w->data + (size_t)output * length * sdi_dtype_size(operand);
    const float *weights = (const float *)row;
    if (operand != SDI_F32) {
        sdi_convert_to_f32(panel->weights, row, operand, length);
        weights = panel->weights;
    }
    double sum[SDI_REF_ROWS] = {0};
    for (size_t i = 0; i < length; i++)
        for (int r = 0; r < SDI_REF_ROWS; r++)
            sum[r] += panel->rows[i * SDI_REF_ROWS + (size_t)r] * (double)weights[i];
    memcpy(sums, sum, sizeof sum);
}
