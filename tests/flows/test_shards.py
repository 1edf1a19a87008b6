"""Shards in one process and on a real Ray cluster of two nodes give what one pass over all of them gives."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import BadDataError
from curate.flows.steps import shard_samples
from curate.flows.steps.shard_samples import Beside, ShardSample
from curate.flows.steps.shards import ShardScoring, judged_shards, list_shards, merge_shards, score_shard
from curate.select.alignment import score
from curate.select.top import TopK

TOP = 25


def texts_of(shard: int) -> list[str]:
    """Forty texts with an empty one, one that every shard holds, and pairs of equal score."""
    generator = np.random.default_rng(shard)
    words = ["def", "return", "self", "class", "rain", "harbour", "quiet", "value", "for", "in"]
    made = [" ".join(generator.choice(words, size=generator.integers(3, 30))) for _ in range(38)]
    return [*made, "", "def area(width, height): return width * height"]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Four Parquet shards and a target."""
    folder = tmp_path / "pool"
    folder.mkdir()
    for number in range(4):
        pq.write_table(pa.table({"body": texts_of(number)}), folder / f"{number}.parquet")
    (tmp_path / "target.py").write_text("def area(width, height):\n    return width * height\n")
    return folder


def scoring_of(tmp_path: Path, **changes: str) -> ShardScoring:
    return ShardScoring(str(tmp_path / "target.py"), str(tmp_path / "shards"), TOP, **{"text": "body", **changes})


def one_pass(tmp_path: Path) -> list[float]:
    texts = sorted({text for number in range(4) for text in texts_of(number) if text})
    return sorted(score(texts, [(tmp_path / "target.py").read_text()]).tolist(), reverse=True)[:TOP]


def test_the_merged_best_are_those_of_one_pass(pool: Path, tmp_path: Path) -> None:
    scoring = scoring_of(tmp_path)
    results = [score_shard(shard, scoring) for shard in list_shards(f"{pool}/*.parquet", scoring)]
    figures = merge_shards(results, TOP, tmp_path / "best.parquet")
    best = pq.read_table(tmp_path / "best.parquet")
    assert best["score"].to_pylist() == one_pass(tmp_path)
    assert len(set(best["item_id"].to_pylist())) == TOP
    assert (figures.shards, figures.scored, figures.rejected) == (4, 156, 4)
    assert figures.first_reject == "0.parquet#39: empty-text"
    merge_shards(reversed(results), TOP, tmp_path / "again.parquet")
    assert pq.read_table(tmp_path / "again.parquet").equals(best)


def test_a_shard_is_scored_once_and_again_only_when_it_changes(pool: Path, tmp_path: Path) -> None:
    scoring = scoring_of(tmp_path)
    (first,) = list_shards(str(pool / "0.parquet"), scoring)
    result = Path(score_shard(first, scoring))
    written = result.stat().st_mtime_ns
    assert Path(score_shard(first, scoring)) == result
    assert result.stat().st_mtime_ns == written
    pq.write_table(pa.table({"body": ["something else entirely"]}), pool / "0.parquet")
    (changed,) = list_shards(str(pool / "0.parquet"), scoring)
    assert Path(score_shard(changed, scoring)) != result


def test_results_of_different_selectors_are_not_merged(pool: Path, tmp_path: Path) -> None:
    scoring, other = scoring_of(tmp_path), scoring_of(tmp_path, compressor="gzip:6")
    first, second = list_shards(f"{pool}/[01].parquet", scoring)
    results = [score_shard(first, scoring), score_shard(second, other)]
    with pytest.raises(BadDataError, match="2 different selectors"):
        merge_shards(results, TOP, tmp_path / "best.parquet")
    assert not (tmp_path / "best.parquet").exists()


