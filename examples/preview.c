/* SPDX-License-Identifier: MIT
 *
 * Looking on while a picture is made: a rough preview on the terminal after every step.
 *
 *     ./preview models/tinysd "a green apple" apple.png
 */
#include <stablediff/stablediff.h>

#include <stdio.h>

/* Two rows of pixels a line: a half block has a colour for each. */
static void print(sdiff_image *image)
{
    const int32_t width = sdiff_image_width(image), height = sdiff_image_height(image);
    const uint8_t *pixels = sdiff_image_pixels(image);
    for (int32_t y = 0; y + 1 < height; y += 2) {
        for (int32_t x = 0; x < width; x++) {
            const uint8_t *a = pixels + 3 * (y * width + x), *b = a + 3 * width;
            printf("\033[38;2;%d;%d;%dm\033[48;2;%d;%d;%dm\xe2\x96\x80", a[0], a[1], a[2], b[0],
                   b[1], b[2]);
        }
        printf("\033[0m\n");
    }
}

static int look(void *user, const sdiff_step *step)
{
    sdiff_image *image = NULL;
    if (sdiff_model_preview(user, step->predicted_x0, step->height, step->width, &image) !=
        SDIFF_OK)
        return 1;
    printf("step %d of %d, noise level %.2f\n", step->step + 1, step->steps, step->sigma);
    print(image);
    sdiff_image_free(image);
    return 0;
}

static int draw(sdiff_model *model, sdiff_pipeline *pipeline, const char *prompt)
{
    sdiff_generate_params request;
    sdiff_generate_params_init(&request, sizeof request);
    request.prompt = prompt;
    request.steps = 8;
    request.on_step = look;
    request.step_user = model;
    return sdiff_pipeline_generate(pipeline, &request) == SDIFF_OK;
}

int main(int argc, char **argv)
{
    sdiff_context *context = NULL;
    sdiff_model *model = NULL;
    sdiff_pipeline *pipeline = NULL;
    int failed = 1;

    if (argc != 4 || sdiff_context_new(NULL, &context) != SDIFF_OK) {
        fprintf(stderr, "usage: %s MODEL SENTENCE PICTURE.png\n", argv[0]);
        return 2;
    }
    if (sdiff_model_open(context, argv[1], NULL, &model) != SDIFF_OK ||
        sdiff_pipeline_new(model, &pipeline) != SDIFF_OK)
        fprintf(stderr, "%s\n", sdiff_context_error(context));
    else if (!draw(model, pipeline, argv[2]))
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
