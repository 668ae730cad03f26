# %% [markdown]
# # 4. A tiny autodiff engine
#
# An attack needs $\nabla_x L$, training needs $\nabla_\theta L$. A program that computes $L$ can be made to compute
# both, at about the cost of a few more runs. This chapter takes apart the engine that does it.
#
# **You will learn**
#
# - why a gradient of $P$ components does not cost $P$ evaluations
# - that a program is a graph, and that the chain rule walks backward through it
# - what a pullback is, and how a table of them becomes an engine for arrays
# - how broadcasting is undone, and why no recursion is needed
# - what gradients of gradients are good for: curvature, and a penalty on the input gradient
#
# It goes with the slides "Creation of Adversarial Examples" (optimise the *input*) and "Projected Gradient Descent".
# They take the gradient $\nabla_\delta L(y, f(x + \delta \mid \theta))$ for granted.

# %%
import inspect
import re
import sys
import time

import numpy as np
from matplotlib.patches import Rectangle

from scratchadv import datasets
from scratchadv.attacks import pgd
from scratchadv.engine import grad, ops, scalar, tape, vjp
from scratchadv.engine.scalar import Value
from scratchadv.evaluate import accuracy_over_eps
from scratchadv.experiments.networks.training import quick
from scratchadv.losses import cross_entropy
from scratchadv.models import MLP
from scratchadv.models.protocol import predict
from scratchadv.sets import L2
from scratchadv.support import plots, show
from scratchadv.training.optim import Adam

data = datasets.load("auto")
print(data.source)
model = quick(data, "2-layer")

# %% [markdown]
# ## What a gradient costs
#
# A derivative is a limit of differences, so the simplest way to compute a gradient is to move every input a little:
#
# $$\frac{\partial L}{\partial x_j} \approx \frac{L(x + h e_j) - L(x - h e_j)}{2h}, \qquad j = 1, \ldots, P.$$
#
# That is $2P$ runs of the network for one gradient, and a step size $h$ to worry about. A digit has $P = 784$ pixels.
# One walk backward through the computation gives all components at once.


# %%
def by_differences(f, x, h=1e-5):
    """Return the gradient of f at one x, component by component."""
    g = np.zeros(x.size)
    for j in range(x.size):
        e = np.zeros(x.size)
        e[j] = h
        g[j] = (f(x + e.reshape(x.shape)) - f(x - e.reshape(x.shape))) / (2 * h)
    return g.reshape(x.shape)


def loss_at(x):
    """Return the loss of the network at one image."""
    return cross_entropy.value(model.logits(x), y).sum()


x, y = data.x_test[:1].astype(float), data.y_test[:1]
began = time.perf_counter()
slow = by_differences(loss_at, x)
middle = time.perf_counter()
z, pull = model.vjp_x(x)
fast = pull(cross_entropy.grad(z, y))
ended = time.perf_counter()

show.table(
    ["gradient in the 784 pixels, one image", "milliseconds", "runs of the network"],
    [
        ["central differences", f"{1e3 * (middle - began):.1f}", 2 * x.size],
        ["once forward, once backward", f"{1e3 * (ended - middle):.2f}", "1, and 1 backward"],
    ],
)
print(f"largest difference between the two: {abs(slow - fast).max():.1e}, largest entry: {abs(fast).max():.1e}")

# %% [markdown]
# ## A program is a graph
#
# Whatever a program computes, it computes in small steps $z = \mathrm{op}(x, y, \ldots)$ whose derivatives are in
# every textbook. Each number remembers what it was computed from, and the slope $\partial z / \partial x$ with
# respect to each of those numbers. That is all that `Value` is: a number, its parents with the slopes, and a place
# for the gradient.

# %%
show.source(Value.__init__, Value.__mul__, Value.tanh)

# %% [markdown]
# Here is a neuron whose output should equal its one input: $L = (\tanh(\theta x + \theta_0) - x)^2$. Note that $x$ is
# used twice.

# %%
x, theta, theta0 = Value(1.0), Value(-1.0), Value(0.5)
m = theta * x
z = m + theta0
t = z.tanh()
n = -x
d = t + n
L = d**2
L.backward()

