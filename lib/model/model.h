/* SPDX-License-Identifier: MIT
 *
 * From files to configured, filled networks: a model is recognised by its content (a diffusers
 * folder, a single LDM file, a stand-alone VAE), its configuration read or inferred, the networks
 * declared, and each parameter matched with a tensor and packed for the kernels.
 *
 * A model may be used by any number of threads; only lora.h changes one. docs/formats.md says
 * what is recognised and where each default comes from.
 */
#ifndef SDI_MODEL_MODEL_H
#define SDI_MODEL_MODEL_H

#include "io/tensor_file.h"
#include "net/clip_text.h"
#include "net/depth_dpt.h"
#include "net/taesd.h"
#include "net/unet.h"
#include "net/vae.h"
#include "nn/weights.h"
#include "sample/schedule.h"
#include "text/tokenizer.h"

#include <jansson.h>

/* ---- what a model is ------------------------------------------------------------------------- */
typedef enum sdi_part {
    SDI_PART_TEXT = 0,
    SDI_PART_UNET,
    SDI_PART_VAE_ENCODER,
    SDI_PART_VAE_DECODER,
    SDI_PART_DEPTH,         // depth estimator
    SDI_PART_CONTROL,       // ControlNet: never beside a U-Net, whose configuration it has
    SDI_PART_TAESD_ENCODER, // tiny autoencoder
    SDI_PART_TAESD_DECODER,
    SDI_PART_COUNT
} sdi_part;

typedef enum sdi_family {
    SDI_FAMILY_SD1 = 0,       // CLIP ViT-L/14
    SDI_FAMILY_SD2,           // OpenCLIP ViT-H
    SDI_FAMILY_UNCONDITIONAL, // a U-Net without cross-attention
    SDI_FAMILY_VAE,           // an autoencoder alone
    SDI_FAMILY_CONTROLNET,    // a ControlNet alone
    SDI_FAMILY_DEPTH,         // a depth estimator alone
    SDI_FAMILY_TAESD          // a tiny autoencoder alone
} sdi_family;

typedef enum sdi_task {
    SDI_TASK_TEXT = 0, // as many input channels as latents have
    SDI_TASK_INPAINT,  // 9: latents, mask, masked latents
    SDI_TASK_DEPTH,    // 5: latents, depth
    SDI_TASK_EDIT      // 8: latents, latents of the picture to edit
} sdi_task;

/* Where a value came from that names and shapes do not tell. */
typedef enum sdi_origin {
    SDI_FROM_DEFAULT = 0, // the published models' value
    SDI_FROM_FILE,        // the checkpoint: metadata, marker tensors, statistics of weights
    SDI_FROM_CONFIG,      // a configuration in the folder, beside the file, or named by the caller
    SDI_FROM_OPTION       // the caller's override
} sdi_origin;

/* How a picture is made ready for the depth estimator. */
typedef struct sdi_depth_input {
    int32_t width, height; // that it is resized to
    int32_t keep_aspect;   // 1: only nearly, its sides keep their ratio
    int32_t multiple;      // each side is one of this
    double mean[3], deviation[3]; // of pixels in [0, 1]
} sdi_depth_input;

/* What a ControlNet's files say beside the network. */
typedef struct sdi_control_config {
    int32_t global_pool; // each residual is averaged over the picture ("shuffle")
    int32_t bgr;         // the hint's channels are swapped
    int32_t decades;     // guess mode as in diffusers, whose names the file has: docs/modes.md
} sdi_control_config;

typedef struct sdi_model_config {
    sdi_family family;
    sdi_task task;
    int32_t has[SDI_PART_COUNT]; // the files hold this part (loaded or not)
    sdi_clip_config clip;        // valid where has[] says so
    sdi_unet_config unet; // or the ControlNet's
    sdi_vae_config vae;
    sdi_dpt_config depth;
    sdi_depth_input depth_input;
    sdi_control_config control;
    sdi_taesd_config taesd;
    sdi_schedule_config schedule;
    sdi_origin prediction_from, heads_from;
    char scheduler_class[48]; // diffusers' name ("PNDMScheduler"), "" for single files
} sdi_model_config;

/* ---- opening --------------------------------------------------------------------------------- */
/* One of: a path (folder or file), memory, or a reader. Memory and reader must outlive
 * the model. */
typedef struct sdi_model_source {
    const char *path;
    const void *bytes;
    sdi_read_fn read;
    void *user;
    uint64_t size; // of bytes or reader
} sdi_model_source;

enum { SDI_LOAD_ALL = 0, SDI_LOAD_TOKENIZER = 1 << SDI_PART_COUNT };

