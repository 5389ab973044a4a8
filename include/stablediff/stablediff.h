/* SPDX-License-Identifier: MIT
 *
 * libstablediff: Stable Diffusion as an ordinary system library. This header includes all others.
 *
 * A complete program:
 *
 *     #include <stablediff/stablediff.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv)
 *     {
 *         sdiff_context *context = NULL;
 *         sdiff_model *model = NULL;
 *         sdiff_pipeline *pipeline = NULL;
 *         sdiff_generate_params request;
 *
 *         if (argc != 4 || sdiff_context_new(NULL, &context) != SDIFF_OK)
 *             return 1;
 *         sdiff_generate_params_init(&request, sizeof request);
 *         request.prompt = argv[2];
 *         if (sdiff_model_open(context, argv[1], NULL, &model) != SDIFF_OK ||
 *             sdiff_pipeline_new(model, &pipeline) != SDIFF_OK)
 *             fprintf(stderr, "%s\n", sdiff_context_error(context));
 *         else if (sdiff_pipeline_generate(pipeline, &request) != SDIFF_OK)
 *             fprintf(stderr, "%s\n", sdiff_pipeline_error(pipeline));
 *         else
 *             sdiff_image_save_png(context, sdiff_pipeline_image(pipeline, 0), argv[3], NULL);
 *         sdiff_pipeline_free(pipeline);
 *         sdiff_model_free(model);
 *         sdiff_context_free(context);
 *         return 0;
 *     }
 *
 * Rules that hold everywhere:
 *
 * - Functions that can fail return sdiff_status; the sentence is read from the handle that the call
 *   was made on (constructors: from the context or model they were given). The library never
 *   prints, exits or aborts, and keeps no global state.
 * - Handles are opaque, made by _new/_open, freed by _free, which accepts NULL. A handle that needs
 *   another one keeps it alive. Outputs are set to NULL on failure. Strings given to the
 *   library are copied or used during the call only; strings it returns belong to the handle.
 * - Structs begin with struct_size; the init function writes it and the defaults. Later releases
 *   append fields, whose value 0 means what it meant before they existed.
 * - A handle is used by one thread at a time; different handles by any number of threads at once.
 *   Models may be shared by pipelines in different threads: only the calls of adapter.h change
 *   them. A thread needs 128 KiB of stack.
 * - The caller's floating-point mode (rounding, trapped exceptions, flushing of denormals) does not
 *   change results and is left as it was; the functions of a request run in it, other functions of
 *   the host in C's default mode. Locale and signal handlers of the host do not matter.
 * - After fork() the child may use and free its parent's handles, unless a call on them was
 *   running; it works without the context's threads.
 */
#ifndef STABLEDIFF_H
#define STABLEDIFF_H

#include "adapter.h"
#include "component.h"
#include "context.h"
#include "controlnet.h"
#include "depth.h"
#include "hint.h"
#include "image.h"
#include "mask.h"
#include "model.h"
#include "pipeline.h"
#include "prompt.h"
#include "sampler.h"
#include "status.h"
#include "taesd.h"
#include "tokenizer.h"
#include "vae.h"
#include "version.h"

#endif
