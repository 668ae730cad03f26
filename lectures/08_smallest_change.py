# %% [markdown]
# # 8. The smallest change
#
# So far ε was given, and an attack tried to make the loss large. Now it is the other way around: the label must
# change, and an attack tries to make the perturbation small.
#
# **You will learn**
#
# - the two problems of the second deck, untargeted and targeted, and their exact solution on a linear model;
# - L-BFGS, the first attack on networks, and in which direction to search for its weight c;
# - saliency maps and JSMA, which changes few pixels;
# - the geometry of DeepFool and FAB in the plane, and the attacks of Carlini and Wagner;
# - that each attack is best in its own norm, and how the smallest changes give a whole curve of accuracy over ε.
#
# It goes with the second deck from the definitions with argmin to "Jacobian-based saliency map attacks (JSMA)", and
# adds three attacks that the field has used since.

# %%
import time

import numpy as np

from scratchadv import datasets, training
from scratchadv.attacks import carlini_wagner, deepfool, fab, jsma, lbfgs, pgd, saliency_map
from scratchadv.attacks.constrained import carlini_wagner as carlini_wagner_file
from scratchadv.attacks.constrained.hyperplane import nearest_boundary, nearest_point
from scratchadv.attacks.constrained.lbfgs import largest_weight, minimiser, next_weight
from scratchadv.attacks.constrained.targets import boundaries
from scratchadv.evaluate import accuracy_over_eps
from scratchadv.experiments.attacks.figures import draw_saliency_maps
from scratchadv.experiments.networks.training import quick
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import predict
from scratchadv.sets import L0, L1, L2, Box, Linf
from scratchadv.support import plots, show
from scratchadv.training.optim import Adam

data = datasets.load("auto")
print(data.source)
model = quick(data, "2-layer")
right = np.flatnonzero(predict(model, data.x_test) == data.y_test)
chosen = [int(right[data.y_test[right] == k][0]) for k in range(10)]
x, y = data.x_test[chosen], data.y_test[chosen]
print("an MLP 784-200-10 trained on 5,000 images; one correctly classified test image of each class")

# %% [markdown]
# ## Adversarial examples
#
# The second deck defines an adversarial example $x^*$ without any ε, first untargeted, then targeted:
#
# $$\arg\min_{x^*} L(x, x^*) \ \text{ s.t. } f(x^*) \neq f(x), \qquad
# \arg\min_{x^*} L(x, x^*) \ \text{ s.t. } f(x^*) = y_t.$$
#
# Here $L$ is a distance, not a loss. We write $x^* = x + \delta$ and take a norm $\lVert \delta \rVert$.
#
# For a linear model the answer is geometry. The boundary $\theta^T x + \theta_0 = 0$ is a hyperplane, and its
# distance from $x$ is the absolute value of the logit divided by the **dual norm** of θ:
#
# $$\min \{\lVert \delta \rVert : \theta^T(x + \delta) + \theta_0 = 0\} = \frac{|z|}{\lVert \theta \rVert_*}.$$
#
# `nearest_point` computes this. In a box it moves components up to their bounds and then continues with the others.

# %%
theta, z = np.array([[2.0, 1.0]]), np.array([3.0])
steps = {norm: nearest_point(norm, theta, z)[0] for norm in (L2, Linf, L1)}
show.table(
    ["norm", "δ to the boundary 2 δ₁ + δ₂ + 3 = 0", "its size", "|z| over the dual norm of θ"],
    [
        [norm.name, delta.round(3), f"{norm.norm(delta[None])[0]:.3f}", f"{z[0] / norm(1).support(theta)[0]:.3f}"]
        for norm, delta in steps.items()
    ],
)

# %% [markdown]
# **Exercise 8.1.** For a logit of 3 and $\theta = (2, 1)$, compute the three distances by hand. Then let `deepfool`
# find the ℓ2 and the ℓ∞ distance without a box. Why is its δ 2 % longer?

