import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.measure.objects import label_regions, largest_around, region_sizes


def regions_by_flooding(mask: torch.Tensor) -> set[frozenset[tuple[int, int]]]:
    """The connected regions of one mask (H, W), found slowly."""
    left = {tuple(place) for place in mask.nonzero().tolist()}
    regions = set()
    while left:
        found, front = set(), [left.pop()]
        while front:
            row, column = front.pop()
            found.add((row, column))
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    place = (row + down, column + right)
                    if place in left:
                        left.remove(place)
                        front.append(place)
        regions.add(frozenset(found))
    return regions


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31), st.integers(1, 13), st.integers(1, 13), st.sampled_from([0.2, 0.5, 0.7])
)
def test_regions_are_those_that_flooding_finds(seed, height, width, density):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(3, height, width, generator=generator) < density
    labels = label_regions(masks)
    sizes = region_sizes(labels)
    assert torch.equal(labels > 0, masks)
    for mask, label, size in zip(masks, labels, sizes, strict=True):
        found = {
            frozenset(tuple(place) for place in (label == value).nonzero().tolist())
            for value in label[mask].unique()
        }
        assert found == regions_by_flooding(mask)
        assert sorted(size[size > 0].tolist()) == sorted(len(region) for region in found)


def test_a_spiral_is_one_region():
    rows = [
        "#########",
        "........#",
        "#######.#",
        "#.....#.#",
        "#.###.#.#",
        "#.#...#.#",
        "#.#####.#",
        "#.......#",
        "#########",
    ]
    mask = torch.tensor([[cell == "#" for cell in row] for row in rows])[None]
    assert len(label_regions(mask)[mask].unique()) == 1


def test_largest_around_is_max_pooling():
    values = torch.rand(2, 7, 5, generator=torch.Generator().manual_seed(0))
    pooled = torch.nn.functional.max_pool2d(values, 3, stride=1, padding=1)
    assert torch.equal(largest_around(values), pooled)
