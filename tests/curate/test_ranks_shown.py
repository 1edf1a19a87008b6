"""A place in the order of a ranking selector is shown as a rank, and kept as the score that it is."""


def test_why_shows_ranks_and_keeps_scores_for_programs(call, project):
    settings = project / "curate.toml"
    changed = settings.read_text().replace('order_by = "align"', 'order_by = "fused"')
    settings.write_text(changed + "\n[fuse]\ncandidates = 100\n")
    assert call("run").code == 0
    rows = call("sql", "SELECT item_id, score FROM scores WHERE selector = 'fused' AND score = -1", "--json").objects
    shown = call("why", rows[0]["item_id"]).out
    assert "rank 2" in shown
    assert "-1" not in [cell for line in shown.splitlines() for cell in line.split()]
    [told] = call("why", rows[0]["item_id"], "--json").objects
    assert -1 in [row["score"] for row in told["scores"]]