# %% [markdown] tags=["answer"]
# ℓ2: $3 / \sqrt 5$; ℓ∞: $3 / (2 + 1) = 1$; ℓ1: $3 / 2$. DeepFool goes beyond the boundary by its `overshoot` of 2 %,
# so that the prediction really changes.

# %% tags=["answer"]
line = LogisticRegression(theta[0], 3.0)
for norm, distance in ((L2, 3 / np.sqrt(5)), (Linf, 1.0)):
    delta = deepfool(line, np.zeros((1, 2)), np.array([1]), norm=norm, box=None)
    assert abs(norm.norm(delta)[0] - 1.02 * distance) < 1e-9

# %% [markdown]
# ## Methods for creating adversarial examples
#
# The deck divides white-box attacks into **gradient-based** attacks (chapter 6: climb the loss inside a set) and
# **constrained optimisation** (this chapter: shrink the change while the label stays wrong). Black-box attacks see
# only outputs. All attacks of this chapter have the same form: `attack(model, x, y, *, target, norm, box)` returns δ,
# and δ = 0 where the attack fails. We do not trust an attack's own report: `predict` on x + δ decides whether it
# succeeded.
#
# ## L-BFGS targeted attack
#
# Szegedy et al. (2014) put the constraint into the objective, with a weight:
#
# $$\min_r\ c \lVert r \rVert_2 + \mathcal{L}(x + r, t) \quad \text{such that} \quad x + r \in [0, 1]^n.$$
#
# L-BFGS is a quasi-Newton method that can handle the box. For each c it returns a minimiser. The picture shows one
# digit and one target.

# %%
four = x[4:5]
target = np.array([9])
low, high = Box(0, 1).bounds(four)
weights = [0.01, 0.1, 0.5, 1.0, 1.5, 3.0]
found = [minimiser(model, model.loss, c, four, target, low, high, np.zeros_like(four), steps=200) for c in weights]
figure, axes = plots.figure_with_axes(2, len(weights), size=(1.5, 1.65))
for column, c, r in zip(axes.T, weights, found, strict=True):
    label = int(predict(model, four + r)[0])
    plots.show_image(column[0], (four + r)[0])
    plots.show_image(column[1], r[0], (-1, 1), cmap="RdBu_r")
    column[0].set_title(f"c = {c:g}: a {label}", fontsize=10, color=plots.RIGHT if label == 9 else plots.WRONG)
    column[1].set_title(f"‖r‖₂ = {L2.norm(r)[0]:.2f}", fontsize=10)
axes[0, 0].set_ylabel("x + r", fontsize=10)
axes[1, 0].set_ylabel("r", fontsize=10)
figure.suptitle(f"L-BFGS from a {y[4]} to a 9 for growing c (green: the target is reached)", fontsize=10)
show.figure(figure, "08_lbfgs_over_c", "The minimiser for growing c: r becomes shorter and finally no longer fools")

# %% [markdown]
# > **Beside the slide.** The slide increases c "until the model classifies as the targeted label". That would be
# > right if c multiplied the loss. Here c multiplies the norm, so a larger c gives a *shorter* r. We therefore look
# > for the **largest** c whose minimiser still fools the model.
#
# The library does that. It multiplies c by 10 while the minimiser fools the model, or divides it by 10 while it does
# not. Then it bisects with geometric means.

# %%
show.source(largest_weight, next_weight)

# %% [markdown]
# **Exercise 8.2.** Let $r_1, r_2$ be the minimisers for $c_1 < c_2$. Prove
# $\lVert r_2 \rVert \leq \lVert r_1 \rVert$. (Write down that each minimiser is at least as good as the other for its
# own c, and add the two inequalities.)

# %% [markdown] tags=["answer"]
# $c_1 \lVert r_1 \rVert + \mathcal{L}(r_1) \leq c_1 \lVert r_2 \rVert + \mathcal{L}(r_2)$ and
# $c_2 \lVert r_2 \rVert + \mathcal{L}(r_2) \leq c_2 \lVert r_1 \rVert + \mathcal{L}(r_1)$. The sum is
# $(c_2 - c_1)(\lVert r_2 \rVert - \lVert r_1 \rVert) \leq 0$. Convexity is not needed, but global minimisers are.

