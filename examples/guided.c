/* SPDX-License-Identifier: MIT
 *
 * Classifier guidance: the host adds the gradient of log p(y | x) to the predicted noise. The
 * classifier here is the simplest there is: a Gaussian around a wanted mean of the first latent
 * channel, whose gradient is (wanted - mean) / count for each number.
 *
 *     guided MODEL "a cat" WANTED guided.png
 */
#include <stablediff/stablediff.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int push_towards(void *user, const sdiff_guide *g)
{
    const double wanted = *(const double *)user, strength = 60;
    const int count = g->height * g->width;
    const double alpha = 1 / sqrt(1 + g->sigma * g->sigma), beta = g->sigma * alpha;
    double mean = 0;
    for (int i = 0; i < count; i++)
        mean += (g->sample[i] - beta * g->noise[i]) / (alpha * count); // of the predicted x0
    /* Dhariwal & Nichol 2021, algorithm 2: noise - sqrt(1 - alpha_bar) * gradient */
    for (int i = 0; i < count; i++)
        g->noise[i] -= (float)(beta * strength * (wanted - mean) / count);
    return 0;
}

int main(int argc, char **argv)
{
    sdiff_context *context = NULL;
    sdiff_model *model = NULL;
    sdiff_pipeline *pipeline = NULL;
    sdiff_generate_params request;
    int failed = 1;

    if (argc != 5 || sdiff_context_new(NULL, &context) != SDIFF_OK)
        return 1;
    double wanted = atof(argv[3]);
    sdiff_generate_params_init(&request, sizeof request);
    request.prompt = argv[2];
    request.guide = push_towards;
    request.guide_user = &wanted;
    if (sdiff_model_open(context, argv[1], NULL, &model) != SDIFF_OK ||
        sdiff_pipeline_new(model, &pipeline) != SDIFF_OK)
        fprintf(stderr, "%s\n", sdiff_context_error(context));
    else if (sdiff_pipeline_generate(pipeline, &request) != SDIFF_OK)
        fprintf(stderr, "%s\n", sdiff_pipeline_error(pipeline));
    else
        failed = sdiff_image_save_png(context, sdiff_pipeline_image(pipeline, 0), argv[4], NULL) !=
                 SDIFF_OK;
    sdiff_pipeline_free(pipeline);
    sdiff_model_free(model);
    sdiff_context_free(context);
    return failed;
}
