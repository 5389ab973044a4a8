/* SPDX-License-Identifier: MIT
 *
 * The kernels: each operation on memory is declared once here, and one table of functions holds the
 * versions in use. The readable reference fills the table first; OpenBLAS and the instruction sets
 * overwrite what they do better. Kernels take pointers and sizes and know no networks.
 *
 * Activations are rows: a feature map [n, h, w, c] is a matrix of n*h*w rows of c numbers, tokens
 * [b, t, d] one of b*t rows of d. Rows lie `ld` elements apart (ld >= columns). Element types are
 * SDI_F32 everywhere for f32 compute; with bf16 compute the operands of products may be SDI_BF16
 * and the residual stream SDI_F32 or SDI_F16. Biases, norm weights and statistics are float32.
 *
 * Work is divided into pieces fixed by shape, so that results do not depend on the thread count.
 */
#ifndef SDI_KERNEL_KERNEL_H
#define SDI_KERNEL_KERNEL_H

#include "base/env.h"
#include "base/threads.h"
#include "tensor/dtype.h"

typedef struct sdi_mat {
    void *data; // NULL: absent (optional operands)
    int64_t ld; // elements from one row to the next
    sdi_dtype type;
} sdi_mat;

typedef enum sdi_act {
    SDI_ACT_NONE = 0,
    SDI_ACT_SILU,       // x * sigmoid(x)
    SDI_ACT_GELU,       // x/2 * (1 + erf(x / sqrt 2))
    SDI_ACT_QUICK_GELU, // x * sigmoid(1.702 x)
    SDI_ACT_RELU,
    SDI_ACT_GEGLU // linear only: columns are [value | gate], result value * gelu(gate)
} sdi_act;

/* What a kernel runs on: threads, and scratch memory of at least what <op>_scratch asked for. */
typedef struct sdi_exec {
    sdi_pool *pool;
    void *scratch; // 64-byte aligned
    size_t scratch_bytes;
} sdi_exec;

/* A weight in the layout that the table's products want. Logical form: [n][kh][kw][k], output
 * channels first, as [n][k] for a linear layer. */
typedef struct sdi_packed {
    int64_t n, k;
    int32_t kh, kw; // 1, 1 for linear
    int32_t geglu;  // rows [0, n/2) are values, [n/2, n) gates: may be interleaved when packed
    void *data;     // sdi_kernels.pack_bytes() bytes, 64-byte aligned
} sdi_packed;

/* out[m, n] = act(x[m, k] * w^T + bias) + residual; GEGLU: out is [m, n/2], no residual. */
typedef struct sdi_linear {
    int64_t m;
    sdi_mat x;
    const sdi_packed *w;
    const float *bias; // [n] or NULL
    sdi_act act;
    sdi_mat residual; // [m, n] or absent; may be `out` itself
    sdi_mat out;
} sdi_linear;

/* 2-D cross-correlation on [n, h, w, c] rows. The input is read as if it had been resized to
 * up_h x up_w by nearest neighbour (source index floor(i * h / up_h)); up_h == h, up_w == w: as it
 * is. Outside of it are zeros. Output pixel (y, x) starts at input (y*stride - pad_top, …). */
typedef struct sdi_conv {
    int64_t n, h, w, up_h, up_w, oh, ow;
    int32_t stride, pad_top, pad_left;
    sdi_mat x;           // [n*h*w, k]
    const sdi_packed *wt;
    const float *bias;   // [wt->n] or NULL
    sdi_mat channel_add; // [n, wt->n] float32: added to every pixel of image i (times), or absent
    sdi_mat residual;    // [n*oh*ow, wt->n] or absent; may be `out` itself
    sdi_mat out;
} sdi_conv;

/* Softmax(scale * q k^T) v for each image and head; columns of head i are [i*d, (i+1)*d). Causal:
 * query t sees keys 0..t (tq == tk). Running softmax in tiles, never a whole score matrix. */
typedef struct sdi_attention {
    int64_t b, tq, tk;
    int32_t heads, d;
    float scale;
    int32_t causal;
    sdi_mat q, k, v, out; // [b*tq, heads*d], [b*tk, heads*d] twice, [b*tq, heads*d]
} sdi_attention;

/* Normalises over (pixels, channels of a group) of each image: weight * (x-mean)/sqrt(var+eps) +
 * bias, then act (NONE or SILU). */
typedef struct sdi_group_norm {
    int64_t n, pixels, c;
    int32_t groups;
    float eps;
    const float *weight, *bias; // [c]
    sdi_act act;
    sdi_mat x, out;
} sdi_group_norm;