def pieces_of(pattern: str, count: int) -> list[str]:
    """Real texts of 400 characters from the files of this Python."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob(pattern))
    texts = (file.read_text("utf-8", "replace") for file in files)
    return list(islice((text[at : at + 400] for text in texts for at in range(0, len(text) - 400, 1_300)), count))


def test_a_race_measures_less_and_finds_the_best(tmp_path: Path) -> None:
    texts = pieces_of("*.py", 2_400) + pieces_of("pydoc_data/*.py", 400)
    pq.write_table(pa.table({"body": texts}), tmp_path / "pool.parquet")
    pq.write_table(pa.table({"text": pieces_of("test/test_[g-k]*.py", 4_000)[::24][:40]}), tmp_path / "target.parquet")
    exact = ShardScoring(str(tmp_path / "target.parquet"), str(tmp_path / "shards"), TOP, "body")
    raced = replace(exact, confidence=0.99)
    (shard,) = list_shards(str(tmp_path / "pool.parquet"), exact)
    whole, found = (pq.read_table(score_shard(shard, scoring)) for scoring in (exact, raced))
    scores = dict(zip(whole["item_id"].to_pylist(), whole["score"].to_pylist(), strict=True))
    both = [row for row in found.to_pylist() if row["item_id"] in scores]
    assert len(both) >= TOP - 2
    assert all(row["score"] == pytest.approx(scores[row["item_id"]], abs=1e-12) for row in both)
    figures = merge_shards([score_shard(shard, raced)], TOP, tmp_path / "best.parquet")
    assert figures.outrun > len(texts) / 4
    assert figures.scored + figures.without_score + figures.outrun + figures.rejected == len(texts)


@pytest.fixture
def ray_cluster(repository: Path) -> Iterator[str]:
    """The address of a cluster of two real nodes."""
    program = [sys.executable, str(repository / "tests" / "support" / "ray_cluster.py")]
    process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.mark.timeout(300)
def test_two_nodes_of_ray_give_the_same(pool: Path, tmp_path: Path, ray_cluster: str) -> None:
    scoring = scoring_of(tmp_path)
    results = [score_shard(shard, scoring) for shard in list_shards(f"{pool}/*.parquet", scoring)]
    merge_shards(results, TOP, tmp_path / "here.parquet")
    asked = ["--target", "target.py", "--shards", "pool/*.parquet", "--column", "body", "--top", str(TOP)]
    command = [sys.executable, "-m", "curate", "align", *asked, "--to", "there.parquet", "--ray", ray_cluster, "--json"]
    (tmp_path / "curate.toml").touch()
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr  # the empty texts were rejected
    figures = json.loads(done.stdout)
    assert (figures["nodes"], figures["shards"], figures["scored"]) == (2, 4, 156)
    assert pq.read_table(tmp_path / "there.parquet").equals(pq.read_table(tmp_path / "here.parquet"))


def test_a_column_that_is_not_there_writes_nothing(pool: Path, tmp_path: Path) -> None:
    scoring = scoring_of(tmp_path, text="nope")
    results = [score_shard(shard, scoring) for shard in list_shards(f"{pool}/*.parquet", scoring)]
    with pytest.raises(BadDataError, match="rows were rejected; the first is"):
        merge_shards(results, TOP, tmp_path / "best.parquet")
    assert not (tmp_path / "best.parquet").exists()


def test_raced_and_exact_shards_are_not_merged(pool: Path, tmp_path: Path) -> None:
    exact = scoring_of(tmp_path)
    first, second, *_ = list_shards(f"{pool}/*.parquet", exact)
    results = [score_shard(first, exact), score_shard(second, replace(exact, confidence=0.999))]
    with pytest.raises(BadDataError, match="2 different selectors"):
        merge_shards(results, TOP, tmp_path / "best.parquet")


def test_baselines_stand_beside_the_best_of_shards(pool: Path, tmp_path: Path) -> None:
    scoring = scoring_of(tmp_path)
    shards = list_shards(f"{pool}/*.parquet", scoring)
    to = tmp_path / "best.parquet"
    merge_shards([score_shard(shard, scoring) for shard in shards], TOP, to)
    beside = judged_shards(to, scoring)
    assert [one.selector for one in beside.judged] == ["align", "fused", "importance", "tfidf", "random", "length"]
    assert beside.drawn == len({text for number in range(4) for text in texts_of(number) if text})
    assert judged_shards(to, scoring) == beside
    assert judged_shards(to, replace(scoring, baselines=False)) == Beside(0)


def test_shards_without_a_sample_are_counted_and_the_others_compared(pool: Path, tmp_path: Path) -> None:
    scoring = scoring_of(tmp_path)
    shards = list_shards(f"{pool}/*.parquet", scoring)
    first = score_shard(shards[0], replace(scoring, baselines=False))
    to = tmp_path / "best.parquet"
    merge_shards([score_shard(shard, scoring) for shard in shards], TOP, to)
    beside = judged_shards(to, scoring)
    assert (beside.drawn, len(beside.judged)) == (115, 6)
    counted = "no sample is kept of 1 of 4 shards, which are not compared; to score them again with one, remove "
    assert beside.notes == (counted + first,)
    Path(first).unlink()
    score_shard(shards[0], scoring)
    assert judged_shards(to, scoring)[0::4] == (153, ())
    for sample in (tmp_path / "shards").glob("*.sample.parquet"):
        sample.unlink()
    nothing = judged_shards(to, scoring)
    assert nothing.judged == ()
    assert nothing.notes[0].startswith("no sample is kept of 4 of 4 shards")
    assert nothing.notes[0].endswith(" and 1 more there without a .sample.parquet beside")


def test_few_texts_are_compared_and_no_verdict_is_told(pool: Path, tmp_path: Path) -> None:
    scoring = replace(scoring_of(tmp_path), top=2)
    to = tmp_path / "best.parquet"
    merge_shards([score_shard(shard, scoring) for shard in list_shards(f"{pool}/*.parquet", scoring)], 2, to)
    assert judged_shards(to, scoring)[:2] == (153, 50)
    merge_shards([score_shard(shard, scoring) for shard in list_shards(f"{pool}/[01].parquet", scoring)], 2, to)
    few = judged_shards(to, scoring)
    assert (few.drawn, few.chosen, few.as_good) == (77, 50, ())
    assert few.notes[0].startswith("77 texts are too few to tell")
    everything = replace(scoring, top=1_000)
    results = [score_shard(shard, everything) for shard in list_shards(f"{pool}/*.parquet", everything)]
    merge_shards(results, 1_000, to)
    assert judged_shards(to, everything)[3:] == (
        (),
        ("all texts are chosen, so no way to choose is better than another",),
    )


def test_the_sample_of_all_shards_is_that_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_samples, "SAMPLE", 30)
    records = pa.table({"item_id": [f"{number:03}" for number in range(200)], "text": ["text"] * 199 + ["x" * 20_001]})
    whole = ShardSample()
    whole.offer(records)
    parts = []
    for start in range(0, 200, 50):
        part = ShardSample()
        part.offer(records.slice(start, 50))
        parts.append(part.table())
    merged = TopK(30)
    for table in reversed(parts):
        merged.offer(table)
    assert merged.table().equals(whole.table())
    assert len(merged.table()) == 30
    assert "199" not in merged.table()["item_id"].to_pylist()


def test_a_sample_holds_no_more_characters_than_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_samples, "_MOST_CHARACTERS", 100_000)
    lengths = np.random.default_rng(0).integers(1, 20_000, 600)
    records = pa.table({"item_id": [f"{n:03}" for n in range(600)], "text": ["\u6f22" * length for length in lengths]})
    before = pa.total_allocated_bytes()
    whole = ShardSample()
    whole.offer(records)
    held = pa.total_allocated_bytes() - before
    assert held < 2 * 3 * 120_000
    assert 100_000 <= sum(map(len, whole.table()["text"].to_pylist())) < 120_000
    merged = ShardSample()
    for start in (400, 0, 200):
        part = ShardSample()
        for batch in (start + 100, start, start + 100):
            part.offer(records.slice(batch, 100))
        merged.add(part.table())
    assert merged.table().equals(whole.table())


def test_the_command_tells_what_random_choice_would_have_brought(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "curate.toml").touch()
    asked = [
        "--target",
        "target.py",
        "--shards",
        "pool/*.parquet",
        "--column",
        "body",
        "--top",
        "5",
        "--to",
        "b.parquet",
    ]
    command = [sys.executable, "-m", "curate", "align", *asked]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert shown.returncode == 7, shown.stderr
    assert "what the best 50 of a sample of 153 texts are worth" in shown.stderr
    assert re.search(r"\n  random +[\d.]+ \[[\d.]+, [\d.]+\] +", shown.stderr)
    told = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True, check=False)
    figures = json.loads(told.stdout)
    assert [one["selector"] for one in figures["beside"]][-2:] == ["random", "length"]
    assert (figures["chosen"], figures["drawn"]) == (50, 153)
    assert figures["beside"][0]["bits"]["low"] <= figures["beside"][0]["bits"]["value"]
    for sample in (tmp_path / "b.parquet.shards").glob("*.sample.parquet"):
        sample.unlink()
    bare = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "no sample is kept of 4 of 4 shards" in bare.stderr
    (tmp_path / "curate.toml").write_text("[align]\nbaselines = false\n")
    off = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "random" not in off.stderr
