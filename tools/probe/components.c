/* SPDX-License-Identifier: MIT
 *
 * sd-probe: info, randn and the components of sdiff_model_run.
 */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int probe_info(probe *p)
{
    p->model_params.describe_only = p->adapter_count == 0; // LoRAs are merged into weights
    const int code = probe_open_model(p);
    if (code)
        return code;
    puts(p->json ? sdiff_model_info(p->model) : sdiff_model_summary(p->model));
    return 0;
}

int probe_randn(probe *p)
{
    long long count = 0;
    int64_t seed = 0;
    const char *rng = probe_key(p, "rng", "torch");
    if (!probe_seed(p, &seed) ||
        !probe_int(p, "n", 1, 1 << 28, &count))
        return EXIT_USAGE;
    if (!count)
        return probe_fail("how many numbers? (n=N)");
    if (strcmp(rng, "torch") != 0 && strcmp(rng, "philox") != 0)
        return probe_fail("rng=torch or rng=philox");
    float *noise = malloc((size_t)count * sizeof *noise);
    if (!noise)
        return complain("sd-probe", SDIFF_ERROR_NO_MEMORY, NULL);
    sdiff_randn(strcmp(rng, "torch") == 0 ? SDIFF_RNG_TORCH : SDIFF_RNG_PHILOX, seed, noise,
                (size_t)count);
    const int64_t shape[1] = {count};
    const sdiff_status status =
        sdiff_tensors_set(p->out, "noise", SDIFF_DTYPE_F32, 1, shape, noise);
    free(noise);
    return status == SDIFF_OK ? 0 : complain("sd-probe", status, sdiff_tensors_error(p->out));
}

int probe_component(probe *p)
{
    int code = probe_open_model(p);
    if (!code && strcmp(p->component, "unet") == 0)
        code = probe_residuals(p);
    if (code)
        return code;
    const sdiff_status status = sdiff_model_run(p->model, p->component, p->in, p->keys, p->out);
    return status == SDIFF_OK ? 0 : complain("sd-probe", status, sdiff_model_error(p->model));
}
