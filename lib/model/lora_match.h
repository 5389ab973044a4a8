/* SPDX-License-Identifier: MIT
 *
 * Adapters from inside: what keys mean, and finding the parameter of each.
 */
#ifndef SDI_MODEL_LORA_MATCH_H
#define SDI_MODEL_LORA_MATCH_H

#include "model/lora.h"
#include "model/names.h"

typedef enum sdi_lora_kind {
    SDI_LORA_OTHER = 0, // nothing known
    SDI_LORA_DOWN,
    SDI_LORA_UP,
    SDI_LORA_MID,
    SDI_LORA_ALPHA,
    SDI_LORA_FOREIGN // a part of another method, without which the rest would be wrong
} sdi_lora_kind;

/* A key taken apart. Stems are written with '_' throughout, as kohya does; diffusers' old words are
 * turned into today's. */
typedef struct sdi_lora_key {
    sdi_lora_kind kind;
    uint32_t parts; // bits 1 << sdi_part that the prefix allows
    int32_t tensor; // index in the file
    const char *name;
    char stem[SDI_NAME_MAX];
} sdi_lora_key;

void sdi_lora_parse_key(const char *name, int32_t tensor, sdi_lora_key *key);

/* The layers of a model under all their names. */
typedef struct sdi_lora_target {
    sdi_part part;
    int32_t param;
    int32_t piece, pieces, heads;
    char stem[SDI_NAME_MAX];
} sdi_lora_target;

typedef struct sdi_lora_targets {
    sdi_lora_target *items; // by stem, then by part and parameter
    int32_t count;
} sdi_lora_targets;

sdiff_status sdi_lora_targets_new(const sdi_env *env, const sdi_model *model,
                                  sdi_lora_targets *out);
void sdi_lora_targets_free(const sdi_env *env, sdi_lora_targets *targets);
/* The first of those with the stem; *count of them follow each other. */
const sdi_lora_target *sdi_lora_targets_find(const sdi_lora_targets *targets, const char *stem,
                                             int32_t *count);

/* Opens a file and fills everything but scale. */
sdiff_status sdi_lora_open(const sdi_env *env, const sdi_model *model, const char *path,
                           sdi_lora *out);
void sdi_lora_close(const sdi_env *env, sdi_lora *lora);

/* Packs parameters anew: those of items[first] and behind it, with all items merged. *touched tells
 * whether any weight was changed, in case of failure. */
sdiff_status sdi_loras_bind(const sdi_env *env, sdi_model *model, sdi_pool *pool,
                            const sdi_loras *list, int32_t first, int32_t *touched);
/* Packs the file's values for the parameters of one item. */
sdiff_status sdi_lora_unbind(const sdi_env *env, sdi_model *model, sdi_pool *pool,
                             const sdi_lora *lora);

#endif