# %% tags=["answer"]
r = np.linspace(-3, 3, 2001)
bumpy = np.sin(3 * r) - r
lengths = [abs(r[(c * abs(r) + bumpy).argmin()]) for c in (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)]
assert lengths == sorted(lengths, reverse=True)

# %% [markdown]
# ## Jacobian-based saliency map attacks (JSMA)
#
# FGSM changes every pixel a little. JSMA changes few pixels, but as far as they can go. It asks how each pixel
# influences the outputs $F$, which is what saliency maps were invented to show.
#
# ## Saliency map
#
# Pixel $i$ supports the target $t$ if increasing it raises $F_t$ and lowers the sum of all other outputs:
#
# $$S_i = \begin{cases} 0 & \text{if } \frac{\partial F_t}{\partial X_i} < 0 \text{ or }
# \sum_{j \neq t} \frac{\partial F_j}{\partial X_i} > 0 \\
# \frac{\partial F_t}{\partial X_i} \left| \sum_{j \neq t} \frac{\partial F_j}{\partial X_i} \right| &
# \text{otherwise.} \end{cases}$$

# %%
figure = draw_saliency_maps(quick(data, "CNN"), x, y, data.class_names)
show.figure(figure, "08_saliency_maps", "For each target, the pixels of a 4 to increase (red) and to decrease (blue)")

# %% [markdown]
# These maps belong to the small CNN, whose gradients are smoother than the MLP's. Read them as advice: where to add
# ink to reach the target, and where to remove it.
#
# ## Saliency computation
#
# Single pixels that satisfy both conditions are rare, so JSMA looks for the best **pair** $p, q$, with $\alpha$ and
# $\beta$ summed over the two pixels:
#
# $$\max_{p < q}\ -\alpha \beta \quad \text{such that} \quad \alpha = \sum_{i \in \{p, q\}}
# \frac{\partial F_t}{\partial X_i} > 0, \quad \beta = \sum_{i \in \{p, q\}} \sum_{j \neq t}
# \frac{\partial F_j}{\partial X_i} < 0.$$
#
# Both pixels move by θ. This is repeated until the target is reached or a share Υ of the pixels has been used.

# %%
show.source(saliency_map)

# %% [markdown]
# **Exercise 8.3.** With Υ = 14.5 % of 784 pixels, how many pairs may move, and at most how many pixels? Check it with
# `jsma`. A pixel may move several times if |θ| is small. Why do no more pixels than that ever move?

# %% tags=["answer"]
pairs = int(784 * 0.145 / 2)
delta = jsma(model, x, y, target=(y + 1) % 10)
assert pairs == 56
assert L0.norm(delta).max() <= 2 * pairs  # a pixel that moves again only takes the place of a new one

# %% [markdown]
# ## DeepFool
#
# If the logits were linear, a formula would give the nearest boundary. DeepFool linearises the logits at the current
# point, steps to the nearest boundary, and repeats:
#
# $$\delta \leftarrow \delta + \arg\min_d \left\{ \lVert d \rVert : \min_k |f_k + \langle w_k, d \rangle| = 0 \right\},
# \qquad f_k = z_k - z_y, \quad w_k = \nabla_x f_k.$$
#
# For ℓ2 the step to boundary $k$ is $|f_k|\, w_k / \lVert w_k \rVert_2^2$. In the plane we can see it. On the left is
# the first step: the dashed lines show where the boundaries would be if the network were linear. On the right are all
# steps and the true nearest point, found by a search over a fine grid.

# %%
rng = np.random.default_rng(0)
centres = np.array([[0.0, 1.0], [-1.0, -0.7], [1.0, -0.7]])
plane_y = np.repeat(np.arange(3), 80)
plane_x = centres[plane_y] + 0.35 * rng.standard_normal((240, 2))
plane = MLP((2, 24, 3), "tanh", rng=rng, dtype=np.float64)
training.fit(plane, plane_x, plane_y, epochs=150, optimizer=Adam(0.02), progress=False)

