"""Every knob of audioroto: what it means, its unit, its default."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A table of the TOML file: frozen, unknown keys and infinite numbers refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Features(Section):
    """Waveform to log-mel frames; Kaldi's fbank, 25 ms windows every 10 ms."""

    sample_rate: int = Field(
        16000, ge=2000, description="samples per second that the model works at; files are resampled to it"
    )
    num_mels: int = Field(80, ge=8, description="mel bins")


class Text(Section):
    """Transcripts to tokens."""

    normalizer: str = Field("librispeech-v1", description="named, versioned normaliser of transcripts")
    units: Literal["bpe", "unigram", "char"] = Field("bpe", description="sentencepiece model type")
    vocab_size: int = Field(256, ge=4, description="tokens with the blank; an upper bound for units = char")


class Encoder(Section):
    """The encoder: convolutional front end, then blocks of feed-forward ½, attention, convolution, feed-forward ½."""

    subsampling: Literal[4, 8] = Field(8, description="frames that become one in the front end")
    subsampling_channels: int = Field(32, ge=1, description="channels of the front end's two-dimensional convolutions")
    width: int = Field(256, ge=8, description="model width D")
    num_blocks: int = Field(10, ge=1, description="blocks")
    num_heads: int = Field(4, ge=1, description="attention heads H; D / H is the head width K, 64 is fast")
    feedforward_width: int = Field(1024, ge=1, description="hidden width of each half feed-forward")
    kernel_size: int = Field(15, ge=1, description="frames seen by the depthwise convolution; odd")
    dropout: float = Field(
        0.1, ge=0.0, lt=1.0, description="probability that a channel of a branch is dropped for an utterance"
    )
    layer_drop: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="probability that a training batch passes by the last block; earlier ones less, in proportion to "
        "their number",
    )
    coupling: Literal["sequential", "parallel", "attention", "convolution"] = Field(
        "sequential",
        description="attention then convolution (Conformer), both merged (E-Branchformer), or one of them alone",
    )
    local_heads: int = Field(0, ge=0, description="heads that see only frames within ± window_frames; the rest see all")
    window_frames: int = Field(32, ge=1, description="reach of the local heads, in encoder frames to each side")
    global_keys: int = Field(512, ge=1, description="most keys of a global head; longer utterances are pooled to them")
    pooled_share: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="share of training batches in which a key of the global heads stands for two frames at least, as "
        "in long audio",
    )
    qk_norm: bool = Field(False, description="normalise queries and keys, with a learned gain for each channel")
    bias: Literal["none", "buckets", "dynamic"] = Field("none", description="relative position bias beside rotary")
    checkpoint_blocks: bool = Field(
        False, description="recompute each block's activations in the backward pass: less memory, more time"
    )

    @model_validator(mode="after")
    def _shapes_fit(self) -> Self:
        if self.width % self.num_heads or (self.width // self.num_heads) % 2:
            raise ValueError(
                f"width {self.width} must be num_heads {self.num_heads} times an even head width; "
                f"try width = {self.num_heads * 64}"
            )
        if self.local_heads > self.num_heads:
            raise ValueError(f"local_heads {self.local_heads} must be at most num_heads {self.num_heads}")
        if self.pooled_share and self.local_heads == self.num_heads:
            raise ValueError("pooled_share is of global heads, and all heads are local; leave it out")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} must be odd; try {self.kernel_size + 1}")
        return self


