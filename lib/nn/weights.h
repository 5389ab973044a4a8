/* SPDX-License-Identifier: MIT
 *
 * The parameters of one network: declared by a declare pass, filled by a loader, read by plans.
 */
#ifndef SDI_NN_WEIGHTS_H
#define SDI_NN_WEIGHTS_H

#include "kernel/kernel.h"

#include <stdatomic.h>

typedef enum sdi_role {
    SDI_ROLE_MATRIX, // operand of products, packed for the kernels
    SDI_ROLE_VECTOR, // float32: biases, norms
    SDI_ROLE_TABLE,  // rows that are added, or looked at as a whole: positions; float32
    SDI_ROLE_LOOKUP  // rows taken by number: embeddings; as the file has them
} sdi_role;

/* One named tensor as PyTorch would hold it. */
typedef struct sdi_param {
    char *name; // "down_blocks.0.resnets.0.conv1.weight"
    sdi_role role;
    int32_t rank;
    int64_t shape[4];
    int64_t count;
    int32_t matrix;      // MATRIX: index of the packed matrix it is a part of
    int64_t row0;        // and its first row there
    float *values;       // VECTOR, TABLE: [count]
    const void *source;  // LOOKUP: its rows; MATRIX: its values in the file, if it is streamed
    sdi_dtype type;      // of source
    int32_t borrowed;    // source is the file's memory and not the weights' own
    int32_t changed;     // MATRIX, streamed: was given other values than its file's
    int32_t owner;       // biases side by side: the parameter whose memory holds the values at
                         // row0; -1: its own
    int32_t standardize; // convolution weights of BiT
    int32_t bound;       // was given its values
} sdi_param;

typedef struct sdi_weights {
    sdi_env env; // memory of the owner
    sdi_kernels kernels;
    sdi_param *params;
    int32_t count, capacity;
    sdi_packed *matrices;
    int32_t matrix_count, matrix_capacity;
    int32_t *index; // hash of names, open addressing
    int32_t index_size;
    /* Under a memory limit the matrices of a network may stay in its file: `data` of a matrix is
     * NULL then, and each run of a plan packs it anew where it is needed. */
    int32_t streamed;
    int32_t paged; // sources are pages of a mapped file: they are given back after use
    atomic_int version; // counts matrices becoming resident or streamed: a plan is of one version
} sdi_weights;

/* A declare pass: each adds one parameter; -1 when the builder has to stop (no memory, two
 * parameters of one name). `matrix` of a MATRIX parameter comes from sdi_weights_add_matrix. */
int32_t sdi_weights_add(const sdi_env *env, sdi_weights *weights, const char *name, sdi_role role,
                        int32_t rank, const int64_t *shape);
int32_t sdi_weights_add_matrix(const sdi_env *env, sdi_weights *weights, int64_t n, int64_t k,
                               int32_t kh, int32_t kw, int32_t geglu);

void sdi_weights_init(sdi_weights *weights, const sdi_env *env, const sdi_kernels *kernels);
void sdi_weights_free(sdi_weights *weights); // zeroed is fine

int32_t sdi_weights_find(const sdi_weights *weights, const char *name); // -1: absent
/* Elements of all parameters, and their bytes that are in memory. */
uint64_t sdi_weights_elements(const sdi_weights *weights);
uint64_t sdi_weights_resident_bytes(const sdi_weights *weights);
/* Allocates memory for values and, unless they are streamed, matrices; before the first bind. */
sdiff_status sdi_weights_allocate(const sdi_env *env, sdi_weights *weights);
/* Converts or packs the values of one parameter from its file's bytes (contiguous, any float type,
 * any alignment). Shapes were checked by the caller. A streamed matrix becomes resident: these
 * values may not be the file's. */
sdiff_status sdi_weights_bind(const sdi_exec *exec, sdi_weights *weights, int32_t param,
                              const void *source, sdi_dtype type);
/* The same with bytes that stay where they are for as long as the weights: of streamed ones nothing
 * is copied where the kernels can read that type, and a resident matrix none of whose parts differs
 * from the file is given up again. */
sdiff_status sdi_weights_bind_mapped(const sdi_exec *exec, sdi_weights *weights, int32_t param,
                                     const void *source, sdi_dtype type);
/* Packs a streamed matrix, parameter `first` and those behind it, into packed->data. */
void sdi_weights_pack(const sdi_exec *exec, const sdi_weights *weights, int32_t first,
                      sdi_packed *packed);
/* Frees the rows of a LOOKUP parameter, if they are the weights' own. */
void sdi_weights_drop_rows(const sdi_weights *weights, sdi_param *param);
/* Row of a LOOKUP parameter as float32. */
void sdi_weights_row(const sdi_weights *weights, int32_t param, int64_t row, float *out);
/* Current values as float32 in PyTorch's order, [count]. */
void sdi_weights_read(const sdi_weights *weights, int32_t param, float *out);

#endif