places = {
    theta: ("θ", 0, 1),
    x: ("x", 0, -1),
    m: ("m = θ x", 1, 0.5),
    theta0: ("θ0", 1, 1.6),
    z: ("z = m + θ0", 2, 1),
    t: ("t = tanh z", 3, 0.6),
    n: ("n = −x", 3, -1),
    d: ("d = t + n", 4, 0),
    L: ("L = d²", 5, 0),
}
figure, axes = plots.figure_with_axes(size=(11.0, 4.4))
axis = axes[0, 0]
plain = {"facecolor": "white", "edgecolor": "none", "pad": 1}
for z, (name, column, row) in places.items():
    axis.add_patch(Rectangle((column - 0.31, row - 0.33), 0.62, 0.66, facecolor="white", edgecolor="#2166ac", lw=1.5))
    axis.text(column, row + 0.08, f"{name}\n{z.data:.3f}", ha="center", va="center", fontsize=11)
    axis.text(column, row - 0.22, f"gradient {z.grad:.3f}", ha="center", va="center", fontsize=9, color=plots.WRONG)
    for parent, slope in z.parents:
        if parent in places:
            _, left, low = places[parent]
            ends = {"xy": (column - 0.31, row + (low - row) / 10), "xytext": (left + 0.31, low)}
            axis.annotate("", **ends, arrowprops={"arrowstyle": "->", "color": "0.5", "lw": 1.5})
            where = (left + column) / 2 + 0.02, (low + row) / 2
            axis.text(*where, f"{slope:.2f}", ha="center", va="center", fontsize=9, bbox=plain)
axis.set(xlim=(-0.4, 5.4), ylim=(-1.5, 2.1), title="values, slopes on the arrows, and each gradient ∂L/∂· (red)")
axis.axis("off")
show.figure(figure, "04_graph", "The graph of one neuron with values, slopes and gradients")

# %% [markdown]
# Read it from the right. $\partial L / \partial L = 1$. Every gradient is the sum, over the arrows that leave its node,
# of the gradient at the arrow's head times the slope on the arrow. The input $x$ has two arrows, so two terms:
#
# $$\frac{\partial L}{\partial x} = \sum_{z \text{ computed from } x}
#   \frac{\partial L}{\partial z} \frac{\partial z}{\partial x}.$$
#
# Training needs the gradient in $\theta$, and an attack needs the gradient in $x$. The same walk gives both.

# %% [markdown]
# **Exercise 4.1.** Take $u = 2$, $v = -1$ and $L = u v + \exp(u)$. Draw the graph and find both gradients by hand. Then
# ask `Value`.

# %% tags=["answer"]
u, v = Value(2.0), Value(-1.0)
(u * v + u.exp()).backward()
assert np.allclose([u.grad, v.grad], [-1 + np.exp(2), 2])
print(f"∂L/∂u = v + exp(u) = {u.grad:.4f},  ∂L/∂v = u = {v.grad:.4f}")

# %% [markdown]
# ## Topological order without recursion
#
# A node may pass on its gradient only when that gradient is complete: when everything that was computed from the node
# has added its share. So we sort the nodes with parents before children, and walk through that order from the end.

# %%
show.source(Value.backward, scalar.topological_order)

# %% [markdown]
# Textbooks compute that order with a recursive function. Python limits the depth of recursion, and graphs are deep:
# an attack of 40 steps through a network of ten layers is a chain of about a thousand operations. So the library
# computes the order in a loop with a stack.
#
# The order matters for speed too. If $x_{k+1} = x_k + x_k$, there are $2^k$ paths from $x_0$ to $x_k$. A sum over
# paths would never finish. A sum over edges takes $2k$ additions.

# %%
print("Python stops recursion at depth", sys.getrecursionlimit())
x = Value(1.0)
z = x
for _ in range(100_000):
    z = z + 1e-5
z.backward()
print("a chain of 100,000 additions: ∂z/∂x =", x.grad)

x = Value(1.0)
z = x
for _ in range(60):
    z = z + z
z.backward()
print(f"60 doublings, {2**60:,} paths: ∂z/∂x = {x.grad:,.0f}")

# %% [markdown]
# **Exercise 4.2.** `Value` has no logarithm. Add one, and with it the slides' $\Psi(m) = \log(1 + \exp(-m))$. Check a
# formula from the chapter on linear models: $\Psi'(m) = -\tau(-m)$.


# %% tags=["answer"]
def log(x):
    """Return the natural logarithm, whose slope is 1/x."""
    return Value(np.log(x.data), ((x, 1 / x.data),))