point, label = np.array([[-0.15, 0.75]]), np.array([0])
rivals = np.array([[1, 2]])
f, w = boundaries(plane, point, label, None, rivals)
path = [point[0]]
while predict(plane, path[-1][None])[0] == label[0] and len(path) < 20:
    f_t, w_t = boundaries(plane, path[-1][None], label, None, rivals)
    _, _, step = nearest_boundary(L2, w_t, f_t, path[-1][None])
    path.append(path[-1] + step[0])
path = np.array(path)

side = np.linspace(-1.6, 1.6, 601)
grid = np.stack(np.meshgrid(side, side), axis=-1)
labels = predict(plane, grid.reshape(-1, 2)).reshape(601, 601)
others = grid[labels != label[0]]
nearest = others[np.linalg.norm(others - point, axis=1).argmin()]
ends = {
    "DeepFool": deepfool(plane, point, label, box=None),
    "FAB": fab(plane, point, label, box=None),
    "Carlini–Wagner": carlini_wagner(plane, point, label, box=None),
}
figure, axes = plots.figure_with_axes(1, 2, size=(4.6, 4.3))
for axis in axes[0]:
    axis.contourf(side, side, labels, levels=[-0.5, 0.5, 1.5, 2.5], colors=["#d1e5f0", "#fddbc7", "#d9f0d3"])
    axis.plot(*point[0], "ko")
    axis.annotate("x", point[0], textcoords="offset points", xytext=(6, 4))
    axis.set(xticks=[], yticks=[], aspect="equal")
for k, colour in ((0, "#b2182b"), (1, "#1b7837")):
    value = f[0, k] + (grid - point[0]) @ w[0, k]
    axes[0, 0].contour(side, side, value, levels=[0], colors=[colour], linestyles="--")
    step = nearest_point(L2, w[:, k], f[:, k])[0]
    axes[0, 0].annotate("", point[0] + step, point[0], arrowprops={"arrowstyle": "->", "color": colour})
axes[0, 0].set_title("boundaries linearised at x, and the step to each", fontsize=10)
zoomed = axes[0, 1]
zoomed.plot(*path.T, "k.-", lw=1, label="DeepFool's steps")
zoomed.plot(*nearest, "*", color="#b2182b", ms=12, label="the true nearest point")
for (name, delta), marker in zip(ends.items(), "s^v", strict=True):
    size = np.linalg.norm(delta)
    zoomed.plot(*(point + delta)[0], marker, mfc="none", ms=9, color="k", label=f"{name}: ‖δ‖₂ = {size:.4f}")
reach = 1.25 * np.linalg.norm(path - point, axis=1).max()
zoomed.set(xlim=point[0, 0] + np.array([-reach, reach]), ylim=point[0, 1] + np.array([-1.4 * reach, 0.6 * reach]))
zoomed.set_title(f"a closer look; the grid says {np.linalg.norm(nearest - point):.4f}", fontsize=10)
zoomed.legend(fontsize=8, loc="upper left")
figure.suptitle("Three classes in the plane, a tanh network 2-24-3, ℓ2, no box", fontsize=10)
show.figure(figure, "08_deepfool", "Decision regions; linearised boundaries at a point; the steps of DeepFool")

# %%
show.source(deepfool)

# %% [markdown]
# DeepFool stops at the first boundary that it crosses and never checks whether there was a shorter way.
#
# **Exercise 8.4.** Two boundaries at $x$ have $f_1 = -2$ with $w_1 = (2, 0)$ and $f_2 = -2.5$ with
# $w_2 = (1.5, 1.5)$. To which one does DeepFool step in ℓ2, and to which one in ℓ∞?

# %% tags=["answer"]
f = np.array([[-2.0, -2.5]])
w = np.array([[[2.0, 0.0], [1.5, 1.5]]])
to_l2, to_linf = (nearest_boundary(norm, w, f, np.zeros((1, 2)))[2][0] for norm in (L2, Linf))
np.testing.assert_allclose(to_l2, [1, 0])  # 2 / 2 = 1 against 2.5 / (1.5 √2) = 1.18
np.testing.assert_allclose(to_linf, [2.5 / 3, 2.5 / 3])  # 2 / 2 = 1 against 2.5 / 3 = 0.83

