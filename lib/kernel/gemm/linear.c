/* SPDX-License-Identifier: MIT
 *
 * Linear layers: a piece of work is up to 64 rows times a group of panels. The rows are read where
 * they are (float32) or widened once into scratch; each panel's sums stay in a 16 KiB tile until
 * bias, activation and residual are applied.
 */
#include "kernel/gemm/gemm.h"
#include "kernel/gemm/product.h"
#include "kernel/gemm/vector.h"
#include "kernel/parallel.h"

enum { TILE = SDI_GEMM_ROWS * SDI_GEMM_PANEL };

typedef struct job {
    const sdi_exec *exec;
    const sdi_linear *a;
    sdi_dtype operand;
    int64_t columns; // of out
    sdi_gemm_cut cut;
} job;

/* Of one worker: two tiles of sums (values, gates), a widened weight block, widened rows. */
typedef struct scratch {
    float *sums, *gates, *widened, *rows;
} scratch;

static size_t scratch_bytes(const sdi_linear *a)
{
    return (2 * TILE + SDI_GEMM_WIDENED + (size_t)(SDI_GEMM_ROWS * a->w->k)) * sizeof(float);
}

size_t sdi_k_linear_scratch_gemm(const sdi_linear *a, int32_t workers)
{
    return sdi_scratch_round(scratch_bytes(a)) * (size_t)workers;
}

/* The block's rows of x as operands, and their pitch. */
static const float *operands(const job *j, const scratch *s, int64_t row0, int64_t rows,
                             int64_t *pitch)
{
    const sdi_mat *x = &j->a->x;
    const int64_t k = j->a->w->k;
    *pitch = x->ld;
    if (x->type == SDI_F32 && j->operand == SDI_F32)
        return (const float *)x->data + row0 * x->ld;
    for (int64_t r = 0; r < rows; r++)
        sdi_row_operand(x, row0 + r, 0, k, j->operand, s->rows + r * k);
    *pitch = k;
    return s->rows;
}

static void add_bias(const sdi_linear *a, int64_t output, int64_t width, float *row)
{
    for (int64_t i = 0; a->bias && i < width; i++)
        row[i] += a->bias[output + i];
}

/* out[row][column...] from a row of sums (and gates). */
static void finish_row(const job *j, int64_t row, int64_t column, int64_t width, float *sums,
                       float *gates)
{
    const sdi_linear *a = j->a;
    float buffer[SDI_GEMM_PANEL];
    add_bias(a, column, width, sums);
    if (a->act == SDI_ACT_GEGLU) {
        add_bias(a, column + j->columns, width, gates);
        sdi_act_row(SDI_ACT_GELU, gates, width);
        for (int64_t i = 0; i < width; i++)
            sums[i] *= gates[i];
    } else {
        sdi_act_row(a->act, sums, width);
    }
    if (a->residual.data) {
        const float *residual = sdi_row_read(&a->residual, row, column, width, buffer);
        for (int64_t i = 0; i < width; i++)
            sums[i] += residual[i];
    }
    sdi_row_write(&a->out, row, column, width, sums);
}

static void linear_panel(const job *j, const scratch *s, const float *x, int64_t pitch,
                         int64_t row0, int64_t rows, int64_t column)
{
    const sdi_packed *w = j->a->w;
    const sdi_gemm_panel panel = sdi_gemm_panel_of(w, j->operand, column);
    sdi_gemm_panel_product(&panel, 0, w->k, x, pitch, rows, s->sums, panel.width, 0, s->widened);
    if (j->a->act == SDI_ACT_GEGLU) {
        const sdi_gemm_panel gates = sdi_gemm_panel_of(w, j->operand, column + j->columns);
        sdi_gemm_panel_product(&gates, 0, w->k, x, pitch, rows, s->gates, gates.width, 0,
                               s->widened);
    }
    for (int64_t r = 0; r < rows; r++)
        finish_row(j, row0 + r, column, panel.width, s->sums + r * panel.width,
                   s->gates + r * panel.width);
}

static void linear_piece(void *argument, int64_t index, int32_t worker)
{
    const job *j = argument;
    const int64_t row0 = index % j->cut.row_blocks * j->cut.block_rows;
    const int64_t rows = SDI_MIN(j->cut.block_rows, j->a->m - row0);
    const int64_t column0 = index / j->cut.row_blocks * j->cut.group_outputs;
    const int64_t column1 = SDI_MIN(column0 + j->cut.group_outputs, j->columns);
    scratch s;
    s.sums = sdi_scratch_of(j->exec, scratch_bytes(j->a), worker);
    s.gates = s.sums + TILE;
    s.widened = s.gates + TILE;
    s.rows = s.widened + SDI_GEMM_WIDENED;
    if (rows <= 0)
        return;
    int64_t pitch;
    const float *x = operands(j, &s, row0, rows, &pitch);
    for (int64_t column = column0; column < column1; column += SDI_GEMM_PANEL)
        linear_panel(j, &s, x, pitch, row0, rows, column);
}

static void linear(const sdi_exec *exec, const sdi_linear *a, sdi_dtype operand)
{
    const int64_t columns = sdi_gemm_part(a->w);
    job j = {exec, a, operand, columns, sdi_gemm_cut_for(a->m, columns, 1)};
    const double work = (double)a->m * (double)a->w->n * (double)a->w->k / 16;
    sdi_parallel_work(exec, j.cut.row_blocks * j.cut.groups, work, linear_piece, &j);
}

void sdi_k_linear_f32_gemm(const sdi_exec *exec, const sdi_linear *a)
{
    linear(exec, a, SDI_F32);
}

void sdi_k_linear_bf16_gemm(const sdi_exec *exec, const sdi_linear *a)
{
    linear(exec, a, SDI_BF16);
}
