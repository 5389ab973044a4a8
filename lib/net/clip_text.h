/* SPDX-License-Identifier: MIT
 *
 * CLIP text encoders: OpenAI's ViT-L/14 form (SD 1.x) and OpenCLIP's ViT-H form (SD 2.x), both in
 * the names of transformers' CLIPTextModel ("text_model.encoder.layers.0.self_attn.q_proj.weight").
 */
#ifndef SDI_NET_CLIP_TEXT_H
#define SDI_NET_CLIP_TEXT_H

#include "nn/nn.h"

typedef struct sdi_clip_config {
    int32_t vocab_size, hidden_size, intermediate_size, layers, heads, positions; // positions 77
    sdi_act act;        // QUICK_GELU (ViT-L/14) or GELU (OpenCLIP)
    float eps;          // 1e-5
    int32_t penultimate; // the context is final_norm(state before the last layer): SD 2.x files
                         // that hold all 24 layers
    int32_t pad_token;   // 49407 (SD1), 0 (SD2)
    int32_t bos_token, eos_token;
} sdi_clip_config;

void sdi_clip_config_init(sdi_clip_config *config); // ViT-L/14 of SD 1.x

/* Plan arguments. Inputs: "input_ids" [b, t] (skip_embedding: "embeddings" [b, t, d], token
 * embeddings to which positions are still added; for textual inversion). Outputs: "context"
 * [b, t, d]; with all_states also "hidden_states.0" … and "last_hidden_state". */
typedef struct sdi_clip_args {
    const sdi_clip_config *config;
    int64_t b, t;
    int32_t clip_skip;  // 0: the model's own; 1: last layer; 2: the one before, then final norm; …
    int32_t all_states;
    int32_t from_embeddings;
} sdi_clip_args;

void sdi_clip_text_net(sdi_nn *n, const void *args /* sdi_clip_args */);

#endif
