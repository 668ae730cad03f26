# %% [markdown]
# # 5. Gradients by hand
#
# A network is a chain of a few kinds of layers. The gradient of each fits on one line. Once you have derived it, you
# know what an attack really does and what it costs.
#
# **You will learn**
#
# - why the gradient in the input and the gradient in the parameters need two different pullbacks
# - the derivations for dense layers, ReLU, convolution and pooling
# - how three ways to compute a gradient check each other, and what the check reports when one is wrong
# - where NumPy spends its time in a network
#
# It goes with the section "Neural Networks" of the slides: the networks that "Projected Gradient Descent" attacks.

# %%
import time

import numpy as np

from scratchadv import datasets, layers
from scratchadv.engine import ops
from scratchadv.kernels import conv as kernel
from scratchadv.kernels import pool
from scratchadv.losses import cross_entropy
from scratchadv.models import CNN, MLP, Network, Taped
from scratchadv.models.protocol import loss_and_gradient
from scratchadv.support import plots, show
from scratchadv.support.blas import one_blas_thread
from scratchadv.testing import check_gradients

data = datasets.load("auto")
print(data.source)
rng = np.random.default_rng(0)

# %% [markdown]
# ## Neural networks
#
# A network $f(x \mid \theta)$ is a chain $x \to h_1 \to h_2 \to \cdots \to z$. Each layer maps $h$ and its own
# parameters to the next $h$; the last layer gives the logits $z$. The loss is a function of $z$ and $y$. For
# cross-entropy
#
# $$L(y, z) = \log \sum_k e^{z_k} - z_y, \qquad \nabla_z L = p - e_y, \quad p = \mathrm{softmax}(z).$$
#
# This is where every backward walk begins. The entries of $\nabla_z L$ sum to zero, because adding the same number to
# all logits does not change $L$.

# %%
show.source(type(cross_entropy).grad)

# %% [markdown]
# ## Two pullbacks
#
# For one layer $z = \ell(x, \theta)$ there are two questions. How does $L$ change with the *input*, and how does it
# change with the *parameters*? Given $dz = \partial L / \partial z$ (the name in the code), these are two linear
# maps:
#
# $$dz \mapsto dx = \frac{\partial z}{\partial x}^T dz, \qquad
#   dz \mapsto d\theta = \frac{\partial z}{\partial \theta}^T dz.$$
#
# The first map continues the walk to the layer below. The second is a side branch that ends at the parameters. So
#
# - an **attack** follows the first map down to the pixels, $\nabla_x L$, and needs no side branch at all;
# - **training** needs all side branches, $\nabla_\theta L$, and stops above the pixels, because the input of the
#   first layer is not trained.
#
# There is one more difference. $dx$ has one row for each example, because the examples do not interact. $d\theta$ is
# a sum over the examples, because they share $\theta$. A model has one method for each:

# %%
show.source(Network.vjp_x, Network.vjp_theta)

# %% [markdown]
# ## Dense layers
#
# $z = x W + b$, with one row for each example. Move everything a little: $d(z) = d(x)\, W + x\, d(W) + d(b)$. Then,
# with $\langle A, B \rangle = \mathrm{tr}(A^T B)$,
#
# $$\begin{aligned}
# \langle dz, d(x)\, W \rangle &= \langle dz\, W^T, d(x) \rangle, \\
# \langle dz, x\, d(W) \rangle &= \langle x^T dz, d(W) \rangle, \\
# \langle dz, 1\, d(b) \rangle &= \langle \sum_n dz_n, d(b) \rangle.
# \end{aligned}$$

# %%
show.source(layers.Dense.forward, layers.Dense.input_gradient, layers.Dense.parameter_gradient)

# %% [markdown]
# **Exercise 5.1.** Do it without looking at the formulas, for three examples with four features and two outputs.
# Which shapes do $dz\, W^T$, $x^T dz$ and $\sum dz$ have? Check the numbers by moving one entry of $W$.