typedef struct sdi_model_options {
    /* Table for each part, copied; [SDI_PART_UNET] serves parts whose own is NULL. All NULL:
     * nothing is packed; names and shapes are matched and configurations known (for `info`). */
    const sdi_kernels *kernels[SDI_PART_COUNT];
    sdi_pool *pool;          // for packing; not kept; may be NULL
    uint32_t components;     // bits 1 << sdi_part and SDI_LOAD_TOKENIZER; 0: everything
    const char *config;      // flat JSON, LDM yaml, or a diffusers config.json; NULL: look beside
    const char *config_text; // the same as a text (for memory and readers), config_size bytes
    size_t config_size;
    const char *vae;         // path of an autoencoder that replaces the model's own, or NULL
    const char *vocab;       // folder or .gz of the tokenizer; it comes before all other places
    const char *data_dir;    // looked at after the model's own places; NULL: none
    const void *embedded_vocab; // bpe_simple_vocab_16e6.txt[.gz] built in, the last resort
    size_t embedded_vocab_size;
    int32_t ema;              // use the U-Net's moving averages; an error where there are none
    int32_t prediction;       // override: 1 + sdi_prediction; 0: the model's own
    int32_t width, height;    // of pictures that a memory limit has to leave room for; 0: of the
                              // model's own size
} sdi_model_options;

typedef struct sdi_model sdi_model;

/* options may be NULL. On failure *out is NULL and env holds the sentence. */
sdiff_status sdi_model_open(const sdi_env *env, const sdi_model_source *source,
                            const sdi_model_options *options, sdi_model **out);
sdi_model *sdi_model_ref(sdi_model *model);
void sdi_model_unref(sdi_model *model); // NULL is allowed

/* ---- using ----------------------------------------------------------------------------------- */
const sdi_model_config *sdi_model_get_config(const sdi_model *model);
/* NULL where the part is absent, was not asked for or is only described. Plans take it non-const;
 * they do not change declared parameters. */
sdi_weights *sdi_model_weights(const sdi_model *model, sdi_part part);
/* Whether the part is there, with weights or only described. */
int sdi_model_has_part(const sdi_model *model, sdi_part part);
/* NULL where none was found: then sdi_model_tokenizer_reason() is the sentence that says why. */
const sdi_tokenizer *sdi_model_tokenizer(const sdi_model *model);
const char *sdi_model_tokenizer_reason(const sdi_model *model);
const char *sdi_model_name(const sdi_model *model); // the path, "memory" or "reader"

/* The file's tensor behind a parameter, for adapters, saving and reports. Rows of the parameter may
 * be one of `pieces` equal parts of the tensor's rows (fused q, k, v), repeated for each of `heads`
 * groups. */
typedef struct sdi_tensor_ref {
    sdi_tensor_file *file; // borrowed from the model; NULL: the parameter has no tensor
    const char *file_name;
    int32_t index;
    int32_t piece, pieces; // pieces 1: the whole tensor
    int32_t heads;
} sdi_tensor_ref;

sdi_tensor_ref sdi_model_source_tensor(const sdi_model *model, sdi_part part, int32_t param);
/* The values that the file has for a parameter, float32 in PyTorch's order, [param.count]: what the
 * weights were before any adapter. */
sdiff_status sdi_model_source_values(const sdi_env *env, const sdi_model *model, sdi_part part,
                                     int32_t param, float *out);
/* The name that a parameter has in single files ("model.diffusion_model.input_blocks.1.0…"), for
 * saving and adapters. Writes at most size bytes; returns 0 where there is no such name. */
int sdi_model_ldm_name(const sdi_model *model, sdi_part part, int32_t param, char *out, size_t size,
                       int32_t *piece, int32_t *pieces);

/* ---- reports --------------------------------------------------------------------------------- */
/* Tensors that no network used. Known companions (schedule buffers, position_ids, moving averages,
 * losses, other networks) are counted as ignored, the rest is surplus, by name in the
 * file's order. */
int32_t sdi_model_surplus_count(const sdi_model *model);
const char *sdi_model_surplus_name(const sdi_model *model, int32_t index);
int32_t sdi_model_ignored_count(const sdi_model *model);

const char *sdi_family_name(sdi_family family);             // "sd1" "sd2" "vae" "controlnet" …
const char *sdi_task_name(sdi_task task);                   // "text" "inpaint" "depth" "edit"
const char *sdi_part_name(sdi_part part);                   // "text" "unet" "vae-encoder" …
/* The name in diffusers: "epsilon", "v_prediction" … */
const char *sdi_prediction_name(sdi_prediction prediction);

/* Everything above as JSON (the caller owns *out) and as readable lines (sdi_free). */
sdiff_status sdi_model_describe_json(const sdi_env *env, const sdi_model *model, json_t **out);
sdiff_status sdi_model_describe_text(const sdi_env *env, const sdi_model *model, char **out);

#endif
