/* SPDX-License-Identifier: MIT
 *
 * Stretches of float32, float16 or bfloat16 memory to and from float32; included after
 * vec_<isa>.h. Nothing is read or written beyond `count` elements of the typed side.
 */
#ifndef SDI_KERNEL_X86_ELEMENTS_H
#define SDI_KERNEL_X86_ELEMENTS_H

#include "kernel/kernel.h"

static inline void elements_widen(float *out, const void *in, sdi_dtype type, int64_t count)
{
    const uint16_t *half = in;
    int64_t i = 0;
    if (type == SDI_F32) {
        memcpy(out, in, (size_t)count * sizeof *out);
        return;
    }
    if (type == SDI_F16)
        for (; i + VEC <= count; i += VEC)
            vec_storeu(out + i, vec_load_f16(half + i));
    else
        for (; i + VEC <= count; i += VEC)
            vec_storeu(out + i, vec_load_bf16(half + i));
    if (i < count) {
        uint16_t tail[VEC] = {0};
        memcpy(tail, half + i, (size_t)(count - i) * sizeof *tail);
        vec_store(out + i, type == SDI_F16 ? vec_load_f16(tail) : vec_load_bf16(tail), count - i);
    }
}

static inline void elements_narrow(void *out, sdi_dtype type, const float *in, int64_t count)
{
    uint16_t *half = out;
    int64_t i = 0;
    if (type == SDI_F32) {
        memcpy(out, in, (size_t)count * sizeof *in);
        return;
    }
    if (type == SDI_F16)
        for (; i + VEC <= count; i += VEC)
            vec_store_f16(half + i, vec_loadu(in + i));
    else
        for (; i + VEC <= count; i += VEC)
            vec_store_bf16(half + i, vec_loadu(in + i));
    if (i < count) {
        uint16_t tail[VEC];
        const vec x = vec_load(in + i, count - i);
        if (type == SDI_F16)
            vec_store_f16(tail, x);
        else
            vec_store_bf16(tail, x);
        memcpy(half + i, tail, (size_t)(count - i) * sizeof *tail);
    }
}

static inline char *elements_at(const sdi_mat *m, int64_t row, int64_t column)
{
    const size_t size = m->type == SDI_F32 ? sizeof(float) : sizeof(uint16_t);
    return (char *)m->data + (size_t)(row * m->ld + column) * size;
}

/* Elements of one row as floats: where they lie if they are float32, else widened into buffer. */
static inline const float *elements_read(const sdi_mat *m, int64_t row, int64_t column,
                                         int64_t count, float *buffer)
{
    const void *at = elements_at(m, row, column);
    if (m->type == SDI_F32)
        return at;
    elements_widen(buffer, at, m->type, count);
    return buffer;
}

#endif
