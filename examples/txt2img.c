/* SPDX-License-Identifier: MIT
 *
 * A picture from a sentence:
 *
 *     cc txt2img.c $(pkg-config --cflags --libs stablediff) -o txt2img
 *     ./txt2img models/tinysd "a gray cat with green eyes" cat.png
 */
#include <stablediff/stablediff.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    sdiff_context *context = NULL;
    sdiff_model *model = NULL;
    sdiff_pipeline *pipeline = NULL;
    sdiff_generate_params request;
    int failed = 1;

    if (argc != 4 || sdiff_context_new(NULL, &context) != SDIFF_OK) {
        fprintf(stderr, "usage: %s MODEL SENTENCE PICTURE.png\n", argv[0]);
        return 2;
    }
    sdiff_generate_params_init(&request, sizeof request);
    request.prompt = argv[2];
    request.seed = 42;
    if (sdiff_model_open(context, argv[1], NULL, &model) != SDIFF_OK ||
        sdiff_pipeline_new(model, &pipeline) != SDIFF_OK)
        fprintf(stderr, "%s\n", sdiff_context_error(context));
    else if (sdiff_pipeline_generate(pipeline, &request) != SDIFF_OK)
        fprintf(stderr, "%s\n", sdiff_pipeline_error(pipeline));
    else if (sdiff_image_save_png(context, sdiff_pipeline_image(pipeline, 0), argv[3], NULL) !=
             SDIFF_OK)
        fprintf(stderr, "%s\n", sdiff_context_error(context));
    else
        failed = 0;
    sdiff_pipeline_free(pipeline);
    sdiff_model_free(model);
    sdiff_context_free(context);
    return failed;
}
