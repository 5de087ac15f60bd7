"""A dense float64 oracle that shares nothing with rbench but a network's forward pass and the host's random numbers.

Jacobians come from complex steps through `net.apply`; losses and metrics are written out by hand, datum by datum.
Blocks are flat here: the weight in C order, then the bias.
"""

import numpy as np

from rbench.random import generator

STEP = 1e-30


def flat(block):
    return np.concatenate([np.asarray(block[name], np.float64).ravel() for name in ("weight", "bias") if name in block])


def jacobians(net, params, x, backend):
    """For every layer, the Jacobian (batch, d, n) of the outputs with respect to its flat block."""
    return [_jacobian(net, params, x, backend, index) for index in range(len(params))]


def _jacobian(net, params, x, backend, index):
    columns = []
    for name in ("weight", "bias"):
        for place in np.ndindex(params[index][name].shape) if name in params[index] else ():
            moved = params[index][name].astype(complex)
            moved[place] += STEP * 1j
            changed = (*params[:index], {**params[index], name: moved}, *params[index + 1 :])
            columns.append(net.apply(backend, changed, x).imag / STEP)
    return np.stack(columns, axis=2)


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def value(loss, z, y):
    """The loss of one datum, z (d,); holomorphic in z, for complex steps."""
    return {
        "cross_entropy": lambda: np.log(np.exp(z).sum()) - z[y],
        "squared_error": lambda: ((z - y) ** 2).sum() / 2,
        "binary_cross_entropy": lambda: (np.log(1 + np.exp(z)) - y * z).sum(),
    }[loss]()


def cotangent(loss, z, y):
    return {
        "cross_entropy": lambda: softmax(z) - np.eye(len(z))[y],
        "squared_error": lambda: z - y,
        "binary_cross_entropy": lambda: sigmoid(z) - y,
    }[loss]()


def hessian(loss, z):
    return {
        "cross_entropy": lambda: np.diag(softmax(z)) - np.outer(softmax(z), softmax(z)),
        "squared_error": lambda: np.eye(len(z)),
        "binary_cross_entropy": lambda: np.diag(sigmoid(z) * (1 - sigmoid(z))),
    }[loss]()


def sampled_rows(loss, z, rank, seed):
    """∂ℓ(z, ŷ)/∂z for `rank` targets a datum, (batch, rank, d), drawn by inverting distribution functions."""
    random = generator(seed, "samples")
    batch, d = z.shape
    if loss == "squared_error":
        return random.standard_normal((batch, rank, d))
    if loss == "binary_cross_entropy":
        uniform = random.random((batch, rank, d))
        return np.stack([sigmoid(z[b]) - (uniform[b] < sigmoid(z[b])) for b in range(batch)])
    uniform = random.random((batch, rank))
    labels = [np.searchsorted(np.cumsum(softmax(z[b])), uniform[b], side="right") for b in range(batch)]
    return np.stack([[cotangent(loss, z[b], label) for label in labels[b]] for b in range(batch)])


def output_metrics(metric, loss, z, y, rank=1, seed=0):
    """The metric of every datum, (batch, d, d)."""
    batch, d = z.shape
    if not isinstance(metric, str):
        return np.stack([metric] * batch)
    if metric == "ggn_mc":
        rows = sampled_rows(loss, z, rank, seed)
        return np.einsum("bki,bkj->bij", rows, rows) / rank
    one = {
        "identity": lambda z, y: np.eye(d),
        "ggn": lambda z, y: hessian(loss, z),
        "empirical_fisher": lambda z, y: np.outer(cotangent(loss, z, y), cotangent(loss, z, y)),
        "true_vs_rest": lambda z, y: true_vs_rest(z, y),
    }[metric]
    return np.stack([one(z[b], y[b]) for b in range(batch)])


def true_vs_rest(z, y):
    p = softmax(z)
    row = p - np.eye(len(z))[y]
    return p[y] / (1 - p[y]) * np.outer(row, row)


def layer_metric(jacobian, metrics, mass, treatment):
    """G = M + the batch's mean of J_bᵀ G_b J_b, or J̄ᵀ Ḡ J̄; `mass` is the diagonal (n,)."""
    if treatment == "mean":
        mean = jacobian.mean(axis=0)
        return np.diag(mass) + mean.T @ metrics.mean(axis=0) @ mean
    parts = [j.T @ g @ j for j, g in zip(jacobian, metrics, strict=True)]
    return np.diag(mass) + sum(parts) / len(parts)


def gradient(jacobian, loss, z, y):
    """Gradient (n,) of the mean loss."""
    return sum(jacobian[b].T @ cotangent(loss, z[b], y[b]) for b in range(len(z))) / len(z)


def draw_mass(kind, layers, rng):
    """A mass as a user gives it, and its flat diagonal for every layer, written down a second time."""
    if kind == "scalar":
        return 0.3, [np.full(layer.n_parameters, 0.3) for layer in layers]
    pairs = [_draw_entry(kind, layer.fan_out, layer.fan_in, layer.bias, rng) for layer in layers]
    return [entry for entry, _ in pairs], [diagonal for _, diagonal in pairs]


def _draw_entry(kind, fan_out, fan_in, bias, rng):
    row, column = rng.uniform(0.5, 2, fan_out), rng.uniform(0.2, 1, fan_in + bias)
    if kind == "list":
        return float(row[0]), np.full(fan_out * (fan_in + bias), row[0])
    full = np.outer(row, column) if kind == "pair" else rng.uniform(0.1, 2, (fan_out, fan_in + bias))
    weight, last = full[:, :fan_in], full[:, fan_in:].ravel()
    diagonal = np.concatenate([weight.ravel(), last])
    block = {"weight": weight, "bias": last} if bias else {"weight": weight}
    return {"pair": (row, column), "full": full, "flat": diagonal, "dict": block}[kind], diagonal
