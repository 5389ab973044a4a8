/* SPDX-License-Identifier: MIT
 *
 * sd-probe: adapters of the model, and convert.
 */
#include "probe.h"

#include <stdio.h>
#include <string.h>

int probe_adapt(probe *p)
{
    for (int i = 0; i < p->adapter_count; i++) {
        const adapter *a = &p->adapters[i];
        const sdiff_status status = a->is_lora
                                        ? sdiff_model_add_lora(p->model, a->path, a->scale)
                                        : sdiff_model_add_embedding(p->model, a->path, NULL);
        if (status != SDIFF_OK)
            return complain("sd-probe", status, sdiff_model_error(p->model));
    }
    fputs(sdiff_model_lora_report(p->model), stderr);
    return 0;
}

/* The index of a word in a list of `count`, or -1 after a complaint. */
static int word_of(const probe *p, const char *key, const char *const *words, int count)
{
    const char *word = probe_key(p, key, words[0]);
    char sentence[160];
    for (int i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    snprintf(sentence, sizeof sentence, "%s=%.60s does not exist", key, word);
    probe_fail(sentence);
    return -1;
}

int probe_convert(probe *p)
{
    static const char *const formats[] = {"ldm", "diffusers"};
    static const char *const types[] = {"keep", "fp32", "fp16", "bf16"};
    sdiff_save_params params;
    long long schedule = 1;
    sdiff_save_params_init(&params, sizeof params);
    params.format = word_of(p, "format", formats, 2);
    params.dtype = word_of(p, "dtype", types, 4);
    if (params.format < 0 || params.dtype < 0 || !probe_int(p, "schedule", 0, 1, &schedule))
        return EXIT_USAGE;
    params.without_schedule = !schedule;
    if (!p->out_path)
        return probe_fail("where does the model go? (--out PATH)");
    const int code = probe_open_model(p);
    if (code)
        return code;
    const sdiff_status status = sdiff_model_save(p->model, p->out_path, &params);
    return status == SDIFF_OK ? 0 : complain("sd-probe", status, sdiff_model_error(p->model));
}
