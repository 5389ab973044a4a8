/* SPDX-License-Identifier: MIT
 *
 * sd-probe: one component of a model on the tensors of a file.
 */
#ifndef TOOLS_PROBE_H
#define TOOLS_PROBE_H

#include "../common.h"

enum { MAX_KEYS = 64, MAX_ADAPTERS = 64, MAX_CONTROLS = 8 };

typedef struct adapter {
    const char *path;
    double scale; // of a LoRA
    int is_lora;  // else an embedding
} adapter;

typedef struct control {
    const char *path;
    double weight, start, end;
} control;

typedef struct probe {
    const char *component, *model_path, *in_path, *out_path, *vocab;
    sdiff_model_params model_params;
    sdiff_context *context;
    sdiff_model *model; // opened by probe_open_model
    sdiff_tensors *in, *out;
    const char *keys[2 * MAX_KEYS + 1]; // key, value, …, NULL
    int key_count;
    adapter adapters[MAX_ADAPTERS];
    int adapter_count;
    control controls[MAX_CONTROLS];
    int control_count;
    int json;
} probe;

/* The value of key=value, or `otherwise`. */
const char *probe_key(const probe *p, const char *key, const char *otherwise);
/* 0 after a complaint where the value is no such number. */
int probe_int(const probe *p, const char *key, long long low, long long high, long long *value);
int probe_real(const probe *p, const char *key, double *value);
int probe_seed(const probe *p, int64_t *seed); // the bits of -2^63 to 2^64 - 1, as PyTorch takes

/* Each returns an exit code; failures were complained about. */
int probe_fail(const char *sentence); // wrong usage
int probe_open_model(probe *p); // with its adapters
int probe_adapt(probe *p);
int probe_info(probe *p);
int probe_tokenize(probe *p); // tokenize, prompt
int probe_sampler(probe *p);
int probe_randn(probe *p);
int probe_component(probe *p); // text, unet, vae-encode, vae-decode …
int probe_generate(probe *p); // txt2img, img2img, inpaint, depth2img
int probe_convert(probe *p);
int probe_controlnet(probe *p);

/* --controlnet F[:weight[:start[:end]]]; 0 after a complaint. */
int probe_add_control(probe *p, char *text);
/* Runs the ControlNets and puts their sum among the inputs of the U-Net. */
int probe_residuals(probe *p);
/* Adds them with their hints to a pipeline. */
int probe_control_pipeline(probe *p, sdiff_pipeline *pipeline);

#endif
