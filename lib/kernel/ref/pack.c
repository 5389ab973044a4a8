/* SPDX-License-Identifier: MIT
 *
 * Weights in the reference layout: from PyTorch's [n][k][kh][kw] to [n][kh][kw][k] of the operand
 * type, so that one output's weights lie in the order of a patch of channels-last pixels.
 */
#include "kernel/parallel.h"
#include "kernel/ref/product.h"
#include "kernel/ref/ref.h"

typedef struct job {
    sdi_packed *w;
    sdi_dtype operand;
    int64_t row0;
    const void *source;
    sdi_dtype type;
} job;

static void store(const job *j, int64_t row, int64_t i, float value)
{
    const int64_t at = row * sdi_ref_length(j->w) + i;
    if (j->operand == SDI_BF16)
        ((uint16_t *)j->w->data)[at] = sdi_f32_to_bf16(value);
    else
        ((float *)j->w->data)[at] = value;
}

static void pack_row(void *argument, int64_t index, int32_t worker)
{
    (void)worker;
    const job *j = argument;
    const int64_t k = j->w->k, taps = j->w->kh * j->w->kw;
    const size_t size = sdi_dtype_size(j->type);
    const char *source = (const char *)j->source + (size_t)(index * sdi_ref_length(j->w)) * size;
    for (int64_t c = 0; c < k; c++) {
        for (int64_t tap = 0; tap < taps; tap++) {
            float value;
            sdi_convert_to_f32(&value, source + (size_t)(c * taps + tap) * size, j->type, 1);
            store(j, j->row0 + index, tap * k + c, value);
        }
    }
}

static void pack(const sdi_exec *exec, sdi_packed *w, sdi_dtype operand, int64_t row0,
                 int64_t rows, const void *source, sdi_dtype type)
{
    job j = {w, operand, row0, source, type};
    sdi_parallel_work(exec, rows, (double)(rows * sdi_ref_length(w)), pack_row, &j);
}

static void unpack(const sdi_packed *w, sdi_dtype operand, int64_t row0, int64_t rows, float *out)
{
    const int64_t k = w->k, taps = w->kh * w->kw, length = sdi_ref_length(w);
    const size_t size = sdi_dtype_size(operand);
    for (int64_t row = 0; row < rows; row++) {
        const char *packed = (const char *)w->data + (size_t)((row0 + row) * length) * size;
        for (int64_t c = 0; c < k; c++)
            for (int64_t tap = 0; tap < taps; tap++)
                sdi_convert_to_f32(&out[row * length + c * taps + tap],
                                   packed + (size_t)(tap * k + c) * size, operand, 1);
    }
}

size_t sdi_k_pack_bytes_f32_ref(const sdi_packed *w)
{
    return (size_t)(w->n * sdi_ref_length(w)) * sizeof(float);
}

size_t sdi_k_pack_bytes_bf16_ref(const sdi_packed *w)
{
    return (size_t)(w->n * sdi_ref_length(w)) * sizeof(uint16_t);
}

void sdi_k_pack_f32_ref(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                        const void *source, sdi_dtype type)
{
    pack(exec, w, SDI_F32, row0, rows, source, type);
}

void sdi_k_pack_bf16_ref(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                         const void *source, sdi_dtype type)
{
    pack(exec, w, SDI_BF16, row0, rows, source, type);
}

void sdi_k_unpack_f32_ref(const sdi_packed *w, int64_t row0, int64_t rows, float *out)
{
    unpack(w, SDI_F32, row0, rows, out);
}

void sdi_k_unpack_bf16_ref(const sdi_packed *w, int64_t row0, int64_t rows, float *out)
{
    unpack(w, SDI_BF16, row0, rows, out);
}
