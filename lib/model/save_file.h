/* SPDX-License-Identifier: MIT
 *
 * Saving from inside: the tensors of a file to be written, and the configurations beside them.
 */
#ifndef SDI_MODEL_SAVE_FILE_H
#define SDI_MODEL_SAVE_FILE_H

#include "io/json.h"
#include "model/names.h"
#include "model/save.h"

/* One tensor of the new file: a parameter, several of them side by side, numbers given, or a tensor
 * of another file. */
typedef struct sdi_save_tensor {
    char name[SDI_NAME_MAX];
    sdi_dtype dtype;
    int32_t rank;
    int64_t shape[4];
    sdi_part part;
    int32_t params[3]; // by piece
    int32_t pieces;    // 0: `given` or `file` holds the values
    int32_t heads;     // the pieces repeat for each of so many groups of rows
    const void *given;
    sdi_tensor_file *file;
    int32_t index;
} sdi_save_tensor;

typedef struct sdi_save_file {
    const sdi_env *env;
    const sdi_model *model;
    const sdi_save_options *options;
    sdi_save_tensor *tensors;
    int32_t count, capacity;
} sdi_save_file;

/* Adds the parameters of a part under the names of a layout. `layers` of a text encoder: only so
 * many of its layers. */
sdiff_status sdi_save_add_part(sdi_save_file *file, const sdi_naming *naming, int32_t layers);
/* Adds numbers, which are not copied. */
sdiff_status sdi_save_add_given(sdi_save_file *file, const char *name, sdi_dtype dtype,
                                int32_t rank, const int64_t *shape, const void *given);
/* Adds a tensor of a file that stays open, under its own name. */
sdiff_status sdi_save_add_copy(sdi_save_file *file, sdi_tensor_file *from, int32_t index);
sdiff_status sdi_save_write(sdi_save_file *file, const char *path, const char *const *metadata);
void sdi_save_free(sdi_save_file *file);

/* Configurations as diffusers writes them; each is NULL where memory runs out. */
json_t *sdi_save_unet_config(const sdi_unet_config *config);
json_t *sdi_save_control_config(const sdi_model_config *config);
json_t *sdi_save_taesd_config(const sdi_taesd_config *config);
json_t *sdi_save_vae_config(const sdi_vae_config *config);
json_t *sdi_save_clip_config(const sdi_clip_config *config);
json_t *sdi_save_dpt_config(const sdi_dpt_config *config);
json_t *sdi_save_extractor(const sdi_depth_input *input);
json_t *sdi_save_scheduler_config(const sdi_model_config *config);
json_t *sdi_save_model_index(const sdi_model_config *config);
/* What else a single file needs, in the flat form. */
json_t *sdi_save_flat_config(const sdi_model_config *config);

/* Takes the JSON over; NULL where memory runs out, else to be given to free(). */
char *sdi_save_dump(json_t *json, size_t flags);

/* Whether diffusers' configuration can say what the network is. */
int sdi_save_unet_is_expressible(const sdi_unet_config *config);

/* Keys of a single file's metadata, in the order in which they are to be applied. */
enum { SDI_SAVED_CONFIGS = 5 };
extern const char *const sdi_saved_configs[SDI_SAVED_CONFIGS];

#endif
