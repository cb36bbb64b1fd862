"""audioroto download librispeech"""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Download a corpus, resumed where it broke off and checked.", no_args_is_help=True)


@app.command()
def librispeech(
    parts: Annotated[
        str, typer.Option(help="Parts with commas between: train-clean-5 and dev-clean-2 of mini LibriSpeech, …")
    ],
    out_dir: Annotated[Path, typer.Option("--out", help="Where they go, a folder for each part.")],
) -> None:
    """Parts of LibriSpeech and mini LibriSpeech, from openslr.org and its mirrors.

    What is there already is left as it is. Ctrl-C keeps what has come, and the same command goes on from there.
    """
    from audioroto.corpus.download import download_librispeech

    wanted = parts.replace(",", " ").split()
    try:
        made = download_librispeech(wanted, out_dir)
    except KeyboardInterrupt:
        typer.echo(f"stopped; {out_dir} keeps what has come, and the same command goes on from there", err=True)
        raise typer.Exit(130) from None
    for part in dict.fromkeys(wanted):
        typer.echo(f"{out_dir / part}: {'downloaded' if part in made else 'there already'}")
