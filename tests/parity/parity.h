/* SPDX-License-Identifier: MIT
 *
 * Parity of networks with golden tensors: load a network's weights, run it, compare.
 * Everything fails the running test by itself; nothing returns a status.
 */
#ifndef TEST_PARITY_H
#define TEST_PARITY_H

#include "support/support.h"

#include "io/tensor_file.h"
#include "nn/plan.h"

#include <jansson.h>

/* Files are named below shared/ ("fixtures/…"), or below tests/ ("data/…"). */

/* An environment with threads and one file of golden tensors. */
typedef struct parity {
    sdi_env env;
    sdi_pool *pool;
    sdi_kernels kernels;
    sdi_tensor_file *golden;
    char name[128];       // of the golden file, for the report
    double worst;        // largest error / tolerance so far
    char worst_name[128];
} parity;

void parity_open(parity *p, const char *golden);
void parity_close(parity *p); // reports the worst ratio, asserts that nothing leaks

/* A golden tensor as float32 (free()); shape may be NULL. */
float *parity_golden(parity *p, const char *name, int64_t shape[4]);
int32_t *parity_golden_ids(parity *p, const char *name, int64_t shape[4]);

/* Fails unless each of count numbers is within `tolerance` of the golden ones. */
void parity_check(parity *p, const char *name, const float *got, const float *want, int64_t count,
                  double tolerance);

/* Notes an error for the report and fails above its tolerance. NaN counts as an error. */
void parity_note(parity *p, const char *name, double error, double tolerance);

/* sqrt(sum (got - want)^2 / sum want^2) of as many numbers as the golden tensor has. */
void parity_check_l2(parity *p, const char *name, const float *got, double tolerance);

/* A network with its weights. */
void parity_load(parity *p, sdi_weights *weights, const char *file,
                 sdi_network_fn network, const void *args);

/* One planned network and the arena it runs in. */
typedef struct parity_run {
    sdi_plan *plan;
    void *arena;
    sdi_run run;
} parity_run;

void parity_plan(parity *p, parity_run *r, sdi_weights *weights, sdi_network_fn network,
                 const void *args);
void parity_set(parity *p, parity_run *r, const char *input, const void *values);
void parity_go(parity *p, parity_run *r); // NN_ONCE and NN_EACH operations
void parity_end(parity *p, parity_run *r);

/* An output of the plan (free()), [n, c, h, w] or [b, t, d]. */
float *parity_output(parity *p, parity_run *r, const char *output, int64_t shape[4]);

/* Compares an output with a golden tensor, which may hold the first images and channels only.
 * Tolerance: the larger of `absolute` and `relative` times the golden maximum. */
void parity_compare(parity *p, parity_run *r, const char *output, const char *golden,
                    double absolute, double relative);

/* sqrt(sum (got - want)^2 / sum want^2) of an output that has the golden tensor's size. */
double parity_relative_l2(parity *p, parity_run *r, const char *output, const char *golden);

/* Configurations: a JSON file below shared/, and members of it. */
json_t *parity_config(const char *file);
int32_t parity_config_ints(const json_t *config, const char *key, int32_t *values, int32_t count);

#endif