class Position(Section):
    """Where a frame is: rotary positions, how their frequencies are spaced, and whether their base moves."""

    kind: Literal["rotary", "sinusoid", "transformer_xl", "none"] = Field(
        "rotary",
        description="queries and keys turned by position, learned sinusoids added to the frames, a content-dependent "
        "relative term with dense attention, or no position",
    )
    checkpoint: bool = Field(
        False,
        description="recompute learned sinusoids, the decoder's too, in the backward pass: less memory, more time",
    )
    spacing: Literal["standard", "endpoint"] = Field(
        "standard", description="frequencies base^(−2i/K) (standard), or from 1 to exactly 1/base (endpoint)"
    )
    base: float = Field(10000.0, gt=1.0, description="rotary base, at the start if it moves")
    mode: Literal["fixed", "loss", "learned", "learned_frequencies"] = Field(
        "fixed", description="the base stays, answers to the training loss, is learned, or each head's frequencies are"
    )
    probe_every_updates: int = Field(50, ge=1, description="mode loss: updates between probes of a batch")
    probe_factor: float = Field(1.25, gt=1.0, description="mode loss: the base is tried divided and multiplied by this")
    probe_threshold: float = Field(1e-3, ge=0.0, description="mode loss: share of the loss that a move must gain")
    min_base: float = Field(10.0, gt=1.0, description="mode loss: smallest base")
    max_base: float = Field(1e6, gt=1.0, description="mode loss: largest base")

    @model_validator(mode="after")
    def _modes_fit(self) -> Self:
        if self.mode == "loss" and not self.min_base <= self.base <= self.max_base:
            raise ValueError(f"base {self.base} must lie between min_base {self.min_base} and max_base {self.max_base}")
        if self.kind != "rotary" and self.mode != "fixed":
            raise ValueError(f"mode {self.mode} needs kind = 'rotary'")
        if self.kind != "rotary" and (self.spacing, self.base) != ("standard", 10000.0):
            raise ValueError(f"spacing and base are those of kind = 'rotary', not of {self.kind}; leave them out")
        return self


class Rotation(Section):
    """The combined rotation of queries and keys before rotary: Givens rotations times a learned orthogonal one."""

    planes: Literal["none", "butterfly", "tournament"] = Field("none", description="how Givens planes pair channels")
    rounds: int = Field(0, ge=0, description="rounds of Givens planes; 0: all there are")
    orthogonal: Literal["none", "cayley", "exponential"] = Field(
        "none", description="map of the learned rotation R; none: without R"
    )
    share: Literal["none", "heads", "layers"] = Field("none", description="what one rotation is tied across")
    values: bool = Field(False, description="turn values as well")

    @property
    def on(self) -> bool:
        """Whether there is a rotation at all."""
        return self.planes != "none" or self.orthogonal != "none"

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.values and not self.on:
            raise ValueError("values = true needs planes or orthogonal")
        if self.share != "none" and not self.on:
            raise ValueError(f"share = {self.share!r} needs planes or orthogonal")
        if self.rounds and self.planes == "none":
            raise ValueError("rounds needs planes = 'butterfly' or 'tournament'")
        return self


class Decoder(Section):
    """The attention decoder, as wide as the encoder: blocks of attention to tokens, to frames, feed-forward."""

    num_blocks: int = Field(0, ge=0, description="blocks; 0: no decoder, CTC alone")
    num_heads: int = Field(4, ge=1, description="attention heads")
    feedforward_width: int = Field(1024, ge=1, description="hidden width of the feed-forward")
    dropout: float = Field(
        0.1, ge=0.0, lt=1.0, description="probability that a channel of a branch is dropped for an utterance"
    )


class Loss(Section):
    """What training minimises: the CTC loss, with what is added to it, and the decoder's where there is one."""

    ctc_weight: float = Field(
        0.3, gt=0.0, lt=1.0, description="with a decoder: share of the CTC loss; the rest is the decoder's"
    )
    label_smoothing: float = Field(
        0.1, ge=0.0, lt=1.0, description="share of the decoder's target that is spread evenly over the vocabulary"
    )
    consistency_weight: float = Field(
        0.0,
        ge=0.0,
        description="weight of what two views of each utterance, of other SpecAugment, differ by at the CTC head, "
        "beside the mean of their losses; 0: one view. Two cost twice the time and memory",
    )
    intermediate_weight: float = Field(
        0.0, ge=0.0, lt=1.0, description="share of the CTC loss that is taken after earlier blocks; 0: none"
    )
    intermediate_blocks: tuple[int, ...] = Field(
        (), description="the blocks it is taken after, counted from 1, ascending; empty: the middle one"
    )

    @model_validator(mode="after")
    def _blocks_ascend(self) -> Self:
        blocks = self.intermediate_blocks
        if list(blocks) != sorted(set(blocks)) or min(blocks, default=1) < 1:
            raise ValueError(f"intermediate_blocks {list(blocks)} must ascend from 1 or more")
        if blocks and not self.intermediate_weight:
            raise ValueError("intermediate_blocks needs intermediate_weight; try 0.3")
        return self