# %% tags=["answer"]
x, w, dz = rng.normal(size=(3, 4)), rng.normal(size=(4, 2)), rng.normal(size=(3, 2))
assert (dz @ w.T).shape == x.shape
assert (x.T @ dz).shape == w.shape
moved = w.copy()
moved[1, 0] += 1e-6
assert np.isclose(((x @ moved - x @ w) * dz).sum() / 1e-6, (x.T @ dz)[1, 0])
print((dz @ w.T).shape, (x.T @ dz).shape, dz.sum(axis=0).shape)

# %% [markdown]
# ## ReLU
#
# $y = \max(z, 0)$ works entry by entry, so its pullback is $dz = dy \cdot [z > 0]$. At $z = 0$ there is a kink and no
# derivative; the library takes 0. Note what the layer saves for the backward pass: its *output*, which is as
# informative as its input here and which the next layer has to keep anyway. Both passes work in place, in memory that
# the network owns.

# %%
show.source(layers.ReLU)

# %% [markdown]
# **Exercise 5.2.** Write a layer for the leaky ReLU, $y = z$ for $z > 0$ and $y = z / 10$ otherwise, and check it
# with `check_gradients`.


# %% tags=["answer"]
class LeakyReLU(layers.Layer):
    """A layer that returns z where z is positive, and a tenth of it elsewhere."""

    def forward(self, params, z):
        """Return the outputs, of the shape of z, and the slopes."""
        slope = np.where(z > 0, 1, 0.1)
        return slope * z, slope

    def input_gradient(self, params, slope, dy):
        """Return the slope times dy."""
        return slope * dy


print(check_gradients(LeakyReLU(), rng.normal(size=(5, 7))))

# %% [markdown]
# ## Convolution
#
# A window moves over the image and is multiplied by the same kernel $w$ at every place. With stride $s$ and padding
# $q$,
#
# $$z_{n,o,p,f} = \sum_{i,j,c} x_{n,\, so+i-q,\, sp+j-q,\, c}\; w_{i,j,c,f}.$$
#
# It is linear in $x$ and linear in $w$. A linear map of images is a matrix, large and mostly zero, and its pullback
# is the transposed matrix. Here is that matrix for images of 6 × 6 pixels: each column is the output for an image
# with a single bright pixel. The same nine numbers appear in every row, except those that fall into the padding.

# %%
w = np.arange(1.0, 10.0).reshape(3, 3, 1, 1)
units = np.eye(36).reshape(36, 6, 6, 1)
matrix = kernel.conv(units, w, padding=1).reshape(36, 36).T
adjoint = kernel.conv_input_gradient(units, w, (6, 6), padding=1).reshape(36, 36).T
assert np.array_equal(adjoint, matrix.T)

figure, axes = plots.figure_with_axes(1, 3, size=(4.0, 4.2), width_ratios=[0.5, 1, 1])
pictures = ("kernel w", w[:, :, 0, 0]), ("conv(·, w) as a matrix", matrix), ("conv_input_gradient(·, w)", adjoint)
for axis, (title, picture) in zip(axes[0], pictures, strict=True):
    plots.show_image(axis, picture, limits=(0, 9), cmap="Blues")
    axis.set_title(title)
figure.suptitle("images 6 × 6, one channel, kernel 3 × 3, stride 1, padding 1: the pullback is the transpose")
show.figure(
    figure, "05_convolution_matrix", "A convolution as a sparse matrix, and its pullback as the transposed matrix"
)

# %% [markdown]
# In words: in the forward pass, every *window* sums over its pixels. In the backward pass, every *pixel* sums over
# the windows that contain it, each weighted by the kernel's entry at the pixel's place in that window. Entry $(i, j)$
# of the kernel's gradient sums over all windows: it multiplies the pixel at place $(i, j)$ of the window by the $dz$
# of that window.
#
# $$dw_{i,j,c,f} = \sum_{n,o,p} x_{n,\, so+i-q,\, sp+j-q,\, c}\; dz_{n,o,p,f}.$$
#
# If the windows are copied into the rows of a matrix (im2col), each of the two passes becomes one matrix product,
# which NumPy computes fast:

# %%
show.source(kernel.by_windows, kernel.kernel_gradient_by_windows)

