#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes networks/*.safetensors: small networks with random weights and what diffusers computes.

Usage: make_networks.py OUT_DIR        needs torch and diffusers 0.26.2
Each file holds the weights (float16) under their own names, and inputs and outputs (float32) under
"golden.". The outputs are computed in float32 from the rounded weights; the largest difference to
the same in float64 is printed and is the base of the tests' tolerance.
"""
import copy
import json
import struct
import sys

import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.vq_model import VQModel

def baddbmm(out, a, b, beta=1, alpha=1):
    """torch 1.13 reads its uninitialised `out` on the CPU even where beta is 0."""
    return alpha * torch.bmm(a, b) + (beta * out if beta else 0)


torch.baddbmm = baddbmm
TYPES = {torch.float16: "F16", torch.float32: "F32", torch.int64: "I64"}


def save(path, tensors):
    header, blobs, offset = {}, [], 0
    for name, tensor in sorted(tensors.items()):
        blob = tensor.contiguous().numpy().tobytes()
        header[name] = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def randomise(model):
    """Every parameter matters: no zero biases, no unit norms; values are exact in float16."""
    for parameter in model.parameters():
        if parameter.dim() > 1:
            fan_in = parameter[0].numel()
            values = torch.randn_like(parameter) / fan_in**0.5
        else:
            values = 0.2 * torch.randn_like(parameter)
        parameter.data = values.half().float()
    for name, parameter in model.named_parameters():
        if "norm" in name and name.endswith("weight"):
            parameter.data = (1 + parameter.data).half().float()
    return model.eval()


def finish(directory, name, model, inputs, run):
    with torch.no_grad():
        outputs = run(model, inputs)
        doubles = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}
        exact = run(copy.deepcopy(model).double(), doubles)
    for key, value in outputs.items():
        error = (value.double() - exact[key]).abs().max().item()
        print(f"{name}: {key} max {value.abs().max():.3f}, float32 against float64 {error:.1e}")
    tensors = {k: v.half() for k, v in model.state_dict().items()}
    tensors.update({"golden." + k: v for k, v in {**inputs, **outputs}.items()})
    save(f"{directory}/{name}.safetensors", tensors)


def unet2d(directory, name, seed, labels, **config):
    torch.manual_seed(seed)
    model = randomise(UNet2DModel(**config))
    inputs = {"sample": torch.randn(2, config["in_channels"], 8, 12),
              "timestep": torch.tensor([7, 801])}
    if labels:
        inputs["class_labels"] = torch.tensor([3, 0])

    def run(net, x):
        return {"out": net(x["sample"], x["timestep"], x.get("class_labels")).sample}

    finish(directory, name, model, inputs, run)


def ddpm(directory):
    """Pixel space, as the DDPM models: padding on two sides, sine before cosine, width of heads."""
    unet2d(directory, "ddpm", 1, False, sample_size=8, in_channels=3, out_channels=3,
           block_out_channels=(8, 16, 16), layers_per_block=1, norm_num_groups=4, norm_eps=1e-6,
           down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
           up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"), attention_head_dim=4,
           downsample_padding=0, flip_sin_to_cos=False, freq_shift=1)


def class_conditional(directory):
    """Labels in a table, one head as wide as the channels."""
    unet2d(directory, "class_conditional", 2, True, sample_size=8, in_channels=4, out_channels=4,
           block_out_channels=(8, 8), layers_per_block=2, norm_num_groups=4, num_class_embeds=5,
           down_block_types=("DownBlock2D", "AttnDownBlock2D"),
           up_block_types=("AttnUpBlock2D", "UpBlock2D"), attention_head_dim=None)


def upscaler(directory):
    """As SD x4 upscaler: labels, only_cross_attention, a different number of transformer layers."""
    torch.manual_seed(3)
    model = randomise(UNet2DConditionModel(
        sample_size=8, in_channels=7, out_channels=4, block_out_channels=(8, 8, 16),
        layers_per_block=(1, 2, 1), norm_num_groups=4, num_class_embeds=6,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        only_cross_attention=(True, True, False), attention_head_dim=(2, 4, 2),
        transformer_layers_per_block=(1, 2, 1), cross_attention_dim=12,
        use_linear_projection=True))
    inputs = {"sample": torch.randn(2, 7, 9, 6), "timestep": torch.tensor([20, 20]),
              "context": torch.randn(2, 5, 12), "class_labels": torch.tensor([1, 5])}

    def run(net, x):
        return {"out": net(x["sample"], x["timestep"], x["context"], x["class_labels"]).sample}

    finish(directory, "upscaler", model, inputs, run)


def tiny_autoencoder(directory):
    torch.manual_seed(4)
    model = randomise(AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8), decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 2, 1), num_decoder_blocks=(2, 1, 1)))
    inputs = {"image": torch.rand(2, 3, 12, 20) * 2 - 1, "z": 2 * torch.randn(2, 4, 3, 5)}

    def run(net, x):
        return {"latents": net.encoder(x["image"]), "decoded": net.decoder(x["z"])}

    finish(directory, "tiny_autoencoder", model, inputs, run)


def vq_autoencoder(directory):
    """Latents from a table, attention at one level."""
    torch.manual_seed(5)
    model = randomise(VQModel(
        block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, latent_channels=3,
        num_vq_embeddings=64, down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D")))
    inputs = {"image": torch.rand(1, 3, 12, 20) * 2 - 1, "z": torch.randn(2, 3, 6, 5)}

    def run(net, x):
        return {"latents": net.encode(x["image"]).latents, "decoded": net.decode(x["z"]).sample}

    finish(directory, "vq_autoencoder", model, inputs, run)


def main():
    for make in (ddpm, class_conditional, upscaler, tiny_autoencoder, vq_autoencoder):
        make(sys.argv[1])


if __name__ == "__main__":
    main()