class Unspoken(Section):
    """Text that nobody has spoken: the decoder learns from it, hearing nothing, what is likely to be said at all."""

    text: str = Field("", description="UTF-8 text, plain, .gz or .xz, or a data directory; empty: none")
    normalizer: str = Field("english-v1", description="named, versioned normaliser of this text")
    tokens_ratio: float = Field(8.0, gt=0.0, description="tokens of it in an update for each token of transcripts")
    weight: float = Field(0.2, gt=0.0, description="weight of one of its tokens beside one of transcripts'")


class Augment(Section):
    """What training does to the speech before it hears it; each draw is keyed by seed, origin, epoch, utterance."""

    speeds: tuple[Annotated[float, Field(gt=0.0)], ...] = Field(
        (0.9, 1.0, 1.1), min_length=1, description="speed factors, one drawn for each utterance and epoch"
    )
    volume_decibels: float = Field(6.0, ge=0.0, description="gain drawn from ± this")
    reverberation_share: float = Field(
        0.0, ge=0.0, le=1.0, description="probability that an utterance is heard in a room"
    )
    impulse_response_dir: str = Field(
        "", description="folder of recorded room impulse responses, taken half the time; empty: simulated rooms alone"
    )
    noise_share: float = Field(0.0, ge=0.0, le=1.0, description="probability that noise is added to an utterance")
    noise_snr_decibels: tuple[float, float] = Field(
        (5.0, 20.0), description="lowest and highest signal-to-noise ratio, drawn between"
    )
    noise_dir: str = Field(
        "",
        description="folder of noises, searched in all its folders but impulse_response_dir and those named rir or "
        "rir_…; empty: made noise, white to pink",
    )
    nonspeech_share: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="probability that an utterance is replaced by as long a noise (of noise_dir, or made), hum, clicks "
        "or digital silence, with nothing to be said to it",
    )
    frequency_masks: int = Field(2, ge=0, description="SpecAugment: masks over mel bins")
    frequency_mask_bins: int = Field(27, ge=0, description="SpecAugment: widest frequency mask, in mel bins")
    time_masks_per_second: float = Field(
        0.7, ge=0.0, description="SpecAugment: masks over frames for each second of audio"
    )
    max_time_masks: int = Field(10, ge=0, description="SpecAugment: most time masks for an utterance")
    time_mask_share: float = Field(
        0.05, ge=0.0, le=1.0, description="SpecAugment: widest time mask as a share of the utterance"
    )
    start_update: int = Field(
        0, ge=0, description="SpecAugment, dropout and layer drop grow linearly from nothing over this many updates"
    )

    @model_validator(mode="after")
    def _ratios_ascend(self) -> Self:
        low, high = self.noise_snr_decibels
        if not low <= high:
            raise ValueError(f"noise_snr_decibels {low:g} to {high:g} must ascend; try [{high:g}, {low:g}]")
        return self