# %%
x, w = rng.normal(size=(2, 7, 7, 3)), rng.normal(size=(3, 3, 3, 4))
z = kernel.conv(x, w, stride=2, padding=1)
dz = rng.normal(size=z.shape)
by_x, by_w = kernel.conv_input_gradient(dz, w, (7, 7), 2, 1), kernel.conv_kernel_gradient(x, dz, (3, 3), 2, 1)
three = [(dz * z).sum(), (by_x * x).sum(), (by_w * w).sum()]
assert np.allclose(three, three[0])
print("⟨dz, x ∗ w⟩ = ⟨dx, x⟩ = ⟨dw, w⟩:", three[0])

# %% [markdown]
# The equality in the last line is a law for every map that is linear in $x$ and in $w$. It makes a good test, because
# it needs no step size and no tolerance for kinks.

# %% [markdown]
# **Exercise 5.3.** A convolution with kernel 2 × 2, stride 3 and no padding leaves gaps. Which pixels of a 6 × 6
# image have a zero input gradient for every loss? What does that mean for an attacker?

# %% tags=["answer"]
reached = kernel.conv_input_gradient(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1)), (6, 6), stride=3)[0, :, :, 0]
print(reached.astype(int))
assert (reached[2::3] == 0).all()
assert (reached[:, 2::3] == 0).all()

# %% [markdown] tags=["answer"]
# No window covers every third row and every third column. An attacker gains nothing there, and any change there
# increases the norm in vain.

# %% [markdown]
# ## Pooling
#
# Max pooling passes on the largest entry of each window. As long as the same entry stays the largest, this picks one
# entry, so the pullback places $dz$ where the largest entries were and zero elsewhere. Average pooling is linear:
# each of the $k^2$ entries gets the share $dz / k^2$.

# %%
show.source(pool.max_pool_input_gradient, pool.average_pool_input_gradient)

# %%
x = rng.permutation(np.arange(16.0)).reshape(1, 4, 4, 1)
z, winner = pool.max_pool(x, 2, 2)
dz = np.array([10.0, 20, 30, 40]).reshape(z.shape)
print(x[0, :, :, 0], "\nthe maxima:\n", z[0, :, :, 0], "\ndz placed where they were:")
print(pool.max_pool_input_gradient(dz, winner, x.shape, 2, 2)[0, :, :, 0])

# %% [markdown]
# ## Three ways to check
#
# A wrong gradient does not crash. Training becomes a little worse, and an attack becomes weak, which looks like a
# robust model. So each gradient is computed in three ways: by hand, by the engine of chapter 4, and by differences.
# We compare the derivatives of the number $S = \langle dz, f(x, \theta) \rangle$ for a random $dz$.
#
# Differences have an error of their own. If the step $h$ is too long, the curvature of the function matters; if it is
# too short, rounding does. Here is the error over $h$ for one pixel of a small, untrained tanh network:

# %%
net = MLP((784, 30, 10), "tanh", dtype=float)
x, y = data.x_test[:1].astype(float), data.y_test[:1]
_, g = loss_and_gradient(net, cross_entropy, x, y)
pixel = np.zeros(x.size)
pixel[abs(g).argmax()] = 1
e = pixel.reshape(x.shape)
slope = g.ravel() @ pixel


def loss_at(h):
    """Return the loss with that pixel moved by h."""
    return cross_entropy.value(net.logits(x + h * e), y)[0]


def central(h):
    """Return the central difference."""
    return (loss_at(h) - loss_at(-h)) / (2 * h)


grid = np.logspace(-10, 0, 81)
figure, axes = plots.figure_with_axes(size=(7.6, 4.0))
ways = {
    "one-sided: (L(x + h) − L(x)) / h": (lambda h: (loss_at(h) - loss_at(0)) / h, "#f4a582"),
    "central: D(h) = (L(x + h) − L(x − h)) / 2h": (central, plots.WRONG),
    "five points: (4 D(h) − D(2h)) / 3": (lambda h: (4 * central(h) - central(2 * h)) / 3, "#2166ac"),
}
for name, (way, color) in ways.items():
    axes[0, 0].loglog(grid, [max(abs(way(h) / slope - 1), 1e-16) for h in grid], color=color, label=name)
axes[0, 0].set(
    xlabel="step h", ylabel="relative error", title="differences beside the gradient by hand, float64, one pixel"
)
axes[0, 0].grid(alpha=0.25)
axes[0, 0].legend(fontsize=9, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.18), ncols=1)
show.figure(figure, "05_differences", "The error of three difference formulas over the step size")

