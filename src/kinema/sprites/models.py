"""The parts of the embedded text-to-video models: real diffusers and transformers classes, small.

An image model comes first. Both video models start from it: inflating its weights gives a
`UNet3DConditionModel` that treats each frame as the image model does, and a `MotionAdapter` is put
into the image model itself.
"""

from typing import TYPE_CHECKING, Any

import torch

from kinema.sprites.tokenizer import MAX_TOKENS, build_tokenizer

if TYPE_CHECKING:
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        MotionAdapter,
        UNet2DConditionModel,
        UNet3DConditionModel,
    )
    from transformers import CLIPTextModel

FRAME_SIZE = 64
NUM_FRAMES = 16
MAX_FRAMES = 32
"""For which the motion adapter has positions."""
LATENT_CHANNELS = 6
LATENT_SIZE = 8
TEXT_WIDTH = 96
_UNET_CHANNELS = (64, 128)
_UNET = {
    "sample_size": LATENT_SIZE,
    "in_channels": LATENT_CHANNELS,
    "out_channels": LATENT_CHANNELS,
    "layers_per_block": 1,
    "block_out_channels": _UNET_CHANNELS,
    "cross_attention_dim": TEXT_WIDTH,
    "norm_num_groups": 16,
}
_HEAD_WIDTH = 16
_MOTION_HEADS = 4
_CLOCK_SIZE = 2.0
"""Of a wave of the clock at the narrowest level, against features that measure 2.5 there."""


def new_autoencoder() -> "AutoencoderKL":
    """Return an untrained autoencoder: (B, 3, 64, 64) in [-1, 1] to (B, 6, 8, 8) and back."""
    from diffusers import AutoencoderKL

    autoencoder = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 64),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=FRAME_SIZE,
    )
    with torch.no_grad():
        # Begin nearly deterministic: noise as strong as the code itself hides it from the decoder.
        autoencoder.quant_conv.weight[LATENT_CHANNELS:] = 0
        autoencoder.quant_conv.bias[LATENT_CHANNELS:] = -6
    return autoencoder


def new_text_encoder() -> "CLIPTextModel":
    """Return an untrained text encoder: (B, 20) token ids to (B, 20, 96)."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(build_tokenizer()),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def new_image_unet() -> "UNet2DConditionModel":
    """Return an untrained image U-Net over latents (B, 6, 8, 8)."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        # In the 2D model this argument is, for history's sake, the number of heads of each level.
        attention_head_dim=tuple(width // _HEAD_WIDTH for width in _UNET_CHANNELS),
        # As every video U-Net has it, so that the weights fit.
        use_linear_projection=True,
        **_UNET,
    )


def new_motion_adapter() -> "MotionAdapter":
    """Return a motion adapter for the image U-Net that knows one thing: which frame is which.

    What it adds to a picture is the number of its frame, in the sines and cosines of the positional
    embedding; from frame to frame nothing passes yet. See `give_clock`.
    """
    from diffusers import MotionAdapter

    adapter = MotionAdapter(
        block_out_channels=_UNET_CHANNELS,
        motion_layers_per_block=1,
        motion_max_seq_length=MAX_FRAMES,
        motion_num_attention_heads=_MOTION_HEADS,
        motion_norm_num_groups=16,
    )
    with torch.no_grad():
        for name, parameter in adapter.named_parameters():
            if ".proj_out." in name:
                parameter.zero_()
    for block in (*adapter.down_blocks, adapter.mid_block, *adapter.up_blocks):
        give_clock(block)
    return adapter


@torch.no_grad()
def give_clock(block: Any) -> None:
    """Let the motion modules of a block write the number of a frame into what they add.

    Born at random, attention over frames is nearly even, so the positional embedding averages out
    and nothing after it knows the time: the model must find the time and what to do at it at once.
    Here the first head looks, by the fastest waves of the embedding, at its own frame, and carries
    those waves to the output. The channels that it uses hold nothing else; all of it can be
    unlearned.
    """
    for module in block.motion_modules:
        transformer = module.transformer_blocks[0]
        attention = transformer.attn1
        width = attention.to_q.weight.shape[0]
        waves = width // attention.heads
        # Neighbouring frames are to differ by the same score at every width: about 2.
        sharpness = (2 * waves**0.5 * 16 / waves) ** 0.5
        others = (module.proj_in, transformer.attn2.to_out[0], transformer.ff.net[2])
        for layer, size in (
            (attention.to_q, sharpness),
            (attention.to_k, sharpness),
            (attention.to_v, 1.0),
            (attention.to_out[0], 1.0),
            *((layer, 0.0) for layer in others),
        ):
            layer.weight[:waves] = 0
            layer.weight[:waves, :waves] = size * torch.eye(waves)
            if layer.bias is not None:
                layer.bias[:waves] = 0
        attention.to_out[0].weight[waves:, :waves] = 0
        transformer.norm1.weight[:waves] = 0
        transformer.norm1.bias[:waves] = 0
        # A third of what a picture's own features measure there, spread over all channels.
        size = _CLOCK_SIZE * width / _UNET_CHANNELS[0]
        module.proj_out.weight[:, :waves] = size * torch.linalg.qr(torch.randn(width, waves)).Q


def inflate(image_unet: "UNet2DConditionModel") -> "UNet3DConditionModel":
    """Return a video U-Net over (B, 6, T, 8, 8) that treats every frame as `image_unet` does.

    Its temporal layers are new; each ends in zeros, so that at birth nothing passes from frame to
    frame and training starts from the image model's pictures.
    """
    from diffusers import UNet3DConditionModel

    video_unet = UNet3DConditionModel(
        down_block_types=("CrossAttnDownBlock3D",) * 2,
        up_block_types=("CrossAttnUpBlock3D",) * 2,
        attention_head_dim=_HEAD_WIDTH,
        **_UNET,
    )
    spatial = image_unet.state_dict()
    own = video_unet.state_dict()
    temporal = {name for name in own if is_temporal(name)}
    if set(own) - temporal != set(spatial):
        raise ValueError("the image and the video U-Net do not have the same spatial layers")
    video_unet.load_state_dict({**own, **spatial})
    with torch.no_grad():
        for name, parameter in video_unet.named_parameters():
            # A temporal convolution layer is born ending in zeros. To zero the normalisation before
            # them too would end its learning before it began: zeros times zeros have no gradient.
            if name in temporal and ".proj_out." in name:
                parameter.zero_()
    return video_unet


def is_temporal(name: str) -> bool:
    """Return whether a parameter of a `UNet3DConditionModel` is of a layer across frames."""
    return "temp_" in name or name.startswith("transformer_in.")


def new_scheduler() -> "DDIMScheduler":
    """Return the noise schedule that the models are trained in: cosine, v-prediction.

    Its last step is noise alone (to 1e-5), so sampling may start from pure noise, which "trailing"
    steps do.
    """
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )
