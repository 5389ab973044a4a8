/* SPDX-License-Identifier: MIT
 *
 * Building and running plans: how the layers above nn use a network.
 *
 *     sdi_nn_declare(env, weights, network, config)       once, then load the weights
 *     sdi_plan_new(env, weights, network, arguments, workers, &plan)
 *     sdi_plan_set(plan, "sample", values) … sdi_plan_run(plan, …) … sdi_plan_get(plan, "out", out)
 */
#ifndef SDI_NN_PLAN_H
#define SDI_NN_PLAN_H

#include "nn/nn.h"

#include <stdatomic.h>

typedef struct sdi_plan sdi_plan;

/* A network: builds itself on n from its arguments (configuration and sizes). */
typedef void (*sdi_network_fn)(sdi_nn *n, const void *arguments);

sdiff_status sdi_nn_declare(const sdi_env *env, sdi_weights *weights, sdi_network_fn network,
                            const void *arguments);

/* Plans for `workers` threads. The weights must be declared (not yet loaded) and outlive it. */
sdiff_status sdi_plan_new(const sdi_env *env, sdi_weights *weights, sdi_network_fn network,
                          const void *arguments, int32_t workers, sdi_plan **out);
void sdi_plan_free(const sdi_env *env, sdi_plan *plan); // NULL is allowed

uint64_t sdi_plan_arena_bytes(const sdi_plan *plan); // needed while running; plans may share it
/* Packed bytes of all matrices that runs of the plan pack anew (sdi_weights.streamed). */
uint64_t sdi_plan_streamed_bytes(const sdi_plan *plan);
/* Memory in which as many of them as fit are kept from run to run, 64-byte aligned; NULL, 0: none.
 * Spoil says that its first `bytes` were used for something else. */
void sdi_plan_set_cache(sdi_plan *plan, void *memory, uint64_t bytes);
void sdi_plan_spoil_cache(sdi_plan *plan, uint64_t bytes);
uint64_t sdi_plan_bytes(const sdi_plan *plan); // of the plan itself, its own bytes included
double sdi_plan_pack_seconds(const sdi_plan *plan); // that all runs so far spent on those matrices
double sdi_plan_flops(const sdi_plan *plan, nn_when when);

/* Told after each operation with the floating-point operations it did: progress that counts real
 * work. Non-zero stops the run with SDIFF_ERROR_CANCELLED. */
typedef int (*sdi_work_fn)(void *user, double flops);

typedef struct sdi_run {
    sdi_pool *pool;
    void *arena; // sdi_plan_arena_bytes() bytes, 64-byte aligned
    sdi_work_fn work; // may be NULL
    void *work_user;
    const atomic_int *cancel; // non-zero stops between operations; may be NULL
} sdi_run;

/* Copies an input in (float32 NCHW or [b,t,d], or int32 ids). Name and size were planned. */
sdiff_status sdi_plan_set(const sdi_env *env, sdi_plan *plan, const char *name, const void *values);
int sdi_plan_has_input(const sdi_plan *plan, const char *name);
/* What is needed: [n, c, h, w], [b, t, d] or, of ids, [b, t]. Returns the rank, or 0 where the plan
 * has no such input. */
int32_t sdi_plan_input(const sdi_plan *plan, const char *name, int64_t shape[4]);
/* Runs the NN_ONCE or the NN_EACH operations. Outputs stay valid in the arena until it is used
 * again. */
sdiff_status sdi_plan_run(const sdi_env *env, sdi_plan *plan, nn_when when, const sdi_run *run);
/* Copies an output out of the arena, float32 NCHW or [b,t,d]. */
sdiff_status sdi_plan_get(const sdi_env *env, const sdi_plan *plan, const char *name,
                          const sdi_run *run, float *out);
/* Names and sizes of outputs, by index; NULL behind the last. */
const char *sdi_plan_output(const sdi_plan *plan, int32_t index, int64_t shape[4], int32_t *rank);

#endif
