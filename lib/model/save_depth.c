/* SPDX-License-Identifier: MIT
 *
 * Configurations of a depth estimator as transformers writes them, which config_depth.c reads.
 */
#include "model/save_file.h"

enum { PATCH = 16 }; // pixels of a token's side

json_t *sdi_save_depth_config(const sdi_dpt_config *c)
{
    json_t *backbone = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:i, s:i}", "model_type", "bit", "layer_type", "bottleneck",
        "global_padding", "same", "hidden_sizes", sdi_save_ints(c->stage_channels, c->stages),
        "depths", sdi_save_ints(c->stage_layers, c->stages), "embedding_size",
        (int)c->stem_channels, "num_groups", (int)c->norm_groups);
    return json_pack(
        "{s:[s], s:s, s:o, s:[i, i, i, i], s:i, s:s, s:i, s:i, s:b, s:o, s:o, s:i, s:i, s:i, s:s}",
        "architectures", "DPTForDepthEstimation", "model_type", "dpt", "backbone_config", backbone,
        "backbone_out_indices", 2, 5, (int)c->taps[0], (int)c->taps[1], "fusion_hidden_size",
        (int)c->fusion_channels, "hidden_act", "gelu", "hidden_size", (int)c->hidden_size,
        "image_size", (int)(c->position_side * PATCH), "is_hybrid", 1, "layer_norm_eps",
        sdi_save_single(c->eps), "neck_hidden_sizes",
        sdi_save_ints(c->neck_channels, SDI_DPT_FEATURES), "num_attention_heads", (int)c->heads,
        "num_hidden_layers", (int)c->layers, "intermediate_size", (int)c->intermediate_size,
        "readout_type", "project");
}

json_t *sdi_save_extractor_config(const sdi_depth_input *c)
{
    return json_pack("{s:s, s:b, s:b, s:{s:i, s:i}, s:b, s:i, s:[f, f, f], s:[f, f, f]}",
                     "image_processor_type", "DPTImageProcessor", "do_normalize", 1, "do_resize", 1,
                     "size", "height", (int)c->height, "width", (int)c->width, "keep_aspect_ratio",
                     c->keep_aspect != 0, "ensure_multiple_of", (int)c->multiple, "image_mean",
                     c->mean[0], c->mean[1], c->mean[2], "image_std", c->deviation[0],
                     c->deviation[1], c->deviation[2]);
}