/* The same over the columns of each row. */
typedef struct sdi_layer_norm {
    int64_t rows, c;
    float eps;
    const float *weight, *bias; // [c]
    sdi_mat x, out;
} sdi_layer_norm;

/* out = act(x) + y: y may be absent; y_rows > 0 repeats y's first y_rows rows (positions). Also
 * copies, converts types and fills column ranges of wider matrices (concatenation). */
typedef struct sdi_map {
    int64_t rows, c, y_rows;
    sdi_act act;
    sdi_mat x, y, out;
} sdi_map;

typedef struct sdi_kernels {
    const char *names;    // what is in the table, for the log: "ref+openblas+avx512"
    sdi_dtype operand;    // SDI_F32 or SDI_BF16: element type of packed weights
    int32_t split;        // with SDI_F32: a number is packed as the sum of two bf16 numbers
    int64_t row_multiple; // rows of activations are padded to a multiple of this (ld)

    /* Weights. Source rows [row0, row0 + rows) of the logical [n][k][kh][kw] (PyTorch's order) or
     * [n][k] tensor, of any float type; parts of one matrix (fused q, k, v) are packed by several
     * calls. Rows may be packed in parallel by the caller only through `exec`. */
    size_t (*pack_bytes)(const sdi_packed *w);
    void (*pack)(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                 const void *source, sdi_dtype type);
    /* The inverse, to float32 in the logical order: for tests, adapters and saving. */
    void (*unpack)(const sdi_packed *w, int64_t row0, int64_t rows, float *out);

    void (*linear)(const sdi_exec *exec, const sdi_linear *a);
    size_t (*linear_scratch)(const sdi_linear *a, int32_t workers);
    void (*conv)(const sdi_exec *exec, const sdi_conv *a);
    size_t (*conv_scratch)(const sdi_conv *a, int32_t workers);
    void (*attention)(const sdi_exec *exec, const sdi_attention *a);
    size_t (*attention_scratch)(const sdi_attention *a, int32_t workers);
    void (*group_norm)(const sdi_exec *exec, const sdi_group_norm *a);
    size_t (*group_norm_scratch)(const sdi_group_norm *a, int32_t workers);
    void (*layer_norm)(const sdi_exec *exec, const sdi_layer_norm *a);
    void (*map)(const sdi_exec *exec, const sdi_map *a);
    void (*convert_to_f32)(float *out, const void *in, sdi_dtype type, size_t count);
} sdi_kernels;

/* Kernel sets, as bits of a mask; a set that the CPU or the build lacks is never used. */
enum {
    SDI_SET_OPENBLAS = 1 << 0,
    SDI_SET_AVX2 = 1 << 1,        // with FMA and F16C
    SDI_SET_AVX512 = 1 << 2,      // F, BW, VL, DQ
    SDI_SET_AVX512_BF16 = 1 << 3,
    SDI_SET_AMX_BF16 = 1 << 4,
    SDI_SET_ALL = 0x7fffffff
};

/* Which of these sets this CPU and operating system can run (compiled-in ones only). Tiles are
 * asked of the system only if they are in the mask. */
uint32_t sdi_kernel_sets_available(uint32_t mask);
/* "ref,openblas,avx2,avx512,avx512bf16,amx" or "all"; "ref" alone is the empty mask. */
sdiff_status sdi_kernel_sets_parse(const sdi_env *env, const char *list, uint32_t *mask);
/* Fills the table: reference, then each set of `mask` that is available. `operand` is SDI_F32 or
 * SDI_BF16 (bf16 works with every set, by the reference where nothing better is there). */
void sdi_kernels_init(sdi_kernels *kernels, uint32_t mask, sdi_dtype operand);
/* Makes each product of an SDI_F32 table out of three of bf16 numbers, where `mask` has a set that
 * multiplies these; else changes nothing. A number is high + low, both bf16, to 2^-17; low * low is
 * left out, so that a product is off by at most 2^-15. (Henry, Tang and Heinecke 2019, "Leveraging
 * the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations".) */
void sdi_kernels_split(sdi_kernels *kernels, uint32_t mask);
/* Whether that is faster than f32 here. */
int sdi_kernels_prefer_split(uint32_t mask);
/* "f32", "bf16" or "bf16x3": what products are made of. */
const char *sdi_kernels_compute(const sdi_kernels *kernels);
/* Makes weights what comes out of the table's packed form. */
void sdi_kernels_round(const sdi_kernels *kernels, float *weights, int64_t count);
/* Whether bf16 products are native and faster than f32 here: what compute type `auto` asks. */
int sdi_kernels_prefer_bf16(uint32_t mask);
/* The same for sets that are there. */
int sdi_kernels_prefer_bf16_on(uint32_t sets, int dots_are_fast);

#endif