# %% [markdown]
# On the right the slopes of the lines are 1, 2 and 4, the orders of the formulas. On the left all three end in the
# noise of rounding. The check uses the five-point formula. The next table checks all layers, and small versions of
# the slides' networks:

# %%
images, vectors = rng.random((2, 8, 8, 2)), rng.normal(size=(3, 6))
small = CNN((8, 8, 1), (layers.Conv(4), layers.Conv(4, stride=2)), (5, 3))
subjects = {
    "Dense": (layers.Dense(4), vectors),
    "ReLU": (layers.ReLU(), vectors),
    "Tanh": (layers.Tanh(), vectors),
    "Conv, stride 2": (layers.Conv(3, stride=2), images),
    "MaxPool": (layers.MaxPool(), images),
    "AveragePool, overlapping": (layers.AveragePool(3, stride=2), images),
    "MLP 6-5-3": (MLP((6, 5, 3)), vectors),
    "CNN, 2 conv and 2 dense layers": (small, images[..., :1]),
}
rows = []
for name, (subject, x) in subjects.items():
    compared, skipped, error = check_gradients(subject, x)
    rows.append([name, compared, skipped, f"{error:.0e}"])
show.table(["gradients three ways, float64", "compared", "skipped: kinks", "largest relative error"], rows)

# %% [markdown]
# And this is what it reports when something is wrong. The mistake is a common one: the bias gets the mean, not the
# sum.


# %%
class Forgetful(layers.Dense):
    """A dense layer with a wrong bias gradient."""

    def parameter_gradient(self, params, x, dz):
        """Return the mean for the bias, where a sum belongs."""
        return {"weight": x.T @ dz, "bias": dz.mean(axis=0)}


try:
    check_gradients(Forgetful(4), vectors)
except AssertionError as error:
    print(error)

# %% [markdown]
# **Exercise 5.4.** Why does the check use a random $dz$ and not the gradient of a loss? Find a mistake in the last
# layer that cross-entropy cannot reveal.

# %% [markdown] tags=["answer"]
# The gradient of cross-entropy sums to zero over the classes. Whatever a layer adds equally to *all* columns is
# multiplied by zero. An example is $dz\, (W + c\, 1^T)^T$ instead of $dz\, W^T$, with any column $c$ copied over the
# classes.

# %% tags=["answer"]
w, c = rng.normal(size=(6, 3)), rng.normal(size=(6, 1))
dz = cross_entropy.grad(vectors @ w, np.array([0, 1, 2]))
assert np.allclose(dz @ w.T, dz @ (w + c).T)
random = rng.normal(size=dz.shape)
assert not np.allclose(random @ w.T, random @ (w + c).T)

# %% [markdown]
# **Exercise 5.5.** `Taped` makes a model of any function of tensors, without any gradient derived by hand. Write the
# 2-layer network that way, with the parameters of an `MLP`, and compare the gradients and the times of both on 500
# images.

# %% tags=["answer"]
net = MLP((784, 200, 10))


def by_tensors(params, x):
    """Return the logits of the same network, for the engine."""
    hidden = ops.relu(x.reshape(len(x), 784) @ params["1.weight"] + params["1.bias"])
    return hidden @ params["3.weight"] + params["3.bias"]


x, y = data.x_test[:500], data.y_test[:500]
seconds = []
gradients = []
for model in (net, Taped(by_tensors, net.params)):
    runs = []
    for _ in range(5):
        began = time.perf_counter()
        _, g = loss_and_gradient(model, cross_entropy, x, y)
        runs.append(time.perf_counter() - began)
    seconds.append(min(runs))
    gradients.append(g)
assert np.allclose(*gradients, atol=1e-6)
print("by hand {:.1f} ms, by the engine {:.1f} ms".format(*(1e3 * s for s in seconds)))

# %% [markdown]
# ## Where NumPy's time goes
#
# The tutorial's CNN has four convolutions and two dense layers. We time the forward pass and the backward pass to the
# pixels, layer by layer, on ten images (a chunk that stays in a core's cache):

# %%


