/* SPDX-License-Identifier: MIT
 *
 * The model from inside, and the steps of opening one. model.c calls them in this order:
 *
 *   folder.c or single.c   which files, which parts, the configuration of each part
 *   infer*.c               what names and shapes (and a few values) of a single file tell
 *   match.c                declare the networks, find each parameter's tensor
 *   residency.c            what of the weights stays in the file when memory is limited
 *   fill.c                 pack the values, in parallel
 *   vocabulary.c           the tokenizer
 */
#ifndef SDI_MODEL_LOAD_H
#define SDI_MODEL_LOAD_H

#include "model/config.h"
#include "model/names.h"

#include <stdatomic.h>

/* What became of a tensor of a file. */
enum { SDI_TENSOR_FREE = 0, SDI_TENSOR_BOUND, SDI_TENSOR_SKIPPED };

typedef struct sdi_model_file {
    sdi_tensor_file *file;
    char *name;
    unsigned char *state; // one of the above for each tensor
    int32_t serial;       // a reader: one thread at a time
} sdi_model_file;

typedef struct sdi_model_part {
    int32_t file; // index of the model's files; -1: the part is absent
    sdi_naming naming;
    char *config_name; // what error sentences about the configuration begin with
    int32_t declared, filled;
    sdi_weights weights;
    sdi_tensor_ref *refs; // [weights.count]
} sdi_model_part;

enum { SDI_MAX_FILES = 8 };

struct sdi_model {
    sdi_env env; // memory only
    atomic_int references;
    char *name;
    sdi_model_config config;
    sdi_model_file files[SDI_MAX_FILES];
    int32_t file_count;
    sdi_model_part parts[SDI_PART_COUNT];
    sdi_tokenizer *tokenizer;
    char *tokenizer_place;  // where it was found
    char *tokenizer_reason; // why there is none
    char *config_place;     // the configuration that was applied, NULL: none
    const char **surplus;   // names, borrowed from the files
    int32_t surplus_count, ignored_count;
    int32_t diffusers; // a folder, as opposed to a single file
};

typedef struct sdi_loader {
    const sdi_env *env; // the caller's: log and error
    sdi_model *model;
    const sdi_model_source *source;
    const sdi_model_options *options; // never NULL
    int32_t without_vae;              // the autoencoder will come from another file
} sdi_loader;

/* Whether the caller asked for a part. */
int sdi_wanted(const sdi_loader *l, sdi_part part);

/* ---- files ----------------------------------------------------------------------------------- */
/* Takes the file over, also on failure. The index of the new file goes to *index. */
sdiff_status sdi_model_add_file(const sdi_loader *l, sdi_tensor_file *file, const char *name,
                                int32_t serial, int32_t *index);
sdiff_status sdi_model_add_path(const sdi_loader *l, const char *path, int32_t *index);
void sdi_part_set(const sdi_loader *l, sdi_part part, int32_t file, sdi_layout layout,
                  const char *prefix);
sdiff_status sdi_part_name_config(const sdi_loader *l, sdi_part part, const char *name);

/* A path made of up to three strings; NULL (and the sentence) when memory runs out. */
char *sdi_join(const sdi_env *env, const char *a, const char *b, const char *c);
int sdi_is_folder(const char *path);
/* The path, or what it stands for if it is a link that became a text file (links.c). */
sdiff_status sdi_follow(const sdi_env *env, const char *path, char **out);
sdiff_status sdi_follow_join(const sdi_env *env, const char *folder, const char *name, char **out);
int sdi_exists(const char *path);

/* ---- opening --------------------------------------------------------------------------------- */
sdiff_status sdi_open_folder(sdi_loader *l, const char *path);
/* Takes the tensor file over. */
sdiff_status sdi_open_single(sdi_loader *l, sdi_tensor_file *file, const char *name,
                             int32_t serial);

/* ---- inference ------------------------------------------------------------------------------- */
typedef struct sdi_found {
    sdi_layout layout;
    const char *prefix; // NULL: the part is not in the file
} sdi_found;

