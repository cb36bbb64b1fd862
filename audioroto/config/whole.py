"""The whole configuration, and which settings of its sections contradict one another."""

from typing import Self

from pydantic import model_validator

from audioroto.config.sections import (
    Augment,
    Decoder,
    Encoder,
    Features,
    Loss,
    Position,
    Rotation,
    Search,
    Section,
    Text,
    Train,
    Unspoken,
)


class Config(Section):
    """The whole configuration: one section a room."""

    features: Features = Features()
    text: Text = Text()
    encoder: Encoder = Encoder()
    position: Position = Position()
    rotation: Rotation = Rotation()
    decoder: Decoder = Decoder()
    loss: Loss = Loss()
    unspoken: Unspoken = Unspoken()
    augment: Augment = Augment()
    train: Train = Train()
    search: Search = Search()

    @model_validator(mode="after")
    def _rooms_fit(self) -> Self:
        if self.decoder.num_blocks and self.encoder.width % self.decoder.num_heads:
            raise ValueError(
                f"encoder.width {self.encoder.width} must be a multiple of decoder.num_heads {self.decoder.num_heads}; "
                f"try decoder.num_heads = {self.encoder.num_heads}"
            )
        if self.unspoken.text and not self.decoder.num_blocks:
            raise ValueError("unspoken.text is for the decoder to learn from; set decoder.num_blocks")
        return self

    @model_validator(mode="after")
    def _intermediate_blocks_fit_the_encoder(self) -> Self:
        last, num_blocks = max(self.loss.intermediate_blocks, default=1), self.encoder.num_blocks
        if last >= num_blocks and self.loss.intermediate_weight:
            raise ValueError(
                f"loss.intermediate_blocks: block {last} is not before the last of encoder.num_blocks {num_blocks}"
            )
        return self

    @model_validator(mode="after")
    def _rotation_fits_the_heads(self) -> Self:
        head_width = self.encoder.width // self.encoder.num_heads
        if self.rotation.planes == "butterfly" and head_width & (head_width - 1):
            raise ValueError(
                f"rotation.planes butterfly needs a head width that is a power of two, not {head_width}; "
                "try rotation.planes = 'tournament'"
            )
        rounds = {"butterfly": head_width.bit_length() - 1, "tournament": head_width - 1, "none": 0}
        if self.rotation.rounds > rounds[self.rotation.planes]:
            raise ValueError(f"rotation.rounds is at most {rounds[self.rotation.planes]} for heads {head_width} wide")
        return self

    @model_validator(mode="after")
    def _attention_is_there(self) -> Self:
        encoder = self.encoder
        of_attention = {
            "encoder.qk_norm": encoder.qk_norm,
            "encoder.bias": encoder.bias != "none",
            "encoder.local_heads": encoder.local_heads > 0,
            "encoder.pooled_share": encoder.pooled_share > 0,
            "position.mode": self.position.mode != "fixed",
            "rotation": self.rotation.on,
        }
        unheard = [name for name, on in of_attention.items() if on]
        if encoder.coupling == "convolution" and unheard:
            raise ValueError(f"encoder.coupling convolution has no attention; leave out {', '.join(unheard)}")
        return self