def milliseconds(f, *args, runs=7):
    """Return the shortest of some runs; the last argument is copied, because a layer may work in place."""
    best = np.inf
    for _ in range(runs):
        copied = args[-1].copy()
        began = time.perf_counter()
        f(*args[:-1], copied)
        best = min(best, time.perf_counter() - began)
    return 1e3 * best


net = CNN()
h = data.x_test[:10]
tape = []
times = []
with one_blas_thread():
    for i, layer in enumerate(net.layers):
        own = {name.split(".")[1]: value for name, value in net.params.items() if name.startswith(f"{i}.")}
        forward = milliseconds(layer.forward, own, h)
        h, saved = layer.forward(own, h.copy())
        tape.append((layer, own, saved, forward))

    dz = rng.normal(size=h.shape).astype(np.float32)
    for layer, own, saved, forward in reversed(tape):
        by_x = milliseconds(layer.input_gradient, own, saved, dz)
        by_theta = milliseconds(layer.parameter_gradient, own, saved, dz)
        times.append((forward, by_x, by_theta))
        dz = layer.input_gradient(own, saved, dz)
times = np.array(times)  # from the last layer to the first

figure, axes = plots.figure_with_axes(size=(8.0, 4.2))
left = np.zeros(len(times))
axis = axes[0, 0]
parts = zip(
    times.T, ("forward", "back to the input", "back to the parameters"), ("#92c5de", "#f4a582", "0.75"), strict=True
)
for part, label, color in parts:
    axis.barh(range(len(times)), part, left=left, color=color, label=label)
    left += part
labels = [f"{len(tape) - i}. {type(layer).__name__}" for i, (layer, *_) in enumerate(reversed(tape))]
axis.set_yticks(range(len(times)), labels)
axis.set(xlabel="milliseconds for ten images, one thread, float32", title="the tutorial's CNN, layer by layer")
axis.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.14))
show.figure(figure, "05_time", "Time of each layer of the CNN, forward, back to the input, back to the parameters")
forward, by_x, by_theta = times.sum(axis=0)
show.table(
    ["ten images through the CNN", "milliseconds", "in forward passes"],
    [
        ["forward", f"{forward:.2f}", "1.0"],
        ["the attack's gradient: forward, back to x", f"{forward + by_x:.2f}", f"{1 + by_x / forward:.1f}"],
        ["all of it: back to θ too", f"{times.sum():.2f}", f"{times.sum() / forward:.1f}"],
    ],
)

# %% [markdown]
# The gradient in 784 pixels costs a small multiple of the forward pass, as chapter 4 promised. Three things explain
# the bars:
#
# - **Matrix products** are most of the arithmetic, and NumPy hands them to a library that is as fast as the machine.
#   Convolutions are turned into them. For 3 × 3 kernels of stride 1 and many channels there are 16 products in place
#   of 36 (`kernels/winograd.py`).
# - **Copies** are the price of that: windows become rows, and tiles become vectors. The buffers are made once for
#   each thread and stay in the cache.
# - **Elementwise steps**, such as ReLU, do one operation for each number and wait for memory. A compiler would fuse
#   them with their neighbours; NumPy cannot. It can work in place and on few images at a time: an attack cuts its
#   batch into chunks that fit into the cache.

# %% [markdown]
# **Exercise 5.6.** Count the multiplications of the second convolution (32 channels to 32, stride 2, 28 × 28 to 14 ×
# 14 pixels) for one image, and those of the first dense layer (3136 to 100). Which of the two reads more parameters
# for each multiplication?

# %% tags=["answer"]
convolution, dense = 14 * 14 * 9 * 32 * 32, 3136 * 100
assert net.params["2.weight"].size == 9 * 32 * 32
assert net.params["9.weight"].size == dense
print(f"convolution: {convolution:,} multiplications with {9 * 32 * 32:,} weights; dense: {dense:,} with {dense:,}")

# %% [markdown] tags=["answer"]
# For one image, the dense layer reads one weight for each multiplication; the convolution uses each weight at 196
# places. That is why a dense layer is efficient only for large batches, while a convolution is efficient for the few
# images that fit into the cache.

# %% [markdown]
# Now we know that the gradients are right. The next chapter follows them.
