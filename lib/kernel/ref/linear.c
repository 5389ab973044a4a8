/* SPDX-License-Identifier: MIT
 *
 * Linear layer with what follows it:
 *
 *     out[i][j] = act(sum_l x[i][l] w[j][l] + bias[j]) + residual[i][j]
 *
 * and GEGLU (Shazeer 2020, "GLU variants improve transformer"): with n/2 values and n/2 gates,
 *
 *     out[i][j] = value[i][j] * gelu(gate[i][j]).
 */
#include "kernel/parallel.h"
#include "kernel/ref/product.h"
#include "kernel/ref/ref.h"

typedef struct job {
    const sdi_exec *exec;
    const sdi_linear *a;
    sdi_dtype operand;
    int64_t columns; // of out
} job;

size_t sdi_k_linear_scratch_ref(const sdi_linear *a, int32_t workers)
{
    return sdi_scratch_round(sdi_ref_panel_bytes(a->w)) * (size_t)workers;
}

static void load_rows(const job *j, const sdi_ref_panel *panel, int64_t row0, int64_t rows)
{
    for (int64_t i = 0; i < panel->length; i++)
        for (int64_t r = 0; r < SDI_REF_ROWS; r++)
            panel->rows[i * SDI_REF_ROWS + r] =
                r < rows ? sdi_ref_operand(sdi_ref_get(&j->a->x, row0 + r, i), j->operand) : 0;
}

/* act(x w^T + bias) of one output for all rows of the panel, without residual. */
static void outputs(const job *j, const sdi_ref_panel *panel, int64_t column, double *values)
{
    const sdi_linear *a = j->a;
    sdi_ref_product(panel, a->w, j->operand, column, values);
    for (int r = 0; r < SDI_REF_ROWS; r++)
        values[r] += a->bias ? (double)a->bias[column] : 0;
    if (a->act != SDI_ACT_GEGLU) {
        for (int r = 0; r < SDI_REF_ROWS; r++)
            values[r] = sdi_ref_act(a->act, values[r]);
        return;
    }
    double gates[SDI_REF_ROWS];
    const int64_t gate = column + j->columns;
    sdi_ref_product(panel, a->w, j->operand, gate, gates);
    for (int r = 0; r < SDI_REF_ROWS; r++)
        values[r] *= sdi_ref_act(SDI_ACT_GELU, gates[r] + (a->bias ? (double)a->bias[gate] : 0));
}

static void linear_piece(void *argument, int64_t index, int32_t worker)
{
    const job *j = argument;
    const sdi_linear *a = j->a;
    const int64_t blocks = sdi_pieces(j->columns, SDI_REF_COLUMNS);
    const int64_t row0 = index / blocks * SDI_REF_ROWS;
    const int64_t rows = SDI_MIN(SDI_REF_ROWS, a->m - row0);
    const int64_t column0 = index % blocks * SDI_REF_COLUMNS;
    const int64_t column1 = SDI_MIN(column0 + SDI_REF_COLUMNS, j->columns);
    const sdi_ref_panel panel = sdi_ref_panel_of(j->exec, a->w, worker);
    load_rows(j, &panel, row0, rows);
    for (int64_t column = column0; column < column1; column++) {
        double values[SDI_REF_ROWS];
        outputs(j, &panel, column, values);
        for (int64_t r = 0; r < rows; r++) {
            if (a->residual.data)
                values[r] += sdi_ref_get(&a->residual, row0 + r, column);
            sdi_ref_put(&a->out, row0 + r, column, values[r]);
        }
    }
}

static void linear(const sdi_exec *exec, const sdi_linear *a, sdi_dtype operand)
{
    job j = {exec, a, operand, a->act == SDI_ACT_GEGLU ? a->w->n / 2 : a->w->n};
    const int64_t count =
        sdi_pieces(a->m, SDI_REF_ROWS) * sdi_pieces(j.columns, SDI_REF_COLUMNS);
    const double work = (double)a->m * (double)a->w->n * (double)a->w->k;
    sdi_parallel_work(exec, count, work, linear_piece, &j);
}

void sdi_k_linear_f32_ref(const sdi_exec *exec, const sdi_linear *a)
{
    linear(exec, a, SDI_F32);
}

void sdi_k_linear_bf16_ref(const sdi_exec *exec, const sdi_linear *a)
{
    linear(exec, a, SDI_BF16);
}
