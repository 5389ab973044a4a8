/* SPDX-License-Identifier: MIT
 *
 * Classifier-free guidance.
 */
#include "pipeline/guidance.h"

#include <math.h>

int sdi_guidance_needs_prompt(double scale)
{
    return scale != 0;
}

int sdi_guidance_needs_negative(double scale)
{
    return scale != 1;
}

/* Unbiased, as torch.std. */
static double deviation(const float *x, size_t count)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        sum += x[i];
    const double mean = sum / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    return count > 1 ? sqrt(squares / (double)(count - 1)) : 0;
}

void sdi_guidance_combine(const float *negative, const float *prompt, double scale, double rescale,
                          size_t count, float *out)
{
    const double wanted = rescale > 0 ? deviation(prompt, count) : 0;
    for (size_t i = 0; i < count; i++)
        out[i] = negative[i] + (float)scale * (prompt[i] - negative[i]);
    if (rescale <= 0)
        return;
    const double found = deviation(out, count);
    const double factor = found > 0 ? rescale * wanted / found + (1 - rescale) : 1;
    for (size_t i = 0; i < count; i++)
        out[i] = (float)(out[i] * factor);
}

/* v = alpha * noise - beta * x0 (Salimans & Ho 2022), so noise = beta * x + alpha * v. */
void sdi_prediction_to_noise(sdi_prediction prediction, const float *sample, double alpha,
                             double beta, size_t count, float *output)
{
    for (size_t i = 0; i < count; i++) {
        if (prediction == SDI_PREDICT_V)
            output[i] = (float)(beta * sample[i] + alpha * output[i]);
        else if (prediction == SDI_PREDICT_SAMPLE)
            output[i] = (float)((sample[i] - alpha * output[i]) / beta);
    }
}

void sdi_noise_to_prediction(sdi_prediction prediction, const float *sample, double alpha,
                             double beta, size_t count, float *output)
{
    for (size_t i = 0; i < count; i++) {
        if (prediction == SDI_PREDICT_V)
            output[i] = (float)((output[i] - beta * sample[i]) / alpha);
        else if (prediction == SDI_PREDICT_SAMPLE)
            output[i] = (float)((sample[i] - beta * output[i]) / alpha);
    }
}
