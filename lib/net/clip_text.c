/* SPDX-License-Identifier: MIT
 *
 * CLIP's text encoder (Radford et al. 2021): CLIPTextModel of transformers,
 * ldm.modules.encoders.modules.FrozenCLIPEmbedder and FrozenOpenCLIPEmbedder of the original.
 *
 *   input_ids [b, t] -> token_embedding + position_embedding      hidden_states.0
 *       for each layer (CLIPEncoderLayer):
 *           x += self_attn(layer_norm1 x)     causal: a token sees itself and those before it
 *           x += mlp(layer_norm2 x)           fc1, quick-GELU or GELU, fc2
 *                                                                 hidden_states.1 … layers
 *   final_layer_norm                          [b, t, d]           context
 *
 * There is no mask for padding: the encoder sees the padding tokens, and so does the U-Net.
 */
#include "net/clip_text.h"

#include <stdio.h>

void sdi_clip_config_init(sdi_clip_config *config)
{
    *config = (sdi_clip_config){.vocab_size = 49408,
                                .hidden_size = 768,
                                .intermediate_size = 3072,
                                .layers = 12,
                                .heads = 12,
                                .positions = 77,
                                .act = SDI_ACT_QUICK_GELU,
                                .eps = 1e-5f,
                                .pad_token = 49407,
                                .bos_token = 49406,
                                .eos_token = 49407};
}

static nn_tensor self_attention(sdi_nn *n, const sdi_clip_config *config, nn_tensor x)
{
    static const char *const names[] = {"q_proj", "k_proj", "v_proj"};
    const int64_t d = config->hidden_size;
    nn_tensor y = nn_layer_norm(n, "layer_norm1", x, config->eps); // [b, 1, t, d]
    nn_enter(n, "self_attn");
    y = nn_linear_fused(n, names, 3, y, d, 1); // [b, 1, t, 3d]
    y = nn_attention(n, nn_columns(n, y, 0, d), nn_columns(n, y, d, d), nn_columns(n, y, 2 * d, d),
                     config->heads, 1);
    x = nn_linear_add(n, "out_proj", y, d, x);
    nn_leave(n);
    return x;
}

static nn_tensor encoder_layer(sdi_nn *n, const sdi_clip_config *config, nn_tensor x)
{
    x = self_attention(n, config, x);
    nn_tensor y = nn_layer_norm(n, "layer_norm2", x, config->eps); // [b, 1, t, d]
    nn_enter(n, "mlp");
    y = nn_linear_act(n, "fc1", y, config->intermediate_size, config->act);
    x = nn_linear_add(n, "fc2", y, config->hidden_size, x);
    nn_leave(n);
    return x;
}

static nn_tensor embeddings(sdi_nn *n, const sdi_clip_args *a)
{
    const sdi_clip_config *config = a->config;
    nn_enter(n, "embeddings");
    nn_tensor x = NULL; // [b, 1, t, d]
    // A declare pass always names the table: whether a plan uses it is the plan's matter.
    if (a->from_embeddings && nn_is_planning(n)) {
        x = nn_input_tokens(n, "embeddings", a->b, a->t, config->hidden_size, NN_EACH);
    } else {
        x = nn_input_ids(n, "input_ids", a->b, a->t, NN_EACH);
        x = nn_embedding(n, "token_embedding", x, config->vocab_size, config->hidden_size);
    }
    x = nn_add_positions(n, "position_embedding.weight", x, config->positions);
    nn_leave(n);
    return x;
}

/* How many layers the context has passed: OpenCLIP models of SD 2.x were trained on the hidden
 * state before the last layer, which diffusers' folders express by leaving the last layer away. */
static int32_t context_layers(const sdi_clip_args *a)
{
    const int32_t skipped = a->clip_skip ? a->clip_skip - 1 : a->config->penultimate;
    return SDI_MAX(a->config->layers - skipped, 0);
}

static void state(sdi_nn *n, const sdi_clip_args *a, int32_t index, nn_tensor x)
{
    char name[32];
    if (!a->all_states)
        return;
    snprintf(name, sizeof name, "hidden_states.%d", (int)index);
    nn_output_tokens(n, name, x);
}

void sdi_clip_text_net(sdi_nn *n, const void *args)
{
    const sdi_clip_args *a = args;
    const sdi_clip_config *config = a->config;
    const int32_t used = context_layers(a);
    // Layers behind the context belong to the file, but a plan does not compute them.
    const int32_t layers = nn_is_planning(n) && !a->all_states ? used : config->layers;

    nn_enter(n, "text_model");
    nn_tensor x = embeddings(n, a); // [b, 1, t, d]
    nn_tensor context = x;
    state(n, a, 0, x);
    for (int32_t i = 0; i < layers; i++) {
        nn_enter(n, "encoder.layers.%d", (int)i);
        x = encoder_layer(n, config, x);
        nn_leave(n);
        state(n, a, i + 1, x);
        if (i + 1 == used)
            context = x;
    }
    // Whatever the layer, final_layer_norm follows: the U-Net has only seen normalised states.
    context = nn_layer_norm(n, "final_layer_norm", context, config->eps); // [b, 1, t, d]
    nn_output_tokens(n, "context", context);
    if (a->all_states && nn_is_planning(n)) { // the same norm again: parameters are declared once
        x = used == layers ? context : nn_layer_norm(n, "final_layer_norm", x, config->eps);
        nn_output_tokens(n, "last_hidden_state", x);
    }
    nn_leave(n);
}