for at in (-2.0, 0.0, 3.0):
    m = Value(at)
    log(1 + (-m).exp()).backward()
    assert np.isclose(m.grad, -1 / (1 + np.exp(at)))
print("Ψ' is −τ(−m) at all three points")

# %% [markdown]
# ## The same for arrays
#
# For arrays the slope $\partial z / \partial x$ is a Jacobian, one number for each pair of entries. It is never
# built. The backward walk needs only its *pullback*, the linear map
#
# $$g = \frac{\partial L}{\partial z} \quad \longmapsto \quad
#   g^T \frac{\partial z}{\partial x} = \frac{\partial L}{\partial x}.$$
#
# One way to derive a pullback always works. Move $x$ by $dx$, write the change of $L$ as $\langle g, dz \rangle$, and
# rearrange until it reads $\langle \text{something}, dx \rangle$. For a matrix product $Z = X Y$:
#
# $$\langle G, dX\, Y \rangle = \mathrm{tr}(G^T dX\, Y) = \mathrm{tr}(Y G^T dX) = \langle G\, Y^T, dX \rangle,$$
#
# so the pullback to $X$ is $G \mapsto G Y^T$; its result has the shape of $X$, as it must. An elementwise $z = h(x)$
# gives $\langle g, h'(x)\, dx \rangle = \langle g\, h'(x), dx \rangle$. An operation of the engine is a function with
# such a rule for each argument:

# %%
show.source(tape.operation)

# %% [markdown]
# `vjp` (vector–Jacobian product) runs a function once and returns its value and the pullback of the whole function.
# `grad` is the special case of a scalar result, where the cotangent is 1.

# %%
show.source(tape.vjp)

# %%
X, Y, G = (np.random.default_rng(i).normal(size=shape) for i, shape in enumerate([(2, 3), (3, 4), (2, 4)]))
_, pull = vjp(lambda x, y: x @ y, X, Y)
by_x, by_y = pull(G)
assert np.allclose(by_x, G @ Y.T)
assert np.allclose(by_y, X.T @ G)
print("shapes of the gradients:", by_x.shape, by_y.shape)

# %% [markdown]
# ## The table of rules
#
# This is the first part of `ops.py`, as it stands in the library. In a rule `g` is $\partial L / \partial z$ and `z`
# is the value itself: the slope of $\exp$ is its own value, that of $\tanh$ is $1 - z^2$.

# %%
table = [
    line for line in inspect.getsource(ops).splitlines() if re.match(r"\w+ += (elementwise|operation)\(.*lambda", line)
]
print("\n".join(table))

# %% [markdown]
# The rest of the file is sums and copies, picking and placing, matrix products and convolutions. Look for pairs: what
# is copied forward is summed backward, and what is picked forward is placed backward. A pullback is the adjoint of
# the linear map from $dx$ to $dz$, and the adjoint of the adjoint is the original map.

# %% [markdown]
# **Exercise 4.3.** Add the arctangent to the table, $\partial z / \partial x = 1 / (1 + x^2)$, and check its first and
# its second derivative, $-2x / (1 + x^2)^2$.

# %% tags=["answer"]
arctan = ops.elementwise("arctan", "arctan x", lambda z, x: 1 / (1 + x * x))
first, second = grad(arctan), grad(grad(arctan))
assert np.isclose(first(0.5), 1 / 1.25)
assert np.isclose(second(0.5), -1 / 1.25**2)
print("arctan' and arctan'' at 0.5:", first(0.5), second(0.5))

# %% [markdown]
# ## Broadcasting undone
#
# In $z = x W + b$ the bias is one row, and NumPy silently copies it for each example. A copy is an operation like any
# other: with $z_i = b$ for each $i$, $\langle g, dz \rangle = \sum_i \langle g_i, db \rangle$, so the pullback adds
# the rows of $g$. The engine does this after every rule, in one place:

# %%
show.source(tape.undo_broadcasting)

# %%
g = np.arange(6.0).reshape(3, 2)
_, pull = vjp(lambda x, b: x + b, np.zeros((3, 2)), np.zeros(2))
print("the cotangent:\n", g, "\nthe gradient in the bias, the sum of its rows:", pull(g)[1])

# %% [markdown]
# **Exercise 4.4.** A student writes the pullback to $b$ in $z = x + b$ as the *mean* of the rows of $g$. The shape is
# right, and training still more or less works. Which law, tested with a random cotangent, finds the error?

