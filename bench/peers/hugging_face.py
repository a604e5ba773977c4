"""Makes tokenizer.json out of a SentencePiece model with the converter of `transformers`, without a hub."""

import hashlib
import os
from pathlib import Path

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

from tokenizers import Tokenizer
from transformers.convert_slow_tokenizer import SpmConverter, import_protobuf

UNIGRAM = 1


def model_proto(model: Path):
    proto = import_protobuf().ModelProto()
    proto.ParseFromString(model.read_bytes())
    return proto


def tokenizer_json(model: Path, folder: Path) -> Path:
    """The path of the tokenizer.json of the model, made in `folder` by the first call."""
    path = folder / f"{model.stem}-{hashlib.sha256(model.read_bytes()).hexdigest()[:16]}.json"
    if not path.exists():
        proto = model_proto(model)
        scores = [(piece.piece, piece.score) for piece in proto.pieces]
        ids = {piece.piece: i for i, piece in enumerate(proto.pieces)}
        is_unigram = proto.trainer_spec.model_type == UNIGRAM
        tokenizer = SpmConverter.build_tokenizer_from_spm_proto(proto, scores if is_unigram else ids)
        part = path.with_suffix(f".{os.getpid()}")
        tokenizer.save(str(part))
        part.rename(path)
    return path


def load(model: Path, folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tokenizer_json(model, folder)))
