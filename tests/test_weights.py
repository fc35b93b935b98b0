"""A digest of weights tells them from others, and minds nothing else."""

import torch

from kinema.weights import digest_of_weights


def test_weights_of_other_values_shapes_or_places_have_another_digest() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(100, 50)
    digest = digest_of_weights({"unet": layer, "scheduler": object()})
    assert digest == digest_of_weights({"unet": layer})
    torch.manual_seed(1)
    others = ({"unet": torch.nn.Linear(100, 50)}, {"unet": torch.nn.Linear(50, 100)})
    found = {digest, digest_of_weights({"vae": layer}), *map(digest_of_weights, others)}
    assert len(found) == 4
