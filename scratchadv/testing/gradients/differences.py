"""Central differences, and the comparison of a gradient with them."""

from typing import NamedTuple

import numpy as np

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
"""Values of h in the order in which they are tried, multiplied by the largest entry of the array if that is over 1."""


class Checked(NamedTuple):
    """The result of a check.

    Attributes
    ----------
    compared : int
        The number of derivatives that were compared.
    skipped : int
        The number that were not, because f has a kink there.
    error : float
        The largest relative error.
    """

    compared: int
    skipped: int
    error: float


class Comparison:
    """The comparison of a case with the derivatives of S(x, θ) = <dz, f(x, θ)>."""

    def __init__(self, case, z, dz, tol):
        self.case = case
        self.z = z
        self.dz = dz
        self.tol = tol

    def array(self, i, hand, engine, samples, rng):
        """Compare the gradients in primal i."""
        floor = np.sqrt(np.mean(np.square(hand if engine is None else np.maximum(abs(hand), abs(engine)))))
        entries = list(rng.permutation(hand.size)[:samples])
        if engine is not None:
            apart = abs(hand - engine) - self.tol * np.maximum(floor, np.maximum(abs(hand), abs(engine)))
            entries = [k for k in np.argsort(-apart, axis=None)[:16] if apart.flat[k] > 0] + entries
        directions = [rng.standard_normal(hand.shape) for _ in range(-(-samples // 3))] if hand.size > 1 else []
        directions = [v / np.linalg.norm(v) for v in directions]
        errors = [self._at(i, hand, engine, floor, int(k)) for k in entries]
        errors += [self._along(i, hand, engine, floor, v) for v in directions]
        errors = [error for error in errors if error is not None]
        skipped = len(entries) + len(directions) - len(errors)
        if not errors:
            label = self.case.labels[i]
            raise AssertionError(
                f"{self.case.name}: f has kinks in all {skipped} directions of {label}; choose another {label}"
            )
        return Checked(len(errors), skipped, max(errors))

    def _at(self, i, hand, engine, floor, k):
        """Return the relative error at entry k, or None at a kink."""
        v = np.zeros(hand.shape)
        v.flat[k] = 1
        error, text = self._compare(i, hand, engine, floor, v)
        if error is not None and error > self.tol:
            index = [int(j) for j in np.unravel_index(k, hand.shape)]
            self._fail(i, f"at {index}" if index else "", error, text)
        return error

    def _along(self, i, hand, engine, floor, v):
        """Return the relative error along v, or None at a kink; if it is too large, halve v down to one wrong entry."""
        error, text = self._compare(i, hand, engine, floor, v)
        if error is None or error <= self.tol:
            return error
        part = v
        while np.count_nonzero(part) > 1:
            entries = np.flatnonzero(part)
            half = part.copy()
            half.flat[entries[: len(entries) // 2]] = 0
            wrong = (self._compare(i, hand, engine, floor, half)[0] or 0) > self.tol
            part = half if wrong else part - half
        self._at(i, hand, engine, floor, int(np.flatnonzero(part)[0]))
        return self._fail(i, "along a random direction", error, text)

    def _compare(self, i, hand, engine, floor, v):
        """Return the relative error of the derivatives along v, beyond rounding, and a text that shows them."""
        by_hand, by_engine = (None if g is None else float((g * v).sum()) for g in (hand, engine))
        size = max(abs(by_hand), abs(by_engine or 0), floor)
        slope, rounding = self._difference(i, v, size)
        if slope is None:
            return None, ""
        errors = [max(abs(by_hand - slope) - rounding, 0)]
        if by_engine is not None:
            errors.append(abs(by_hand - by_engine))
        words = [f"{by_hand:.6g} by hand", f"{slope:.6g} by central differences"]
        if by_engine is not None:
            words.insert(1, f"{by_engine:.6g} by the engine")
        size = max(size, abs(slope))
        return max(errors) / size if size else 0.0, ", ".join(words)

    def _difference(self, i, v, size):
        """Return the derivative of S in primal i along v and its rounding error; None for both at a kink."""
        primals = self.case.primals
        before, at, after = primals[:i], primals[i], primals[i + 1 :]
        for h in STEPS:
            h *= max(1.0, abs(at).max())
            with np.errstate(all="ignore"):  # a long step may leave the domain of f; shorter ones follow
                secant = {
                    k: (self.dz * (self.case.forward(*before, at + k * h * v, *after) - self.z)).sum() / (k * h)
                    for k in (-2, -1, 1, 2)
                }
            near = (secant[1] + secant[-1]) / 2
            far = (secant[2] + secant[-2]) / 2
            right = 2 * secant[1] - secant[2]
            left = 2 * secant[-1] - secant[-2]
            slope = (4 * near - far) / 3
            rounding = 64 * np.finfo(float).eps * (abs(self.dz) * abs(self.z)).sum() / h
            if max(abs(near - far), abs(right - left)) <= self.tol * max(size, abs(slope)) + rounding:
                return slope, rounding
        return None, None

    def _fail(self, i, where, error, text):
        what = " ".join(filter(None, ["the gradient in", self.case.labels[i], where]))
        raise AssertionError(f"{self.case.name}: {what} is {text}: relative error {error:.3g}, over {self.tol:g}")