# %% [markdown]
# ## Carlini and Wagner
#
# Their attack is the penalty of L-BFGS with three better choices. The margin of the logits replaces the loss; it
# stops falling, at −κ, once the target wins by κ. A change of variables keeps $x + \delta$ in the box. And c is
# searched for each example.
#
# $$\min_w\ \lVert \delta \rVert_2^2 + c\, f(x + \delta), \qquad
# f(x') = \max\left(\max_{i \neq t} Z(x')_i - Z(x')_t,\ -\kappa\right), \qquad
# x + \delta = \tfrac12 (\tanh w + 1).$$
#
# With κ > 0 the example is misclassified with some confidence, at the cost of a larger change. The cost has a
# benefit: such examples fool other models more often.

# %%
show.source(carlini_wagner_file.penalty)
other = quick(data, "4-layer")
test = slice(0, 40)
xs, ys = data.x_test[test], data.y_test[test]
lines = []
for kappa in (0.0, 2.0, 5.0):
    delta = carlini_wagner(model, xs, ys, confidence=kappa, searches=5, steps=100)
    fooled = predict(model, xs + delta) != ys
    sure = fooled & (predict(other, xs) == ys)
    transfer = (predict(other, xs + delta) != ys)[sure].mean()
    lines.append([f"{kappa:g}", f"{fooled.mean():.2f}", f"{np.median(L2.norm(delta)):.2f}", f"{transfer:.2f}"])
show.table(["κ", "fooled", "median ‖δ‖₂", "of these fool a 4-layer network too"], lines)
print("Carlini–Wagner ℓ2, untargeted, 0 ≤ x + δ ≤ 1, 5 values of c, 100 steps each; the first 40 test images")

# %% [markdown]
# **Exercise 8.5.** The pixels of digits are often exactly 0 or 1. What is $w$ there, and what is the slope of
# $\tfrac12(\tanh w + 1)$? The library uses $\tfrac12 + \tfrac{1.25}{2} \tanh w$, clipped to the box. What is its
# slope at the edge of the box, relative to the slope in the middle?

# %% [markdown] tags=["answer"]
# $w = \pm\infty$ and slope 0: such pixels can never move. Other implementations shrink the range of pixels a little,
# and then the slope is still tiny. In the library's wider range $\tanh w = 1/1.25$ at the edge of the box, and the
# slope there is $1 - 0.8^2 = 0.36$ times the slope in the middle.

# %% tags=["answer"]
assert abs((1 - np.tanh(np.arctanh(1 / carlini_wagner_file.WIDER)) ** 2) - 0.36) < 1e-12

# %% [markdown]
# ## FAB
#
# FAB repairs this weakness of DeepFool. It also steps to linearised boundaries, but each step is pulled towards $x$.
# Whenever FAB has crossed a boundary, it steps back a little towards $x$ and continues along the boundary, looking
# for a shorter change:
#
# $$\delta \leftarrow \mathrm{clip}\left((1 - \alpha)(\delta + \eta\, d) + \alpha\, \eta\, d_x\right)$$
#
# where $d$ is the step from $x + \delta$ to the linearised boundary, and $d_x$ is the step from $x$ to it. The steps
# respect the box exactly (by `nearest_point` again). FAB needs no c and no step size.
#
# ## The same digit under every attack
#
# Here is what each attack does to one digit. L-BFGS and JSMA are always targeted; here they aim at y + 1.

