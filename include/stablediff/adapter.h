/* SPDX-License-Identifier: MIT
 *
 * Adapters: LoRA and textual inversion on a loaded model; and saving models.
 *
 * These calls change the model, or read it as a whole: no pipeline of the model may be running
 * meanwhile, in any thread. Pipelines made before see the change with their next picture. The
 * sentence of a failure is sdiff_model_error().
 */
#ifndef STABLEDIFF_ADAPTER_H
#define STABLEDIFF_ADAPTER_H

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- LoRA ---- */

/**
 * Merges a LoRA file into the weights of the U-Net and the text encoder: kohya's (also LoCon),
 * peft's and old diffusers' names (Hu et al. 2021: W + scale * alpha / rank * up * down). Several
 * files add up.
 * @param scale -1e6 … 1e6; 1: as trained
 * @return SDIFF_OK, also where some keys have no place (sdiff_model_lora_report()); IO, FORMAT,
 *         MISMATCH (nothing fits, or a matrix has another size), UNSUPPORTED (DoRA, LoHa …),
 *         NO_MEMORY. After a failure the weights are what they were
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_model_add_lora(sdiff_model *model, const char *path, double scale);
/** Takes all of them out: the weights are bit by bit what they were. @since 1.0 */
SDIFF_API sdiff_status sdiff_model_clear_loras(sdiff_model *model);
/** How many are merged. @since 1.0 */
SDIFF_API int32_t sdiff_model_lora_count(const sdiff_model *model);
/** Path of one, in the order of adding; NULL beyond the last. @since 1.0 */
SDIFF_API const char *sdiff_model_lora_path(const sdiff_model *model, int32_t index);
/**
 * The keys of all of them that found no place in the model, as lines of text; "" if there are none.
 * Valid until the next change. @since 1.0
 */
SDIFF_API const char *sdiff_model_lora_report(const sdiff_model *model);

/* ---- textual inversion ---- */

/**
 * Reads a file of textual inversion (.pt, .bin, .safetensors of every common form). The prompt
 * calls its vectors by `name`; NULL: by the name in the file, else the file's own. A file made for
 * another text encoder is SDIFF_ERROR_MISMATCH. @since 1.0
 */
SDIFF_API sdiff_status sdiff_model_add_embedding(sdiff_model *model, const char *path,
                                                 const char *name);
/** Forgets all of them. @since 1.0 */
SDIFF_API sdiff_status sdiff_model_clear_embeddings(sdiff_model *model);
/** How many there are. @since 1.0 */
SDIFF_API int32_t sdiff_model_embedding_count(const sdiff_model *model);
/** Name of one, in the order of adding; NULL beyond the last. @since 1.0 */
SDIFF_API const char *sdiff_model_embedding_name(const sdiff_model *model, int32_t index);
/** Its vectors, each of which takes the room of a token; 0 beyond the last. @since 1.0 */
SDIFF_API int32_t sdiff_model_embedding_vectors(const sdiff_model *model, int32_t index);

/* ---- saving ---- */

/** Layout of a saved model. */
typedef enum sdiff_save_format {
    SDIFF_SAVE_LDM = 0,       /**< one safetensors file in the original's names */
    SDIFF_SAVE_DIFFUSERS = 1, /**< a diffusers folder */
    SDIFF_SAVE_FORCE_INT32 = 0x7fffffff
} sdiff_save_format;

/** Numbers of a saved model. */
typedef enum sdiff_save_dtype {
    SDIFF_SAVE_KEEP = 0, /**< each tensor as the model's own files have it */
    SDIFF_SAVE_F32 = 1,
    SDIFF_SAVE_F16 = 2,
    SDIFF_SAVE_BF16 = 3,
    SDIFF_SAVE_DTYPE_FORCE_INT32 = 0x7fffffff
} sdiff_save_dtype;

/** How a model is saved. Fill with sdiff_save_params_init(). @since 1.0 */
typedef struct sdiff_save_params {
    size_t struct_size;       /**< sizeof(sdiff_save_params), set by the init function */
    int32_t format;           /**< sdiff_save_format, default LDM */
    int32_t dtype;            /**< sdiff_save_dtype, default KEEP */
    int32_t without_loras;    /**< 1: the weights as they were without LoRA, default 0 */
    int32_t without_schedule; /**< 1: LDM only: no schedule buffers, default 0 */
} sdiff_save_params;

/** Writes the defaults; see sdiff_context_params_init(). @since 1.0 */
SDIFF_API void sdiff_save_params_init(sdiff_save_params *params, size_t struct_size);

/**
 * Writes the model's networks again. Values come from the model's files, not from what compute type
 * made of them, so that a type that holds them exactly reads back to the same bits. An existing
 * file is replaced when the new one is complete; a folder is made if need be. Tensors are written
 * one by one. `params` may be NULL. @since 1.0
 */
SDIFF_API sdiff_status sdiff_model_save(sdiff_model *model, const char *path,
                                        const sdiff_save_params *params);

#ifdef __cplusplus
}
#endif

#endif
