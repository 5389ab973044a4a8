/* SPDX-License-Identifier: MIT
 *
 * Inside the builder: nodes, buffers, operations. Seen by lib/nn only.
 */
#ifndef SDI_NN_BUILDER_H
#define SDI_NN_BUILDER_H

#include "nn/plan.h"

#define NN_NOT_CACHED UINT64_MAX

enum { NN_NAME = 256, NN_DEPTH = 32, NN_CHUNK = 128, NN_INPUTS = 4 };

/* Memory of one or more nodes (views share it): rows x ld elements. */
typedef struct nn_buffer {
    int64_t rows, ld;
    sdi_dtype type;
    nn_when when;       // of the operation that fills it
    int32_t first, last; // operations that write first and read last
    int32_t own;        // held by the plan between runs, not in the arena
    int32_t is_output;
    uint64_t bytes, offset;
} nn_buffer;

typedef struct nn_node {
    sdi_node shape; // first: nn_tensor points at it
    int32_t buffer;
    int64_t column; // a view starts at this column of the buffer's rows
} nn_node;

typedef enum nn_kind {
    NN_IMPORT, // NCHW float32 input -> rows
    NN_LINEAR,
    NN_CONV,
    NN_ATTENTION,
    NN_GROUP_NORM,
    NN_LAYER_NORM,
    NN_MAP,
    NN_EMBED,
    NN_TIMESTEPS,
    NN_CALL // an operation of its own file: nn_op.call
} nn_kind;

typedef struct nn_op nn_op;

/* An operation that is not in the kernel table. data[0] is the output, data[1 + i] input i,
 * data[1 + NN_INPUTS] the values of param[0] as one row. */
typedef void (*nn_call_fn)(const sdi_exec *exec, const nn_op *op, const sdi_mat *data);

struct nn_op {
    nn_kind kind;
    nn_when when;
    const nn_node *out;
    const nn_node *in[NN_INPUTS]; // NULL: absent
    int32_t weight;               // of LINEAR and CONV: (first) parameter of the matrix, -1: none
    int32_t param[2];             // bias or (weight, bias) of norms, table of EMBED; -1: none
    double flops;
    size_t scratch;
    size_t pack_bytes;   // of a streamed matrix, which lies behind the scratch; 0: resident
    uint64_t scratch_offset;
    uint64_t cache_offset; // of a streamed matrix that is kept between runs, NN_NOT_CACHED: none
    int32_t cached;        // it is there
    char *label;
    union {
        sdi_linear linear;
        sdi_conv conv;
        sdi_attention attention;
        sdi_group_norm group_norm;
        sdi_layer_norm layer_norm;
        sdi_map map;
        struct {
            int32_t flip;
            float shift;
        } timesteps;
        struct {
            nn_call_fn fn;
            int64_t args[4];
            float scalars[2];
        } call;
    } u;
};

typedef struct nn_border {
    char *name;
    const nn_node *node;
    int64_t shape[4]; // of inputs, as they are given
    int32_t rank;
    int32_t is_map; // NCHW outside
    int32_t is_ids;
} nn_border;

struct sdi_plan {
    sdi_env env; // memory of the owner
    const sdi_weights *weights;
    int32_t workers;
    nn_node **chunks; // [chunk_count][NN_CHUNK]
    int32_t chunk_count, node_count;
    nn_buffer *buffers;
    int32_t buffer_count, buffer_capacity;
    nn_op *ops;
    int32_t op_count, op_capacity;
    nn_border *inputs, *outputs;
    int32_t input_count, output_count, input_capacity, output_capacity;
    void *own;
    char *cache; // of streamed matrices
    uint64_t own_bytes, arena_bytes;
    double flops[2]; // by nn_when
    double pack_seconds; // spent on streamed matrices
};

struct sdi_nn {
    sdi_env env;
    sdi_plan *plan;       // nodes are made in declare passes too
    sdi_weights *weights;
    int declaring;
    sdiff_status status;
    nn_node nothing; // what is returned after a failure
    char prefix[NN_NAME];
    int32_t marks[NN_DEPTH];
    int32_t depth;
};

/* Memory for plan->ops etc.; NULL on failure, which sticks to the builder. */
void *nn_grow(sdi_nn *n, void *array, int32_t count, int32_t *capacity, size_t size);
sdiff_status nn_failed(sdi_nn *n, sdiff_status status);

/* A new value with memory of its own, [n, h, w, c], or a view of x's columns. */
nn_node *nn_new_value(sdi_nn *n, int64_t count, int64_t h, int64_t w, int64_t c, sdi_dtype type);
nn_node *nn_new_view(sdi_nn *n, nn_tensor x, int64_t count, int64_t h, int64_t w, int64_t c,
                     int64_t column);
/* Appends an operation and returns its output; NULL inputs are absent. */
nn_tensor nn_append(sdi_nn *n, const char *name, nn_op op);

/* An operation of its own file on x (and y, which may be NULL): fills in what each needs. */
nn_op nn_call(nn_call_fn fn, nn_tensor x, nn_tensor y, const nn_node *out);
/* x itself, or a float32 copy of it: operations of their own files know float32 only. */
nn_tensor nn_as_f32(sdi_nn *n, nn_tensor x);

/* "prefix.name.suffix" (suffix may be NULL), in a buffer of NN_NAME. */
void nn_full_name(sdi_nn *n, const char *name, const char *suffix, char *out);
/* Declares the parameter, or finds it again when planning; -1 after a failure. */
int32_t nn_param(sdi_nn *n, const char *name, const char *suffix, sdi_role role, int32_t rank,
                 const int64_t *shape);

static inline const nn_node *nn_node_of(nn_tensor x)
{
    return (const nn_node *)x;
}

static inline int64_t nn_rows(nn_tensor x)
{
    return x->n * x->h * x->w;
}

/* Type and memory of a node's rows; base addresses of the arena and of the plan's own memory. */
sdi_mat nn_mat(const sdi_plan *plan, const nn_node *node, void *arena);

/* nn/layout.c: lifetimes, offsets and sizes of a finished list of operations. */
sdiff_status nn_lay_out(const sdi_env *env, sdi_plan *plan);
/* nn/run.c: scratch that the kernel of an operation wants. */
size_t nn_kernel_scratch(const sdi_plan *plan, const nn_op *op);

/* nn/streamed.c: fills in that scratch and the bytes of a streamed matrix. */
void nn_op_scratch(const sdi_plan *plan, nn_op *op);
/* The operation's matrix, packed now where it is streamed and was not kept. */
sdi_packed nn_packed_now(sdi_plan *plan, nn_op *op, const sdi_exec *exec);

static inline const sdi_packed *nn_matrix_of(const sdi_plan *plan, const nn_op *op)
{
    return &plan->weights->matrices[plan->weights->params[op->weight].matrix];
}

#endif
