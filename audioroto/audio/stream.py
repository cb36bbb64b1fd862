"""Any audio file, or its bytes, block by block: a recording of any length in bounded memory."""

from collections.abc import Iterator

import numpy as np

from audioroto.audio.decode import iter_decoded
from audioroto.audio.source import AudioSource


def iter_blocks(source: AudioSource, rate: int = 16000, *, block_seconds: float = 10.0) -> Iterator[np.ndarray]:
    """Blocks of `block_seconds`, the last one shorter, (S,) float32; put together they are what `load_audio` gives.

    Raises AudioError as load_audio does, when reading gets to what is wrong.
    """
    block_samples = max(1, round(block_seconds * rate))
    waiting: list[np.ndarray] = []
    num_waiting = 0
    for decoded, _ in iter_decoded(source, rate):
        waiting.append(decoded)
        num_waiting += len(decoded)
        if num_waiting >= block_samples:
            samples = np.concatenate(waiting)
            num_ready = num_waiting - num_waiting % block_samples
            yield from samples[:num_ready].reshape(-1, block_samples)
            waiting, num_waiting = [samples[num_ready:]], num_waiting - num_ready
    if num_waiting:
        yield np.concatenate(waiting)
