/* SPDX-License-Identifier: MIT
 *
 * The vocabulary that networks are written in. A network is one C function over a builder:
 *
 *     nn_enter(n, "down_blocks.%d", i);
 *     x = nn_conv2d(n, "conv_in", x, 320, 3);
 *     nn_leave(n);
 *
 * The builder's mode decides what a line does:
 *   declare  records name and shape of each parameter (sdi_weights); nothing else
 *   plan     appends an operation to a plan: shapes, lifetimes, offsets into one arena
 * and a plan is then run any number of times without touching the network function again. The list
 * of operations is also the tape that a backward pass walks in reverse.
 *
 * Words: n h w c for feature maps, b t d for tokens; a token matrix is the map [b, 1, t, d].
 * Control flow in networks depends on configuration only, never on values.
 *
 * Errors stick to the builder: after the first failure every call returns a harmless tensor, and
 * sdi_nn_finish reports it. Networks therefore contain no error handling.
 */
#ifndef SDI_NN_NN_H
#define SDI_NN_NN_H

#include "kernel/kernel.h"
#include "nn/prefix.h"
#include "nn/weights.h"

typedef struct sdi_nn sdi_nn;

/* A value of the network. Shapes may be read by networks; data is not reachable from here. */
typedef struct sdi_node {
    int32_t id;
    int64_t n, h, w, c;
} sdi_node;
typedef const sdi_node *nn_tensor;

/* When an operation has to run: values that depend on per-run inputs only through NN_ONCE ones
 * (the prompt) are computed once for many runs (steps). */
typedef enum nn_when { NN_EACH = 0, NN_ONCE = 1 } nn_when;

/* ---- names --------------------------------------------------------------------------------- */
void nn_enter(sdi_nn *n, const char *format, ...) SDI_PRINTF(2, 3);
void nn_leave(sdi_nn *n);

/* ---- borders -------------------------------------------------------------------------------- */
/* Inputs and outputs are float32 (ids: int32) whatever is used inside; feature maps are NCHW
 * outside and [n, h, w, c] inside. */
nn_tensor nn_input_map(sdi_nn *n, const char *name, int64_t count, int64_t c, int64_t h, int64_t w,
                       nn_when when);
nn_tensor nn_input_tokens(sdi_nn *n, const char *name, int64_t b, int64_t t, int64_t d,
                          nn_when when);
nn_tensor nn_input_ids(sdi_nn *n, const char *name, int64_t b, int64_t t, nn_when when);
void nn_output_map(sdi_nn *n, const char *name, nn_tensor x);    // read back as NCHW
void nn_output_tokens(sdi_nn *n, const char *name, nn_tensor x); // read back as [b, t, d]

/* ---- layers with parameters: <name>.weight, <name>.bias -------------------------------------- */
nn_tensor nn_linear(sdi_nn *n, const char *name, nn_tensor x, int64_t out); // with bias
nn_tensor nn_linear_act(sdi_nn *n, const char *name, nn_tensor x, int64_t out, sdi_act act);
nn_tensor nn_linear_add(sdi_nn *n, const char *name, nn_tensor x, int64_t out,
                        nn_tensor residual);
/* Several linear layers of one input as one product, side by side: columns [i*out, (i+1)*out) of
 * the result are layer names[i]. */
nn_tensor nn_linear_fused(sdi_nn *n, const char *const *names, int32_t count, nn_tensor x,
                          int64_t out, int bias);
nn_tensor nn_geglu(sdi_nn *n, const char *name, nn_tensor x, int64_t out); // weight [2*out, d]

/* Convolution with zero padding of kernel/2, stride 1. */
nn_tensor nn_conv2d(sdi_nn *n, const char *name, nn_tensor x, int64_t out, int32_t kernel);
typedef struct nn_conv_options {
    int32_t kernel, stride; // stride 0 means 1
    int32_t no_bias;
    int32_t pad_top, pad_left, pad_bottom, pad_right;
    int64_t up_h, up_w;     // nearest-neighbour resize in front, 0: none
    nn_tensor channel_add;  // [n, 1, 1, out]: time embedding, or NULL
    nn_tensor residual;     // or NULL
    int32_t standardize;    // weight standardisation (BiT) at load, per output channel
} nn_conv_options;
nn_tensor nn_conv2d_with(sdi_nn *n, const char *name, nn_tensor x, int64_t out,
                         const nn_conv_options *options);