# %% [markdown] tags=["answer"]
# The adjoint law $\langle g, dz \rangle = \langle \mathrm{pull}(g), db \rangle$ for all $g$ and $db$. The mean is
# wrong by a factor of $N$. Training survives because the mistake only makes the steps of the bias $N$ times shorter.

# %% tags=["answer"]
db = np.array([1.0, -2.0])
assert np.isclose((g * np.broadcast_to(db, g.shape)).sum(), (pull(g)[1] * db).sum())
assert not np.isclose((g * np.broadcast_to(db, g.shape)).sum(), (g.mean(axis=0) * db).sum())

# %% [markdown]
# ## Gradients of gradients
#
# The rules of the table are written with the operations of the table. So a gradient is itself a program of known
# steps and can be differentiated again. The first use of this is curvature. The Hessian $H$ of the loss with respect
# to 784 pixels has 614,656 entries, but its product with a vector can be computed without any of them:
#
# $$H v = \nabla_x \langle \nabla_x L(x), v \rangle.$$


# %%
def network(theta, x):
    """Return the logits of the 2-layer network, as a function of tensors."""
    w1, b1, w2, b2 = theta
    return ops.relu(x.reshape(len(x), 784) @ w1 + b1) @ w2 + b2


def cross_entropies(z, y):
    """Return the loss of each example, as a function of tensors."""
    return ops.log_sum_exp(z)[:, 0] - z[np.arange(len(y)), y]


theta = [value.astype(float) for value in model.params.values()]
uncertain = np.argsort(-cross_entropy.value(model.logits(data.x_test[:500]), data.y_test[:500]))[3]
x, y = data.x_test[uncertain][None].astype(float), data.y_test[uncertain][None]


def f(x):
    """Return the loss of that image as a function of its pixels."""
    return cross_entropies(network(theta, x), y).sum()


def hessian_vector(x, v):
    """Return H v: the gradient of a gradient."""
    return grad(lambda x: (grad(f)(x) * v).sum())(x)


v = np.random.default_rng(0).normal(size=x.shape)
for _ in range(20):  # power iteration finds the direction in which the loss bends the most
    v /= np.linalg.norm(v)
    bent = hessian_vector(x, v)
    v, curvature = bent, float((v * bent).sum())
v /= np.linalg.norm(v)
g = grad(f)(x)
h = 1e-5
assert np.allclose((grad(f)(x + h * v) - grad(f)(x - h * v)) / (2 * h), hessian_vector(x, v), atol=1e-4 * curvature)
print(f"the largest curvature: {curvature:.3f}; H v agrees with a difference of two gradients")

# %% [markdown]
# The figure shows the loss along that direction, starting at a misclassified test image. The line is what the
# gradient predicts, and the parabola adds the curvature. FGSM trusts the line; PGD computes a new one after each
# step.

# %%
steps = np.linspace(-1.5, 1.5, 121)
truth = np.array([float(cross_entropy.value(model.logits(x + s * v), y)[0]) for s in steps])
slope = float((g * v).sum())
start = truth[60]

figure, axes = plots.figure_with_axes(1, 2, size=(5.0, 3.6), width_ratios=[1, 1.5])
plots.show_image(axes[0, 0], v[0], limits=(-abs(v).max(), abs(v).max()), cmap="RdBu_r")
axes[0, 0].set_title("the direction v of largest curvature")
axis = axes[0, 1]
axis.plot(steps, truth, color="black", lw=2.5, label="L(x + s v)")
axis.plot(steps, start + slope * steps, "--", color="#2166ac", label="line: L + s ⟨∇L, v⟩")
axis.plot(steps, start + slope * steps + curvature * steps**2 / 2, "--", color=plots.WRONG, label="… + s² ⟨v, Hv⟩ / 2")
axis.set(
    xlabel="s (ℓ2 length)", ylabel="loss", title="2-layer net, one uncertain test image", ylim=(-0.5, truth.max() + 1)
)
axis.grid(alpha=0.25)
axis.legend(fontsize=9, frameon=False)
show.figure(figure, "04_curvature", "The loss along the direction of largest curvature, its tangent and its parabola")

# %% [markdown]
# **Exercise 4.5.** A Hessian is symmetric. Which law must `hessian_vector` satisfy? Test it with three random pairs
# of vectors.

