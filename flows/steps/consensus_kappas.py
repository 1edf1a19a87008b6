"""How far two annotators agree beyond chance, and all of them where they answered the same items."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from curate.annotate.consensus.agreement import cohen_kappa, fleiss_kappa
from curate.annotate.consensus.votes import Votes

COHEN, FLEISS = "Cohen's kappa", "Fleiss' kappa"
_MOST = 10
"""Of so many annotators, those who said most, pairs are looked at."""


def kappas(votes: Votes, annotators: Sequence[str]) -> dict[tuple[str, str], float]:
    """Return kappas by name and whom they are about; those that chance alone cannot be told from are left out.

    Cost: one pass over the votes for each of up to 45 pairs.
    """
    talkative = np.bincount(votes.annotator, minlength=votes.annotators).argsort(kind="stable")[::-1][:_MOST]
    found = {
        (COHEN, f"{annotators[first]} and {annotators[second]}"): cohen_kappa(votes, first, second)
        for first, second in combinations(sorted(talkative.tolist()), 2)
    }
    per_item = votes.per_item()
    if len(per_item) and per_item.min() == per_item.max() > 1:
        found[FLEISS, "all"] = fleiss_kappa(votes)
    return {name: kappa for name, kappa in found.items() if np.isfinite(kappa)}
