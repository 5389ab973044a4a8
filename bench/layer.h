/* SPDX-License-Identifier: MIT
 *
 * One layer with its weights and activations, ready to be run and timed.
 */
#ifndef BENCH_LAYER_H
#define BENCH_LAYER_H

#include "kernel/kernel.h"
#include "layers_sd15.h"

typedef struct bench {
    sdi_env env;
    sdi_pool *pool;
    sdi_kernels k;
} bench;

double bench_now(void);          // seconds
double bench_flops(const layer *l); // of one run; 0 for norms
double bench_bytes(const layer *l, const bench *b); // read and written by norms
void bench_name(const layer *l, char *name, size_t size);
/* Median seconds of one run, with weights that are not in the caches; negative: no memory. */
double bench_layer(const bench *b, const layer *l);

/* Operations a second of OpenBLAS on 4096 cubed; 0: no memory. */
double bench_sgemm_rate(const sdi_env *env);
/* Operations a second of AMX tiles at most, on random numbers; they must be there. */
double bench_amx_rate(const bench *b);

#endif