nn_tensor nn_group_norm(sdi_nn *n, const char *name, nn_tensor x, int32_t groups, float eps);
nn_tensor nn_group_norm_silu(sdi_nn *n, const char *name, nn_tensor x, int32_t groups, float eps);
nn_tensor nn_layer_norm(sdi_nn *n, const char *name, nn_tensor x, float eps);
/* Rows of a table [vocab, d] by ids, <name>.weight. */
nn_tensor nn_embedding(sdi_nn *n, const char *name, nn_tensor ids, int64_t vocab, int64_t d);
/* x + the first t rows of a table [rows, d]; `name` is the parameter's full last part. */
nn_tensor nn_add_positions(sdi_nn *n, const char *name, nn_tensor x, int64_t rows);

/* ---- without parameters ---------------------------------------------------------------------- */
nn_tensor nn_attention(sdi_nn *n, nn_tensor q, nn_tensor k, nn_tensor v, int32_t heads, int causal);
nn_tensor nn_act(sdi_nn *n, nn_tensor x, sdi_act act);
nn_tensor nn_add(sdi_nn *n, nn_tensor x, nn_tensor y); // y of one image is added to every image
nn_tensor nn_concat(sdi_nn *n, nn_tensor x, nn_tensor y); // along channels
nn_tensor nn_tokens(sdi_nn *n, nn_tensor map);             // [n,h,w,c] as [n,1,h*w,c]: no copy
nn_tensor nn_map(sdi_nn *n, nn_tensor tokens, int64_t h, int64_t w); // and back
nn_tensor nn_columns(sdi_nn *n, nn_tensor x, int64_t first, int64_t count); // view
/* Sinusoids of timesteps t [b,1,1,1] (Vaswani et al. 2017): [b, 1, 1, dim], cos first when
 * flip_sin_to_cos; frequencies exp(-ln(10000) * i / (dim/2 - shift)). */
nn_tensor nn_timestep_embedding(sdi_nn *n, nn_tensor t, int64_t dim, int flip_sin_to_cos,
                                float shift);

/* ---- in files of their own: of small networks, not in the kernel table ----------------------- */
nn_tensor nn_scale_shift(sdi_nn *n, nn_tensor x, float scale, float shift); // scale * x + shift
nn_tensor nn_soft_clamp(sdi_nn *n, nn_tensor x, float limit); // limit * tanh(x / limit)
/* Maximum over kernel x kernel windows, TensorFlow's "SAME": ceil(h / stride) x ceil(w / stride)
 * results, the padding (zeros, which take part) halved with the odd one behind. */
nn_tensor nn_max_pool_same(sdi_nn *n, nn_tensor x, int32_t kernel, int32_t stride);
/* PyTorch's interpolate(mode="bilinear") to h x w. */
nn_tensor nn_resize_bilinear(sdi_nn *n, nn_tensor x, int64_t h, int64_t w, int align_corners);
/* A parameter [1, t, d] as tokens [1, 1, t, d]; `name` is its full last part. */
nn_tensor nn_parameter(sdi_nn *n, const char *name, int64_t t, int64_t d);
/* Each row of x replaced by the nearest row of a table [rows, c], <name>.weight. */
nn_tensor nn_nearest_rows(sdi_nn *n, const char *name, nn_tensor x, int64_t rows);
/* Token i of the result is token first + i * step of x: a slice (step 1), one token repeated
 * (0). */
nn_tensor nn_pick_tokens(sdi_nn *n, nn_tensor x, int64_t first, int64_t step, int64_t count);
/* The tokens of x before those of y; x of one image goes before every image of y. */
nn_tensor nn_join_tokens(sdi_nn *n, nn_tensor x, nn_tensor y);

/* Whether this pass is planning, with real sizes (declare passes may use any). */
int nn_is_planning(const sdi_nn *n);

#endif
