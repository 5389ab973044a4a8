/* SPDX-License-Identifier: MIT
 *
 * What is behind the opaque handles, and the rules for structs that grow.
 */
#ifndef SDI_API_HANDLE_H
#define SDI_API_HANDLE_H

#include "base/float_mode.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/threads.h"
#include "image/image.h"
#include "kernel/kernel.h"
#include "model/embedding.h"
#include "model/lora.h"
#include "model/save.h"
#include "pipeline/generate.h"
#include "pipeline/preview.h"
#include "pipeline/vae_code.h"
#include "stablediff/stablediff.h"

#include <pthread.h>

struct sdiff_context {
    atomic_int references;
    sdi_mem *mem;
    sdi_log log;
    sdi_error error;
    sdi_pool *pool;
    uint32_t kernel_mask;
    char kernel_names[128];
};

struct sdiff_model {
    atomic_int references;
    sdiff_context *context;
    sdi_env env; // errors of calls on the model
    sdi_error error;
    sdi_model *model;
    sdi_embeddings embeddings; // that prompts may name
    sdi_loras loras;           // merged into the weights
    char *info, *summary;
    sdi_tokenizer_variant variant;
    pthread_mutex_t lock; // of what is made at the first use: the preview
    sdi_preview preview;
};

struct sdiff_image {
    sdiff_context *context;
    sdi_image *image;
};

/* The context's own env: errors go to the context. */
sdi_env sdi_context_env(sdiff_context *context);
/* An env whose errors go to another handle. */
sdi_env sdi_handle_env(sdiff_context *context, sdi_error *error);
sdiff_context *sdi_context_ref(sdiff_context *context);

sdiff_model *sdi_model_handle_ref(sdiff_model *model);
/* Opens with the public parameters; used by models and stand-alone autoencoders. */
sdiff_status sdi_open_with(sdiff_context *context, const sdi_model_source *source,
                           const sdiff_model_params *params, uint32_t components, sdi_model **out);
/* Some parts of what is at a path; params may be NULL. Errors go to the context. */
sdiff_status sdi_open_part(sdiff_context *context, const char *path,
                           const sdiff_model_params *params, uint32_t components, sdi_model **out);

/* Common start of what makes pictures: 0, with a sentence, where the arguments are unusable. */
int sdi_image_begin(sdiff_context *context, const void *needed, sdiff_image **out);
/* Takes the image over, also on failure. */
sdiff_status sdi_image_wrap(const sdi_env *env, sdiff_context *context, sdi_image *image,
                            sdiff_image **out);

/* INVALID_ARGUMENT, with the sentence that `which` of the arguments may not be NULL on the handle
 * that was called; error NULL: that handle is NULL itself. */
sdiff_status sdi_null_argument(sdi_error *error, const char *which);

/* Overlays a caller's struct on the library's defaults: the first size_t of both is struct_size.
 * A smaller struct leaves defaults in what it lacks; in a larger one the unknown tail must be zero.
 * `minimum` is the size of release 1.0. */
sdiff_status sdi_params_read(const sdi_env *env, const char *what, void *mine, size_t size,
                             size_t minimum, const void *theirs);
/* For init functions: copies as much of the defaults as the caller's struct has room for. */
void sdi_params_init(void *theirs, size_t their_size, const void *mine, size_t size);

#endif
