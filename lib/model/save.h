/* SPDX-License-Identifier: MIT
 *
 * Writing a model again: as one safetensors file in the names of the original code, or as a
 * diffusers folder. Values come from the model's files, tensor by tensor.
 */
#ifndef SDI_MODEL_SAVE_H
#define SDI_MODEL_SAVE_H

#include "model/lora.h"

typedef enum sdi_save_type {
    SDI_SAVE_KEEP = 0, // as the files have each tensor
    SDI_SAVE_F32,
    SDI_SAVE_F16,
    SDI_SAVE_BF16
} sdi_save_type;

typedef struct sdi_save_options {
    sdi_save_type type;
    const sdi_loras *loras;   // to be merged; NULL: none
    int32_t without_schedule; // single files: no buffers of the noise schedule
    sdi_pool *pool;           // may be NULL
} sdi_save_options;

/* One file. What names and shapes do not tell (head counts, schedule) goes into its metadata, which
 * is read back when it is opened. An autoencoder alone is written without a prefix. */
sdiff_status sdi_save_ldm(const sdi_env *env, const sdi_model *model, const char *path,
                          const sdi_save_options *options);
/* A folder, made if need be; model_index.json is written last. */
sdiff_status sdi_save_diffusers(const sdi_env *env, const sdi_model *model, const char *path,
                                const sdi_save_options *options);

#endif
