/* SPDX-License-Identifier: MIT
 *
 * Configurations as files write them: diffusers' JSON of each part, the flat JSON form, and the
 * yaml that the original code ships with its checkpoints. Members that are absent leave the
 * configuration as it is; members that mean something else than these networks are refused.
 */
#ifndef SDI_MODEL_CONFIG_H
#define SDI_MODEL_CONFIG_H

#include "io/json.h"
#include "model/model.h"

/* diffusers and transformers: config.json of a part, scheduler_config.json. `name` opens the error
 * sentence. Each starts from the format's own defaults. */
sdiff_status sdi_config_unet(const sdi_env *env, const char *name, const json_t *json,
                             sdi_unet_config *config);
sdiff_status sdi_config_vae(const sdi_env *env, const char *name, const json_t *json,
                            sdi_vae_config *config);
sdiff_status sdi_config_clip(const sdi_env *env, const char *name, const json_t *json,
                             sdi_clip_config *config);
sdiff_status sdi_config_dpt(const sdi_env *env, const char *name, const json_t *json,
                            sdi_dpt_config *config);
sdiff_status sdi_config_taesd(const sdi_env *env, const char *name, const json_t *json,
                              sdi_taesd_config *config);
sdiff_status sdi_config_control(const sdi_env *env, const char *name, const json_t *json,
                                sdi_model_config *config);
sdiff_status sdi_config_depth_input(const sdi_env *env, const char *name, const json_t *json,
                                    sdi_depth_input *input);
/* What the feature extractor does where no file says it; `original`: as MiDaS does. */
void sdi_depth_input_init(sdi_depth_input *input, const sdi_dpt_config *config, int32_t original);
sdiff_status sdi_config_scheduler(const sdi_env *env, const char *name, const json_t *json,
                                  sdi_model_config *config);

/* Any configuration that a caller can name or that lies beside a file, on top of *config: flat
 * JSON, LDM yaml, or one of the above, told apart by content. */
sdiff_status sdi_config_apply(const sdi_env *env, const char *name, const char *text, size_t size,
                              sdi_model_config *config);
sdiff_status sdi_config_apply_file(const sdi_env *env, const char *path, sdi_model_config *config);

/* The flat form, also what yaml is brought into. */
sdiff_status sdi_config_flat(const sdi_env *env, const char *name, const json_t *json,
                             sdi_model_config *config);
/* yaml as JSON values (bounded in size, depth and aliases), and LDM's as the flat form. */
sdiff_status sdi_yaml_parse(const sdi_env *env, const char *name, const char *text, size_t size,
                            json_t **out);
sdiff_status sdi_yaml_flatten(const sdi_env *env, const char *name, const json_t *yaml,
                              json_t **out);

/* Whether the networks can be built: divisible channels, known head counts. */
sdiff_status sdi_config_check_unet(const sdi_env *env, const char *name,
                                   const sdi_unet_config *config);
sdiff_status sdi_config_check_vae(const sdi_env *env, const char *name,
                                  const sdi_vae_config *config);
sdiff_status sdi_config_check_dpt(const sdi_env *env, const char *name,
                                  const sdi_dpt_config *config);
sdiff_status sdi_config_check_taesd(const sdi_env *env, const char *name,
                                    const sdi_taesd_config *config);
sdiff_status sdi_config_check_control(const sdi_env *env, const char *name,
                                      const sdi_unet_config *config);
sdiff_status sdi_config_check_clip(const sdi_env *env, const char *name,
                                   const sdi_clip_config *config);

/* Members of 32 bits, and one number for each level (a list, or one number for all). */
sdiff_status sdi_config_int(const sdi_env *env, const char *name, const json_t *json,
                            const char *key, int32_t minimum, int32_t maximum, int32_t *value);
sdiff_status sdi_config_levels(const sdi_env *env, const char *name, const json_t *json,
                               const char *key, int32_t minimum, int32_t maximum, int32_t levels,
                               int32_t *values);
/* A list of 1 to `capacity` integers; *count stays where the member is absent. */
sdiff_status sdi_config_list(const sdi_env *env, const char *name, const json_t *json,
                             const char *key, int32_t minimum, int32_t maximum, int32_t capacity,
                             int32_t *values, int32_t *count);

/* One of a list of words, as its index; *index stays where the member is absent. */
typedef struct sdi_word {
    const char *word;
    int32_t value;
} sdi_word;
sdiff_status sdi_config_word(const sdi_env *env, const char *name, const json_t *json,
                             const char *key, const sdi_word *words, size_t count,
                             int32_t *value);

enum { SDI_MAX_CHANNELS = 1 << 15, SDI_MAX_LAYERS = 64 };

#endif
