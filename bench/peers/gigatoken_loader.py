"""Loads a SentencePiece model into gigatoken."""

import json
from pathlib import Path

import gigatoken
from comparison import Unsupported
from gigatoken._load.sentencepiece import sentencepiece_to_tokenizer_json


def load(model: Path) -> gigatoken.Tokenizer:
    """As Tokenizer.from_sentencepiece does, but a control piece such as <s> that stands in a text is text, as it is to
    SentencePiece. This way all ids are equal, and the search for control pieces costs it nothing."""
    try:
        tokenizer = json.loads(sentencepiece_to_tokenizer_json(model.read_bytes()))
        tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if not token["special"]]
        return gigatoken.Tokenizer.from_json(json.dumps(tokenizer))
    except (ValueError, RuntimeError) as refusal:
        raise Unsupported(str(refusal)) from refusal