# %% tags=["answer"]
rng = np.random.default_rng(1)
for _ in range(3):
    u, w = rng.normal(size=(2, *x.shape))
    assert np.isclose((u * hessian_vector(x, w)).sum(), (w * hessian_vector(x, u)).sum())
print("⟨u, H w⟩ = ⟨w, H u⟩")

# %% [markdown]
# ## Input-gradient regularisation
#
# To first order an attack with $\|\delta\|_2 \leq \epsilon$ raises the loss by $\epsilon \|\nabla_x L\|_2$, because
# this is the largest value of $\langle \nabla_x L, \delta \rangle$. So we can train against small changes without any
# attack, by adding a penalty:
#
# $$\min_\theta \frac{1}{N} \sum_i L(y_i, f(x_i \mid \theta)) + \lambda \| \nabla_x L(y_i, f(x_i \mid \theta)) \|_2^2.$$
#
# Its gradient in $\theta$ contains a gradient of a gradient, and the engine needs nothing new for it.


# %%
def penalised(x, y, weight, *theta):
    """Return the mean loss plus the penalty on its gradient in x."""

    def total(x):
        return cross_entropies(network(theta, x), y).sum()

    objective = total(x)
    if weight:
        objective = objective + weight * (grad(total)(x) ** 2).sum()
    return objective / len(x)


def train(x, y, weight, steps=100):
    """Train the network 784-50-10 by Adam on all images at once, and return it."""
    net = MLP((784, 50, 10))
    adam = Adam(0.01)
    state = adam.start(net.params)
    for _ in range(steps):
        _, pull = vjp(lambda *theta: penalised(x, y, weight, *theta), *net.params.values())
        net.params, state = adam.step(net.params, dict(zip(net.params, pull(1.0), strict=True)), state)
    return net


nets = {weight: train(data.x_train[:1000], data.y_train[:1000], weight) for weight in (0, 3)}
x, y = data.x_test[:200], data.y_test[:200]
grid = np.linspace(0, 1.5, 6)
lines = []
rows = []
for (weight, net), color in zip(nets.items(), (plots.WRONG, plots.RIGHT), strict=True):
    z, pull = net.vjp_x(x)
    lengths = L2.norm(pull(cross_entropy.grad(z, y)))
    rows.append([f"λ = {weight}", f"{(predict(net, x) != y).mean():.3f}", f"{lengths.mean():.3f}"])
    stands = accuracy_over_eps(net, x, y, [L2(eps) for eps in grid], [pgd]).accuracy
    lines.append((f"λ = {weight}", stands, {"color": color, "marker": "o"}))
figure = plots.curves(grid, lines, "ε (ℓ2, no box)", "accuracy under PGD-40, 200 test images")
show.figure(figure, "04_penalty", "Accuracy over ε of the same network without and with the penalty")
print("MLP 784-50-10, 1,000 training images, 100 steps of Adam; 200 test images")
show.table(["", "clean error", "mean length of ∇ₓL"], rows)

# %% [markdown]
# The penalty flattens the loss *at* the images, and training with it needed no attack. Chapter 7 trains against the
# perturbations themselves, and chapter 9 shows how a flat loss can also deceive an attacker.

# %% [markdown]
# **Exercise 4.6.** The engine walks backward. Some questions need the forward direction, the Jacobian–vector product
# $J v$. Show that two pullbacks give it: for a fixed $x$ the map $g \mapsto J^T g$ is linear, and its own pullback is
# $v \mapsto J v$. Do it for $f(x) = (x_1 x_2, \exp x_1, x_2^2)$.


# %% tags=["answer"]
def forward(f, x, v):
    """Return J v by two pullbacks."""
    value, _ = vjp(f, x)
    _, pull_of_pull = vjp(lambda g: vjp(f, x)[1](g)[0], np.zeros_like(value))
    return pull_of_pull(v)[0]


def curve(x):
    """Return (x₁ x₂, exp x₁, x₂²)."""
    return ops.stack([x[0] * x[1], ops.exp(x[0]), x[1] ** 2])


at, v = np.array([0.5, 2.0]), np.array([1.0, -1.0])
jacobian = np.array([[2.0, 0.5], [np.exp(0.5), 0.0], [0.0, 4.0]])
assert np.allclose(forward(curve, at, v), jacobian @ v)
print("J v =", forward(curve, at, v))

# %% [markdown]
# The engine is one way to compute a gradient. The next chapter derives the gradients of a network by hand and lets
# the two ways check each other.
