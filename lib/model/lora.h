/* SPDX-License-Identifier: MIT
 *
 * Low-rank adapters (Hu et al. 2021): W + scale * (alpha / rank) * up * down, merged into the
 * packed weights of a model and taken out again by packing the file's values anew.
 *
 * Files name the layers they change in several ways, all of which are tried for every key:
 *   kohya          lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight, .lora_up.weight,
 *                  .alpha; also with the original's words (lora_unet_input_blocks_1_1_proj_in), and
 *                  LoCon's convolutions, with lora_mid where they are decomposed twice
 *   peft           [base_model.model.]unet.down_blocks.0.….to_q.lora_A.weight, lora_B.weight
 *   old diffusers  unet.….attn1.processor.to_q_lora.down.weight, up.weight
 */
#ifndef SDI_MODEL_LORA_H
#define SDI_MODEL_LORA_H

#include "model/model.h"

/* One pair of matrices and the parameter, or the rows of a fused one, that it changes. */
typedef struct sdi_lora_module {
    sdi_part part;
    int32_t param;
    int32_t piece, pieces, heads; // as in sdi_tensor_ref: which rows of `up`
    int32_t down, up, mid;        // tensors of the file; mid -1: none
    int32_t rank;
    float factor; // alpha / rank
} sdi_lora_module;

typedef struct sdi_lora {
    sdi_tensor_file *file;
    char *name; // path
    double scale;
    sdi_lora_module *modules;
    int32_t count;
    char *report; // the keys that found no place, a line each; NULL: none
} sdi_lora;

/* What is merged into a model, in the order of adding. Zeroed is an empty list. */
typedef struct sdi_loras {
    sdi_lora *items;
    int32_t count, capacity;
    char *report; // those of all items, behind their files' names; NULL: nothing to tell
} sdi_loras;

/* Merges a file into the weights; no pipeline of the model may be running. A file of which nothing
 * fits is refused. On failure the weights are what they were before; should a broken reader prevent
 * that, the model's part counts as absent from then on. */
sdiff_status sdi_loras_add(const sdi_env *env, sdi_model *model, sdi_pool *pool, sdi_loras *list,
                           const char *path, double scale);
/* Puts the file's values back: the weights have the bits they had after loading. */
sdiff_status sdi_loras_clear(const sdi_env *env, sdi_model *model, sdi_pool *pool,
                             sdi_loras *list);
/* Forgets the list without touching the weights: before the model itself goes. */
void sdi_loras_free(const sdi_env *env, sdi_loras *list);

/* A parameter's values with everything merged, float32 in PyTorch's order, [param.count]. */
sdiff_status sdi_loras_values(const sdi_env *env, const sdi_model *model, sdi_pool *pool,
                              const sdi_loras *list, sdi_part part, int32_t param, float *out);

#endif
