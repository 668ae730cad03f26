"""The network that changes images: a generator G, and how x' is computed from G(x)."""

from dataclasses import dataclass, field

from .... import checks
from ....backend import namespace
from ....checked import check_fields, each, one_of, whole
from ....models.network import Network
from ....numerics import rows, sigmoid
from ....parallel import map_chunks
from ....tasks import Classes

KINDS = ("perturbation", "autoencoding")


@dataclass(frozen=True)
class ATN:
    r"""A network that attacks: ``atn(x)`` returns the changed images x', and ``atn(x) - x`` is δ.

    .. math::
        \text{perturbation (P-ATN): } x' = \max(\tanh(x + G(x)), 0), \qquad
        \text{autoencoding (AAE): } x' = \frac{1}{1 + e^{-G(x)}}

    The maximum is not in the paper; it keeps the pixels of x' in [0, 1], because tanh(x + G(x)) may be negative.

    Parameters
    ----------
    generator : Network
        The network G, with P outputs for an example of P components. With ``classes`` its inputs are rows of P + K
        numbers: x, followed by the one-hot target.
    kind : {"perturbation", "autoencoding"}
        Which of the two formulas gives x'.
    classes : int
        The number K of classes if one network serves all targets, otherwise 0.
    losses : list of float
        The mean loss of each training epoch.

    Source: slides "Adversarial transformation networks"; Baluja and Fischer (2017), section 3.
    """

    generator: Network
    kind: str = "perturbation"
    classes: int = 0
    losses: list = field(default_factory=list)

    def __post_init__(self):
        check_fields(
            self, generator=checks.trainable, kind=one_of(*KINDS), classes=whole(0), losses=each(checks.number)
        )

    def __call__(self, x, target=None):
        """Return the changed images x', in [0, 1].

        Parameters
        ----------
        x : array, shape (N, *D)
            The images, in [0, 1].
        target : array, shape (N,), optional
            The labels to reach; needed if one network serves all targets, and refused otherwise.

        Returns
        -------
        array, shape (N, *D)
            The changed images, in the dtype of x.
        """
        x = images_in_unit_range("x", x)
        target = self.checked_target(x, target)
        return map_chunks(lambda x, target: (self._image(x, target),), self.generator, x, target)[0]

    def checked_target(self, x, target):
        """Return the target as int64; refuse a missing target, or one that the network cannot use."""
        if (target is None) == (self.classes > 0):
            raise ValueError("target is needed by a network for all targets, and only by such a network")
        if target is None:
            return None
        checks.one_side(x, target)
        return Classes(self.classes).check_labels(target, len(x), "target")

    def vjp_theta(self, x, target=None):
        """Return x', and the pullback from dx' to the gradients with respect to the parameters of the generator."""
        raw, pull = self.generator.vjp_theta(self._generator_input(x, target))
        image, slope = self.formed(x, raw)
        return image, lambda dx: pull(rows(dx * slope))

    def _image(self, x, target):
        return self.formed(x, self.generator.logits(self._generator_input(x, target)))[0]

    def _generator_input(self, x, target):
        """Return x, or rows of x and the one-hot target if one network serves all targets."""
        if not self.classes:
            return x
        xp = namespace(x)
        return xp.concatenate([rows(x), xp.eye(self.classes, dtype=x.dtype)[target]], axis=1)

    def formed(self, x, raw):
        """Return x', and its derivative with respect to G(x), component by component.

        Parameters
        ----------
        x : array, shape (N, *D)
            The images, in [0, 1].
        raw : array, shape (N, P)
            The outputs G(x), P numbers for an image of P components.

        Returns
        -------
        image : array, shape (N, *D)
            The changed images x'.
        slope : array, shape (N, *D)
            The derivatives.

        Raises
        ------
        ValueError
            If the generator does not have P outputs for an image.

        Source: Baluja and Fischer (2017), section 3.
        """
        if raw.size != x.size:
            raise ValueError(f"generator: it has {raw.shape[1]} outputs for each image; {x[0].size} were expected")
        xp = namespace(x)
        raw = raw.reshape(x.shape)
        if self.kind == "autoencoding":
            image = sigmoid(raw)
            return image, image * (1 - image)
        image = xp.tanh(x + raw)
        return xp.maximum(image, 0), (1 - image * image) * (image > 0)


def images_in_unit_range(name, value):
    """Return the images; refuse pixels outside [0, 1]."""
    x = checks.images(value, name)
    checks.inside_box(x, 0, 1)
    return x
