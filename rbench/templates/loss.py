from rbench import hookimpl
from rbench.losses import DenseLoss, Loss


class MyLoss(Loss):
    name, summary = "my-loss", "⅛ ‖z − y‖², a normal distribution"
    # For one datum, in NumPy: `rbench verify` compares all that follows with it.
    dense = DenseLoss(
        value=lambda z, y: ((z - y) ** 2).sum() / 8,
        cotangent=lambda z, y: (z - y) / 4,
        mean=lambda z: z,
        draw=lambda random, z, samples: z[:, None] + 2 * random.standard_normal((len(z), samples, z.shape[1])),
    )

    # For batches, through backend.xp: z and y are (batch, d), or y is (batch,) labels.
    def values(self, backend, z, y):
        return backend.xp.sum((z - y) ** 2, axis=1) / 8

    def cotangents(self, backend, z, y):
        return (z - y) / 4

    def hessian_factor(self, backend, z):
        return 0.5 * backend.eye(z.shape[1]) + backend.xp.zeros_like(z)[:, :, None]

    def noise(self, generator, batch, samples, d):
        return generator.standard_normal((batch, samples, d))

    def sampled_factor(self, backend, z, noise):
        return noise / (2 * noise.shape[1] ** 0.5)

    def predictions(self, backend, z):
        return z


@hookimpl
def rbench_losses():
    return [MyLoss()]
