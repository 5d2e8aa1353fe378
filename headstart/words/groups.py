"""What is known of groups of images without labels, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.words.formats import count

CLEAR, FAIR = 0.8, 0.6  # agreement beyond chance


def number(groups: int, asked: bool, interval: Sequence[int], images: int) -> str:
    """How many groups there are."""
    told = f"{count(groups, 'group')} of {count(images, 'image')}"
    if asked or not interval:
        return f"{told}; the number was given"
    low, high = interval
    if low == high:
        return f"{told}; so many in 95% of random halves of them"
    return f"{told}; 95% of random halves of them have {low:,} to {high:,}"


def sure(shown: bool, stability: float, silhouette: float, by_chance: float) -> str:
    """How sure it is that there are groups."""
    apart = f"their silhouette is {silhouette:.3f}, that of images spread without any groups up to {by_chance:.3f}"
    if not shown:
        return f"no groups are shown: {apart}. What is called a group here is a cut through the images, no more"
    how = "clear" if stability >= CLEAR else "fair" if stability >= FAIR else "weak: many images lie in another group if some are left out"
    return f"groups are shown ({apart}); where they end is {how} (groups of halves of the images agree {stability:.2f} beyond chance, 1 is always)"


def unlike(outliers: int, near_duplicates: int) -> str:
    """How many images are unlike all others, and how many are near-duplicates of another."""
    far = f"{count(outliers, 'image is', 'images are')} unlike all others" if outliers else "no image is unlike all others"
    twins = f"{count(near_duplicates, 'near-duplicate')}; each set of them counted once" if near_duplicates else "no near-duplicates"
    return f"{far}; {twins}"


NEXT = "headstart review"  # names the groups
LIMITS = "Groups are what the networks find alike; that need not be what you would tell apart. No label was used, so nobody knows how many images are in the right group: the answers in `headstart review` tell it."