# %%
target = (y + 1) % 10
attacks = {
    "L-BFGS to y + 1": (L2, lambda: lbfgs(model, x, y, target=target)),
    "JSMA to y + 1": (L0, lambda: jsma(model, x, y, target=target)),
    "DeepFool ℓ2": (L2, lambda: deepfool(model, x, y)),
    "DeepFool ℓ∞": (Linf, lambda: deepfool(model, x, y, norm=Linf)),
    "C&W ℓ2": (L2, lambda: carlini_wagner(model, x, y)),
    "C&W ℓ∞": (Linf, lambda: carlini_wagner(model, x, y, norm=Linf)),
    "C&W ℓ0": (L0, lambda: carlini_wagner(model, x, y, norm=L0)),
    "FAB ℓ2": (L2, lambda: fab(model, x, y, steps=50)),
    "FAB ℓ∞": (Linf, lambda: fab(model, x, y, norm=Linf, steps=50)),
    "FAB ℓ1": (L1, lambda: fab(model, x, y, norm=L1, steps=50)),
}
changes, lines = {}, []
for name, (own, attack) in attacks.items():
    began = time.perf_counter()
    delta = changes[name] = attack()
    seconds = time.perf_counter() - began
    aim = predict(model, x + delta) == target if name.endswith("y + 1") else predict(model, x + delta) != y
    sizes = [
        f"{'**' * (norm is own)}{np.median(norm.norm(delta[aim])):.3g}{'**' * (norm is own)}"
        for norm in (L0, L1, L2, Linf)
    ]
    lines.append([name, f"{aim.mean():.1f}", *sizes, f"{seconds:.1f}"])
show.table(["attack", "success", "‖δ‖₀", "‖δ‖₁", "‖δ‖₂", "‖δ‖∞", "seconds"], lines)
print("medians over the fooled ones of ten images; bold: the norm that the attack minimises; 0 ≤ x + δ ≤ 1, no ε")

# %%
i = 4
names = list(changes)
figure, axes = plots.figure_with_axes(2, len(names), size=(1.15, 1.45))
for column, name in zip(axes.T, names, strict=True):
    delta = changes[name][i]
    label = int(predict(model, x[i : i + 1] + delta)[0])
    plots.show_image(column[0], x[i] + delta)
    plots.show_image(column[1], delta, (-0.5, 0.5), cmap="RdBu_r")
    column[0].set_title(f"{name.replace(' ', chr(10), 1)}\na {label}", fontsize=9)
axes[0, 0].set_ylabel("x + δ", fontsize=10)
axes[1, 0].set_ylabel("δ", fontsize=10)
figure.suptitle(f"A {y[i]} under every attack (δ: red up, blue down, full colour at ±0.5)", fontsize=10)
show.figure(figure, "08_every_attack", "One digit after each attack, and below it the change: dense, sparse or flat")

# %% [markdown]
# ℓ0 gives a few bright dots, ℓ1 a few grey ones, ℓ2 a soft shadow, and ℓ∞ the same grey everywhere. No norm measures
# what the eye sees.
#
# ## From one digit to all classes
#
# Here is the same digit again, aimed at each of the other nine classes. The frame is green where the attack reaches
# the target.

# %%
many = np.repeat(x[i : i + 1], 9, axis=0)
goals = np.delete(np.arange(10), y[i])
sources = np.full(9, y[i])
rows = {
    "L-BFGS": (L2, lbfgs(model, many, sources, target=goals)),
    "C&W ℓ2": (L2, carlini_wagner(model, many, sources, target=goals)),
    "JSMA": (L0, jsma(model, many, sources, target=goals)),
}
figure, axes = plots.figure_with_axes(len(rows), 9, size=(1.15, 1.35))
for line, (name, (norm, delta)) in zip(axes, rows.items(), strict=True):
    reached = predict(model, many + delta) == goals
    sizes = norm.norm(delta)
    for k, axis in enumerate(line):
        plots.show_image(axis, (many + delta)[k])
        axis.set_title(f"to {goals[k]}: {sizes[k]:.3g}" if reached[k] else f"to {goals[k]}: –", fontsize=9)
        for edge in axis.spines.values():
            edge.set(color=plots.RIGHT if reached[k] else plots.WRONG, linewidth=2)
    line[0].set_ylabel(f"{name}\n({norm.name})", fontsize=9)
figure.suptitle(f"A {y[i]} aimed at every other class, with the size of the change; 0 ≤ x + δ ≤ 1", fontsize=10)
show.figure(figure, "08_targeted_row", "One digit turned into each other class by L-BFGS, Carlini and Wagner, and JSMA")

