"""The people of a file: each row is in a block or rejected."""

import csv

from drugpred.bulk.people import read
from drugpred.schemas import EXAMPLE


def test_every_row_is_in_a_block_or_rejected(tmp_path):
    path = tmp_path / "people.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, EXAMPLE)
        writer.writeheader()
        writer.writerows([EXAMPLE | {"country": "Atlantis"}, *[EXAMPLE] * 20_500])
        file.write("too,few\n")
    found = list(read(path))
    blocks = [len(block) for people in found for block in people.blocks()]
    assert sum(blocks) == 20_500
    assert 10_000 in blocks
    assert max(blocks) <= 10_000
    assert sum(people.rejected for people in found) == 2
