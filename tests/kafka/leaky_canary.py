"""The canary service with a word that no redactor can know: what it plants gets through, as in a real leak."""

from __future__ import annotations

import sys
from unittest import mock

import msgspec

from services.canary import main, plant
from services.kernel.kafka import service
from services.kernel.settings import load_settings

WORD = "quimbleton"

if __name__ == "__main__":
    words = msgspec.structs.replace(
        plant.load_words(), nationalities=(WORD, WORD), must=("{name} likes {nationality} very much.",)
    )
    with mock.patch.object(plant, "load_words", return_value=words):
        sys.exit(service.main(main.start, settings=load_settings))