# %% [markdown]
# ## One run, every ε
#
# An attack in a set has to be run again for each ε. For smallest changes one run is enough: the model withstands ε at
# an example if the smallest change is larger than ε. So the sorted sizes *are* the curve of accuracy over ε.

# %%
xs, ys = data.x_test[:100], data.y_test[:100]
delta = fab(model, xs, ys, norm=Linf, steps=30)
sizes = np.where(predict(model, xs) != ys, 0, np.where(predict(model, xs + delta) != ys, Linf.norm(delta), np.inf))
grid = np.linspace(0, 0.2, 9)
threats = [Linf(float(eps)).within(0, 1) for eps in grid]
curve = accuracy_over_eps(model, xs, ys, threats, [pgd]).accuracy
fine = np.linspace(0, 0.2, 400)
lines = [
    ("FAB, one run", [(sizes > eps).mean() for eps in fine], {}),
    ("PGD-40, nine runs", np.interp(fine, grid, curve), {"ls": ":"}),
]
figure = plots.curves(fine, lines, "ε", "accuracy")
figure.axes[0].plot(grid, curve, "o", color="C1")
figure.axes[0].set_title("‖δ‖∞ ≤ ε, 0 ≤ x + δ ≤ 1, 100 test images; FAB 30 steps, PGD from δ = 0", fontsize=10)
show.figure(figure, "08_sizes_are_a_curve", "Accuracy over ε from the sizes that FAB finds, and from nine runs of PGD")

# %% [markdown]
# **Exercise 8.6.** Make a smallest-change attack of your own: for each example, bisect ε and ask PGD. Compare its
# median ℓ∞ size with FAB's. How many gradients did each binary digit of ε cost?


# %% tags=["answer"]
def bisected(model, x, y, rounds=8, steps=20):
    """Return the smallest change that PGD finds; each round halves the interval of ε of each example."""
    low, high, best = np.zeros(len(x)), np.full(len(x), 0.5), np.zeros_like(x)
    for _ in range(rounds):
        eps = (low + high) / 2
        found = np.concatenate(
            [pgd(model, a[None], b[None], Linf(e).within(0, 1), steps=steps) for a, b, e in zip(x, y, eps, strict=True)]
        )
        fooled = predict(model, x + found) != y
        best[fooled] = found[fooled]
        low = np.where(fooled, low, eps)
        high = np.where(fooled, eps, high)
    return best


mine = bisected(model, x, y)
assert (predict(model, x + mine) != y).all()
ratio = np.median(Linf.norm(mine)) / np.median(Linf.norm(changes["FAB ℓ∞"]))
assert 0.9 < ratio < 1.2  # and each binary digit of ε cost 20 gradients

# %% [markdown]
# ## The slides' numbers beside today's
#
# The papers' numbers belong to their own networks, and ours belong to an MLP trained on little data. Those of JSMA
# are from its abstract. Those of L-BFGS (as others quote them) are the root mean square change of a pixel,
# $\lVert r \rVert_2 / \sqrt{784}$.

# %%
rng = np.random.default_rng(0)
goals = (ys + rng.integers(1, 10, len(ys))) % 10
lines = []
for of in ("logits", "probabilities"):
    delta = jsma(model, xs, ys, target=goals, of=of)
    reached = predict(model, xs + delta) == goals
    share = L0.norm(delta[reached]).mean() / 784
    today = f"{100 * reached.mean():.0f} % at {100 * share:.1f} % of the pixels"
    lines.append([f"JSMA on {of}, θ = 1, Υ = 14.5 %", "97 % at 4.02 % of the pixels", today])
rms = L2.norm(changes["L-BFGS to y + 1"]).mean() / 28
lines.append(["L-BFGS, RMS change", ".058 and .065 on two small MLPs", f"{rms:.3f}"])
show.table(["attack", "paper", "today"], lines)
print(
    "MLP 784-200-10, 5,000 training images; JSMA: 100 test images, random targets (seed 0); L-BFGS: ten images to y + 1"
)
