"""What a network that learns to learn is held against: learners that meet the examples of each episode one after the other."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuromorph.tasks.teachers import Examples


def ridge_errors(
    features: Float[Tensor, "examples batch n"], y: Float[Tensor, "examples batch"], penalty: float
) -> Float[Tensor, " examples"]:
    """Mean squared error on each example of ridge regression, with a bias, on those before it; on the first one of predicting 0."""
    x = torch.cat([features, torch.ones_like(features[..., :1])], -1).double()
    A = (penalty * torch.eye(x.shape[-1], dtype=x.dtype)).expand(x.shape[1], -1, -1)
    b, errors = torch.zeros(x.shape[1], x.shape[-1], dtype=x.dtype), list[Tensor]()
    for now, wanted in zip(x, y.double()):
        weights = torch.linalg.solve(A, b)
        errors.append(((weights * now).sum(-1) - wanted).square().mean())
        A = A + now.unsqueeze(2) * now.unsqueeze(1)
        b = b + now * wanted.unsqueeze(1)
    return torch.stack(errors)


def backprop_errors(shown: Examples, hidden: int, lr: float, generator: torch.Generator) -> Float[Tensor, " examples"]:
    """Mean squared error on each example of a network of one sigmoidal layer that learns from scratch, one step of Adam an example."""
    _, batch, n_in = shown.x.shape
    shapes = (batch, hidden, n_in), (batch, hidden), (batch, hidden), (batch,)
    w1, b1, w2, b2 = (nn.Parameter(0.1 * torch.randn(shape, generator=generator)) for shape in shapes)
    optimizer, errors = torch.optim.Adam([w1, b1, w2, b2], lr=lr), list[Tensor]()
    for x, y in zip(shown.x, shown.y):
        answer = (torch.sigmoid(torch.einsum("bi,bhi->bh", x, w1) + b1) * w2).sum(-1) + b2
        error = (answer - y).square()
        errors.append(error.detach().mean())
        optimizer.zero_grad()
        error.sum().backward()  # every episode has weights of its own
        optimizer.step()
    return torch.stack(errors)
