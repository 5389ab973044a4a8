/* SPDX-License-Identifier: MIT
 *
 * Weights into panels (product.h), panel by panel in parallel.
 */
#include "kernel/gemm/gemm.h"
#include "kernel/gemm/product.h"
#include "kernel/gemm/vector.h"
#include "kernel/parallel.h"

enum { BLOCK = 256 }; // source numbers of one row that are widened at a time

typedef struct job {
    const sdi_packed *w;
    sdi_dtype operand;
    int64_t row0, rows, first_panel;
    const void *source;
    sdi_dtype type;
} job;

/* Panels of one part, and of all. */
static int64_t part_panels(const sdi_packed *w)
{
    return sdi_pieces(sdi_gemm_part(w), SDI_GEMM_PANEL);
}

static int64_t panel_number(const sdi_packed *w, int64_t output)
{
    const int64_t part = sdi_gemm_part(w);
    return output / part * part_panels(w) + output % part / SDI_GEMM_PANEL;
}

static int64_t panel_output(const sdi_packed *w, int64_t panel)
{
    const int64_t panels = part_panels(w);
    return panel / panels * sdi_gemm_part(w) + panel % panels * SDI_GEMM_PANEL;
}

/* Element i of PyTorch's [k][kh][kw] in the order of a patch, [kh][kw][k]. */
static int64_t patch_order(const sdi_packed *w, int64_t i)
{
    const int64_t taps = w->kh * w->kw;
    return i % taps * w->k + i / taps;
}

static void store_block(const job *j, const sdi_gemm_panel *panel, int64_t column, int64_t i0,
                        const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const int64_t at = patch_order(j->w, i0 + i) * panel->width + column;
        if (j->operand == SDI_BF16)
            ((uint16_t *)panel->data)[at] = sdi_f32_to_bf16(values[i]);
        else
            ((float *)panel->data)[at] = values[i];
    }
}

static void pack_panel(void *argument, int64_t index, int32_t worker)
{
    (void)worker;
    const job *j = argument;
    const sdi_packed *w = j->w;
    const int64_t length = sdi_gemm_length(w);
    const int64_t output = panel_output(w, j->first_panel + index);
    const sdi_gemm_panel panel = sdi_gemm_panel_of(w, j->operand, output);
    const int64_t begin = SDI_MAX(output, j->row0);
    const int64_t end = SDI_MIN(output + panel.width, j->row0 + j->rows);
    const size_t size = sdi_dtype_size(j->type);
    float values[BLOCK];
    for (int64_t i = 0; i < length; i += BLOCK) {
        const int64_t count = SDI_MIN(BLOCK, length - i);
        for (int64_t row = begin; row < end; row++) {
            const int64_t from = (row - j->row0) * length + i;
            sdi_k_convert_to_f32_gemm(values, (const char *)j->source + (size_t)from * size,
                                      j->type, (size_t)count);
            store_block(j, &panel, row - output, i, values, count);
        }
    }
}

static void pack(const sdi_exec *exec, const sdi_packed *w, sdi_dtype operand, int64_t row0,
                 int64_t rows, const void *source, sdi_dtype type)
{
    if (rows <= 0)
        return;
    job j = {w, operand, row0, rows, panel_number(w, row0), source, type};
    const int64_t panels = panel_number(w, row0 + rows - 1) - j.first_panel + 1;
    const double work = 2.0 * (double)rows * (double)sdi_gemm_length(w);
    sdi_parallel_work(exec, panels, work, pack_panel, &j);
}

static void unpack(const sdi_packed *w, sdi_dtype operand, int64_t row0, int64_t rows, float *out)
{
    const int64_t length = sdi_gemm_length(w);
    for (int64_t row = row0; row < row0 + rows; row++) {
        const int64_t output = panel_output(w, panel_number(w, row));
        const sdi_gemm_panel panel = sdi_gemm_panel_of(w, operand, output);
        for (int64_t i = 0; i < length; i++) {
            const int64_t at = patch_order(w, i) * panel.width + row - output;
            *out++ = operand == SDI_BF16 ? sdi_bf16_to_f32(((const uint16_t *)panel.data)[at])
                                         : ((const float *)panel.data)[at];
        }
    }
}

size_t sdi_k_pack_bytes_f32_gemm(const sdi_packed *w)
{
    return (size_t)(w->n * sdi_gemm_length(w)) * sizeof(float);
}

size_t sdi_k_pack_bytes_bf16_gemm(const sdi_packed *w)
{
    return (size_t)(w->n * sdi_gemm_length(w)) * sizeof(uint16_t);
}

void sdi_k_pack_f32_gemm(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                         const void *source, sdi_dtype type)
{
    pack(exec, w, SDI_F32, row0, rows, source, type);
}

void sdi_k_pack_bf16_gemm(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                          const void *source, sdi_dtype type)
{
    pack(exec, w, SDI_BF16, row0, rows, source, type);
}

void sdi_k_unpack_f32_gemm(const sdi_packed *w, int64_t row0, int64_t rows, float *out)
{
    unpack(w, SDI_F32, row0, rows, out);
}

void sdi_k_unpack_bf16_gemm(const sdi_packed *w, int64_t row0, int64_t rows, float *out)
{
    unpack(w, SDI_BF16, row0, rows, out);
}
