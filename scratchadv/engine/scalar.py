r"""Automatic differentiation of single numbers, on one page. ``tape.py`` does the same with arrays.

Whatever a program computes is a graph of small steps z = op(x, y, ...) whose derivatives are known. The chain rule
carries the derivative of the final result L from each z to the values that z was computed from:

.. math:: \frac{\partial L}{\partial x} = \sum_{z \text{ computed from } x}
          \frac{\partial L}{\partial z} \, \frac{\partial z}{\partial x}

>>> x, y = Value(2.0), Value(3.0)
>>> L = x * y + x**2
>>> L.backward()
>>> x.grad, y.grad  # y + 2 x and x
(7.0, 2.0)
"""

import math


class Value:
    """A number z that remembers what it was computed from: ``parents`` holds a pair (x, ∂z/∂x) for each such x."""

    def __init__(self, data, parents=()):
        self.data = data
        self.parents = parents
        self.grad = 0.0

    def __repr__(self):
        return f"Value({self.data})"

    def __add__(self, other):
        """z = x + y:  ∂z/∂x = 1,  ∂z/∂y = 1"""
        other = _value(other)
        return Value(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        """z = x y:  ∂z/∂x = y,  ∂z/∂y = x"""
        other = _value(other)
        return Value(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, p):
        """z = xᵖ for a number p:  ∂z/∂x = p xᵖ⁻¹"""
        return Value(self.data**p, ((self, p * self.data ** (p - 1) if p else 0.0),))

    def exp(self):
        """z = eˣ:  ∂z/∂x = eˣ = z"""
        z = math.exp(self.data)
        return Value(z, ((self, z),))

    def tanh(self):
        """z = tanh x:  ∂z/∂x = 1 − z²"""
        z = math.tanh(self.data)
        return Value(z, ((self, 1 - z * z),))

    def relu(self):
        """z = max(x, 0):  ∂z/∂x = 1 where x > 0, else 0"""
        return Value(max(self.data, 0.0), ((self, float(self.data > 0)),))

    # The other operators are made of these.
    __radd__, __rmul__, __neg__ = __add__, __mul__, lambda x: x * -1
    __sub__, __rsub__ = lambda x, y: x + y * -1, lambda x, y: y + -x
    __truediv__, __rtruediv__ = lambda x, y: x * _value(y) ** -1, lambda x, y: y * x**-1

    def backward(self):
        """Set ``x.grad`` to ∂L/∂x, where L is this value, for every x that it was computed from."""
        order = topological_order(self)
        for z in order:
            z.grad = 0.0
        self.grad = 1.0
        for z in reversed(order):  # everything computed from z has passed on its share: z.grad is complete
            for x, slope in z.parents:
                x.grad += z.grad * slope


def topological_order(output):
    """Return everything the output was computed from, parents first; a loop, as graphs are too deep for recursion."""
    order, entered, stack = {}, set(), [output]
    while stack:
        z = stack[-1]
        if z in entered:  # met before, so its parents are in the order by now
            order[stack.pop()] = None
        else:
            entered.add(z)
            stack.extend(x for x, _ in z.parents)
    return list(order)


def _value(x):
    return x if isinstance(x, Value) else Value(x)