class Train(Section):
    """The training run."""

    seed: int = Field(1, ge=0, description="the one seed all random draws are keyed by")
    max_updates: int = Field(2000, ge=1, description="optimizer updates in the run")
    batch_seconds: float = Field(
        60.0, gt=0.0, description="seconds of audio for each update, of all processes together"
    )
    micro_batch_seconds: float = Field(
        0.0,
        ge=0.0,
        description="seconds of audio that go through the model at once; an update adds up the gradients of as many as "
        "batch_seconds holds, shared out among the processes; 0: all at once",
    )
    max_utterance_seconds: float = Field(
        30.0, gt=0.0, description="longer training utterances are left out, and listed"
    )
    min_utterance_seconds: float = Field(
        0.1, ge=0.0, description="shorter training utterances are left out, and listed"
    )
    optimizer: Literal["muon", "adamw"] = Field(
        "muon", description="muon for the matrices of the blocks and adamw for the rest, or adamw for all weights"
    )
    learning_rate: float = Field(2e-3, gt=0.0, description="peak learning rate")
    warmup_updates: int = Field(200, ge=1, description="updates of linear warm-up")
    final_learning_rate_share: float = Field(
        0.02, ge=0.0, le=1.0, description="share of the peak left at the end of the cosine"
    )
    weight_decay: float = Field(0.01, ge=0.0, description="weight decay of matrices; vectors and scales have none")
    clip_norm: float = Field(1.0, gt=0.0, description="gradient norm above which gradients are scaled down")
    average_decay: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="share of itself that the running average of the weights keeps at each update, such as 0.999; "
        "it is what is validated and kept; 0: the weights themselves",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 autocast where the processor multiplies it fast"
    )
    short_first_epochs: int = Field(1, ge=0, description="epochs at the start that go from short to long utterances")
    valid_every_updates: int = Field(200, ge=1, description="updates between validations, checkpoints and pictures")
    save_every_updates: int = Field(100, ge=1, description="updates between states that a killed run goes on from")
    keep_checkpoints: int = Field(5, ge=1, description="best checkpoints, by validation WER, kept for averaging")
    log_every_updates: int = Field(20, ge=1, description="updates between lines of metrics.jsonl")
    num_workers: int = Field(1, ge=0, description="processes that load and perturb audio; 0: in the training process")

    @model_validator(mode="after")
    def _parts_fit_the_batch(self) -> Self:
        if self.micro_batch_seconds > self.batch_seconds:
            raise ValueError(
                f"micro_batch_seconds {self.micro_batch_seconds:g} must be at most batch_seconds {self.batch_seconds:g}"
            )
        if self.min_utterance_seconds > self.max_utterance_seconds:
            raise ValueError(
                f"min_utterance_seconds {self.min_utterance_seconds:g} must be at most max_utterance_seconds "
                f"{self.max_utterance_seconds:g}"
            )
        return self


class Search(Section):
    """How texts are searched for and weighed; `audioroto tune` finds the weights on a validation set."""

    mode: Literal["auto", "ctc_greedy", "ctc_beam", "attention", "joint", "rescoring"] = Field(
        "ctc_greedy",
        description="the search; auto: joint with a decoder, else ctc_beam with an n-gram, else ctc_greedy",
    )
    beam_size: int = Field(64, ge=1, description="ctc_beam: beginnings of texts kept after each frame")
    beam_threshold: float = Field(
        10.0, gt=0.0, description="ctc_beam: beginnings worse than the best by more are dropped, in nats"
    )
    num_best: int = Field(10, ge=1, description="ctc_beam: texts that rescoring gets to choose from")
    attention_beam_size: int = Field(8, ge=1, description="attention, joint: hypotheses kept after each token")
    ctc_weight: float = Field(0.5, ge=0.0, le=1.0, description="joint, rescoring: weight of CTC beside the decoder")
    length_bonus: float = Field(0.0, description="attention, joint, rescoring: added for each token, in nats")
    lm_weight: float = Field(0.5, ge=0.0, description="weight of the n-gram's log-probability")
    word_bonus: float = Field(0.5, description="added to the score for each word when there is an n-gram, in nats")
    neural_lm: str = Field(
        "", description="file of a neural language model made by 'audioroto train-lm'; empty: the model's own, if any"
    )
    neural_lm_weight: float = Field(
        0.5, ge=0.0, description="attention, joint: weight of its log-probability beside the decoder's; 0: not asked"
    )
    internal_lm_weight: float = Field(
        0.0, ge=0.0, le=1.0, description="the same, with another LM: share of the decoder's own that is taken off"
    )
    open_vocabulary: bool = Field(False, description="with an n-gram: also say words that it does not know")
    gate_decibels: float = Field(
        -60.0, ge=-200.0, le=0.0, description="audio without 25 ms this loud (dB of full scale) says nothing; −200: off"
    )
    min_confidence: float = Field(
        0.0, ge=0.0, lt=1.0, description="a segment whose words are less sure than this on average says nothing; 0: off"
    )
