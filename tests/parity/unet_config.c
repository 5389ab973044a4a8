/* SPDX-License-Identifier: MIT
 *
 * A U-Net's configuration as far as the fixtures use it. It does not use the library's own reader,
 * so that the two check each other.
 */
#include "unet_config.h"

#include "parity.h"

#include <string.h>

void parity_unet_config(sdi_unet_config *config, const char *file)
{
    json_t *json = parity_config(file);
    const json_t *blocks = json_object_get(json, "down_block_types");
    sdi_unet_config_init(config);
    parity_config_ints(json, "in_channels", &config->in_channels, 1);
    parity_config_ints(json, "out_channels", &config->out_channels, 1);
    config->levels = parity_config_ints(json, "block_out_channels", config->block_out_channels,
                                        SDI_UNET_MAX_LEVELS);
    parity_config_ints(json, "layers_per_block", config->layers_per_block, SDI_UNET_MAX_LEVELS);
    // The key's name lies: it is the number of heads.
    parity_config_ints(json, "attention_head_dim", config->heads, SDI_UNET_MAX_LEVELS);
    parity_config_ints(json, "transformer_layers_per_block", config->transformer_layers,
                       SDI_UNET_MAX_LEVELS);
    parity_config_ints(json, "cross_attention_dim", &config->cross_attention_dim, 1);
    parity_config_ints(json, "norm_num_groups", &config->norm_groups, 1);
    parity_config_ints(json, "conditioning_channels", &config->conditioning_channels, 1);
    config->linear_projection = json_is_true(json_object_get(json, "use_linear_projection"));
    config->norm_eps = (float)json_number_value(json_object_get(json, "norm_eps"));
    for (int32_t i = 0; i < config->levels; i++) {
        const char *type = json_string_value(json_array_get(blocks, (size_t)i));
        config->attention[i] = strcmp(type, "CrossAttnDownBlock2D") == 0;
    }
    json_decref(json);
}