sdi_found sdi_find_unet(const sdi_tensor_file *file);
sdi_found sdi_find_vae(const sdi_tensor_file *file);
sdi_found sdi_find_text(const sdi_tensor_file *file);
sdi_found sdi_find_depth(const sdi_tensor_file *file);
sdi_found sdi_find_control(const sdi_tensor_file *file);
sdi_found sdi_find_taesd(const sdi_tensor_file *file, int32_t decoder);
/* ControlNet, depth estimator or tiny autoencoder of a file; `nothing_else`: no part of a model is
 * in it. *taken: it stands for the whole file. */
sdiff_status sdi_open_extra(sdi_loader *l, int32_t file, int32_t nothing_else, int32_t *taken);
int sdi_is_extra(sdi_family family);
/* The sentence for a file in which none of them is. */
sdiff_status sdi_fail_unknown(const sdi_env *env, const sdi_tensor_file *file, const char *name);
/* A tensor that another program's networks have and these do not. */
sdiff_status sdi_refuse_foreign(const sdi_env *env, const sdi_tensor_file *file, const char *name);
/* Whether a tensor without use is a known companion of networks. */
int sdi_is_companion(const char *tensor);

const sdi_tensor_info *sdi_probe(const sdi_tensor_file *file, const char *prefix,
                                 const char *format, ...) SDI_PRINTF(3, 4);

sdiff_status sdi_infer_unet(const sdi_env *env, const sdi_tensor_file *file, const char *name,
                            const char *prefix, sdi_unet_config *config);
sdiff_status sdi_infer_vae(const sdi_env *env, const sdi_tensor_file *file, const char *name,
                           sdi_found found, sdi_vae_config *config);
sdiff_status sdi_infer_clip(const sdi_env *env, const sdi_tensor_file *file, const char *name,
                            const sdi_naming *naming, sdi_clip_config *config);
sdiff_status sdi_infer_depth(const sdi_env *env, const sdi_tensor_file *file, const char *name,
                             const sdi_naming *naming, sdi_model_config *config);
sdi_family sdi_infer_family(const sdi_model *model);
sdi_task sdi_infer_task(const sdi_model_config *config);
/* Head counts, prediction type and scale factor, as far as the file or the published models
 * tell. */
void sdi_infer_heads(sdi_model_config *config);
sdiff_status sdi_infer_prediction(const sdi_loader *l, int32_t file);
/* What sdi_save_ldm put into a file's metadata. */
sdiff_status sdi_apply_saved(sdi_loader *l, int32_t file);

/* A dimension between 1 and maximum, else a sentence about the tensor. */
sdiff_status sdi_dimension(const sdi_env *env, const char *file_name, const sdi_tensor_info *info,
                           int32_t axis, int32_t maximum, int32_t *out);

/* ---- description ----------------------------------------------------------------------------- */
/* Parts that are no model's: members of `object`; *ok becomes 0 where memory runs out. */
void sdi_describe_extra(const sdi_model *model, json_t *object, int *ok);
void sdi_describe_counts(json_t *object, const sdi_model_part *part, int *ok);

/* ---- loading --------------------------------------------------------------------------------- */
sdiff_status sdi_match_part(sdi_loader *l, sdi_part part);
sdiff_status sdi_fill_part(sdi_loader *l, sdi_part part);
/* Under a memory limit: which parts' matrices stay in their file (sdi_weights.streamed). */
sdiff_status sdi_choose_residency(sdi_loader *l);
sdiff_status sdi_collect_surplus(sdi_loader *l);
/* Says that the tensors of a part that is in a file are not wanted. */
void sdi_skip_part(const sdi_model *m, sdi_part part);
sdiff_status sdi_find_tokenizer(sdi_loader *l);

/* The rows of a parameter inside of its tensor's bytes; *owned is to be freed where it is set. */
sdiff_status sdi_ref_data(const sdi_env *env, const sdi_tensor_ref *ref, const void **data,
                          void **owned);

#endif
