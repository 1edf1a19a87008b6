"""Nothing that is read once at the end is learned from, or chosen by, before."""

import torch

from benchmarks.harness.digit_pages import PAGES, digit_pages
from benchmarks.harness.digit_tasks import FEW, NEW, SOURCE, sequences, task_images
from benchmarks.harness.turned_digits import CLASSES, splits
from benchmarks.rotated_digits import _reproduced


def rows_of(pixels: torch.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in pixels.reshape(-1, pixels.shape[-1]).round(decimals=4)}


def test_the_parts_of_a_split_share_no_image() -> None:
    parts = splits([3, 4])
    for seed in (0, 1):
        fitted, kept, held = (set(one[seed].tolist()) for one in (parts.fitted, parts.kept_aside, parts.held_out))
        assert not fitted & kept
        assert not (fitted | kept) & held
        assert fitted | kept == set(parts.learned[seed].tolist())
        assert len(fitted | kept | held) == 1797


def test_few_examples_of_new_tasks_are_of_every_class_and_of_no_source_task() -> None:
    images = task_images([0, 1])
    assert images.source[0].shape[:1] + images.source[0].shape[2:] == (2, len(SOURCE), 64)
    assert images.new[0].shape == (2, len(NEW), FEW * CLASSES, 64)
    thrice = list(NEW).index("turned thrice")
    assert images.new[1][0, thrice].bincount().tolist() == [FEW] * CLASSES
    once = images.source[0][0, :, list(SOURCE).index("turned")].reshape(-1, 8, 8)
    few = images.new[0][0, thrice].reshape(-1, 8, 8)
    assert not rows_of(few.rot90(2, (1, 2)).reshape(-1, 64)) & rows_of(once.reshape(-1, 64))
    assert rows_of(few.rot90(2, (1, 2)).reshape(-1, 64)) <= rows_of(
        images.upright[0].reshape(-1, 8, 8).rot90(1, (1, 2)).reshape(-1, 64)
    )


def test_other_labels_are_the_ones_after() -> None:
    _, labels = task_images([0]).source_held_out
    plain, others = (labels[0, :, list(SOURCE).index(name)] for name in ("turned", "other labels"))
    assert torch.equal((plain + 1) % CLASSES, others)


def test_a_sequence_has_an_order_of_its_own_and_the_same_images_held_out() -> None:
    one, other = sequences(0), sequences(1)
    assert all(torch.equal(labels, one.upright_held_out[1]) for _, labels in one.held_out)
    assert not torch.equal(one.held_out[0][0].sum(), other.held_out[0][0].sum())
    for (learned, _), (kept, _), (held, _) in zip(one.learned, one.kept, one.held_out, strict=True):
        assert not rows_of(learned) & (rows_of(kept) | rows_of(held))


def test_pages_are_as_many_and_as_long_as_they_should_be() -> None:
    pages = digit_pages(0)
    lengths = pages.counted.sum(dim=1)
    for number, task in enumerate(PAGES.values()):
        of_task = lengths[pages.tasks == number]
        assert len(of_task) == task.pages
        assert task.shortest <= of_task.min() <= of_task.max() <= task.longest
    assert not rows_of(pages.shown[0][0]) & rows_of(pages.kept[0][0])
    assert not rows_of(pages.pixels) & rows_of(torch.cat([pixels for pixels, _ in pages.held_out]))


def test_a_figure_is_reproduced_within_the_noise_of_three_further_seeds() -> None:
    ours = [90.0, 91.0, 92.0, 93.0, 94.0]
    same, interval = _reproduced(ours, 92.0)
    assert same
    assert 3.2 < interval.high - interval.value < 3.21
    assert not _reproduced(ours, 95.3)[0]
