# %% [markdown]
# # 6. Gradient attacks
#
# For a linear model the worst $\delta$ has a formula. For a network nobody knows a formula, so attacks walk: they
# step up the gradient of the loss, return to the set, and repeat. A single such step is the most famous attack of
# all.
#
# **You will learn**
#
# - projected gradient descent (PGD) for every norm, with plain and with normalised steps
# - why the fast gradient sign method (FGSM) is its limit, and how the sign changes the direction
# - what restarts buy, and what a step size can spoil
# - targeted attacks, and which objective to climb
# - a later attack that finds its own step size
#
# It goes with the slides "Projected Gradient Descent", "Fast Gradient Sign Method" and "Targeted Attacks" of the first
# deck and "Fast Gradient Sign Method (FGSM) attack" of the second.

# %%
from dataclasses import replace
from functools import partial

import numpy as np

from scratchadv import datasets, losses
from scratchadv.attacks import apgd, exact, fgsm, iterated_fgsm, pgd
from scratchadv.attacks.gradient.best import Best
from scratchadv.attacks.gradient.pgd import climb
from scratchadv.evaluate import accuracy_over_eps, judge
from scratchadv.experiments.experiment import Setup, result_of
from scratchadv.experiments.networks import experiment as networks
from scratchadv.experiments.networks.figures import draw_steps_in_the_ball
from scratchadv.experiments.networks.training import quick
from scratchadv.losses import cross_entropy
from scratchadv.models import LogisticRegression, SoftmaxRegression
from scratchadv.models.protocol import loss_and_gradient, predict
from scratchadv.sets import L1, L2, Linf
from scratchadv.support import plots, show
from scratchadv.training import fit

data = datasets.load("auto")
print(data.source)
models = {name: quick(data, name) for name in ("2-layer", "4-layer", "CNN")}
softmax = SoftmaxRegression()
fit(softmax, data.x_train[:5000], data.y_train[:5000], epochs=5, progress=False)
x, y = data.x_test[:200], data.y_test[:200]
threat = Linf(0.1)

# %% [markdown]
# ## Projected gradient descent
#
# The inner problem of chapter 1 was $\max_{\delta \in \Delta} L(y, \hat{f}(x + \delta \mid \theta))$. Its objective
# is differentiable and its feasible set is simple. So go up the gradient, and whenever you have left the set, take
# its nearest point.
#
# $$\delta^{[t+1]} = \mathcal{P} \left( \delta^{[t]} + \alpha \nabla_\delta L \left( y, \hat{f}(x + \delta^{[t]} \mid
# \theta) \right) \right)$$
#
# This is ascent, although everybody calls it descent. Here is the whole loop, as the library runs it:

# %%
show.source(climb, Best)

# %% [markdown]
# Three details make this attack trustworthy. Every iterate is inside $\Delta(x)$. The attack returns the *best*
# iterate, not the last one: an iterate that fools the model is better than one that does not, and otherwise the one
# with the higher loss is better. The loss alone is not enough, because with three or more classes it can be higher at
# a point that is still classified correctly. And each example is on its own: the gradient contains no mean over the
# batch, so the step of one image does not depend on the others.
#
# > **Beside the slide.** The slide says that for networks Danskin's theorem no longer holds. The theorem itself does
# > not ask for convexity. It asks for the *exact* inner maximiser, which nobody has for a network. With an
# > approximate maximiser, the gradient that the theorem gives is only a direction. Chapter 7 comes back to this.

# %% [markdown]
# ## A bumpier, non-convex loss surface
#
# For a linear model cross-entropy is convex in $x$: along every line the loss bends only upward. The loss of a
# network bends both ways, so a walk can end on a hill that is not the highest. The figure shows the loss along lines
# from test image 0 through six other images (at $s = 1$):

# %%
steps = np.linspace(-0.5, 2, 251, dtype=np.float32)
figure, axes = plots.figure_with_axes(1, 2, size=(4.8, 3.4))
for axis, (name, model) in zip(axes[0], {"linear model": softmax, "CNN": models["CNN"]}.items(), strict=True):
    for k in range(1, 7):
        z = model.logits(x[0] + steps[:, None, None, None] * (x[k] - x[0]))
        loss = cross_entropy.value(z, np.repeat(y[0], len(steps)))
        axis.plot(steps, loss, lw=1.4, label=f"to a {data.class_names[y[k]]}")
    axis.set(title=name, xlabel="s", ylabel="L(y, f(x + s (x′ − x)))")
    axis.grid(alpha=0.25)
    axis.legend(fontsize=8, frameon=False)
figure.suptitle("loss at the label of test image 0: convex on the left, bent both ways on the right")
show.figure(figure, "06_surface", "Loss along lines between images: convex for the linear model, not for the CNN")

# %% [markdown]
# ## Steps and projections
#
# This is the slide's picture, with a network of two inputs. The loss is dark where it is high, the decision boundary
# is blue, the set $\Delta(x)$ is green, and the steps of PGD are red.

# %%
show.figure(draw_steps_in_the_ball(0), "06_steps", "PGD in ℓ2 and ℓ∞ balls, with plain and with normalised steps")

# %% [markdown]
# PGD asks a set for two things: the nearest point $\mathcal{P}$, and, for normalised steps, the steepest step of size
# $\alpha$. For each norm, each of them takes a line or two:

# %%
show.source(Linf.project, L2.project, L1.project, Linf.linear_max, L2.linear_max)

# %%
rows = []
for ball in (Linf(0.1), L2(1.5), L1(8.0)):
    for boxed in (ball, ball.within(0, 1)):
        delta = pgd(models["2-layer"], x, y, boxed)
        error = judge(models["2-layer"], x, y, delta, boxed).success.mean()
        rows.append([boxed, f"{error:.3f}", f"{(delta != 0).reshape(len(x), -1).sum(axis=1).mean():.0f}"])
print("2-layer net, 200 test images, PGD-40 from δ = 0, normalised steps of 2.5 ε / 40")
show.table(["Δ(x)", "error", "pixels changed, mean"], rows)

# %% [markdown]
# > **Beside the slide.** "The projection must be only executed in the last step" is true for the steps drawn there,
# > which do not leave the set earlier. It is not true in general: an attack that projects only at the end climbs the
# > loss at points outside the set, which it may not use.


# %%
def walk(model, x, y, threat, alpha, steps, every_step):
    """Run PGD along the sign and project after every step, or only after the last one."""
    delta = np.zeros_like(x)
    for _ in range(steps):
        _, g = loss_and_gradient(model, cross_entropy, x + delta, y)
        delta = delta + alpha * np.sign(g)
        if every_step:
            delta = threat.project(delta)
    return threat.project(delta)


rows = []
for alpha in (0.0025, 0.01, 0.04):
    found = [walk(models["4-layer"], x, y, threat, alpha, 40, every) for every in (True, False)]
    losses_found = [judge(models["4-layer"], x, y, delta, threat).loss.mean() for delta in found]
    rows.append([alpha, *(f"{loss:.3f}" for loss in losses_found)])
print(f"4-layer net, 200 test images, {threat}, no box, 40 steps along the sign; the last iterate's mean loss")
show.table(["α", "projected after every step", "projected once, at the end"], rows)

# %% [markdown]
# With $40 \alpha \leq \epsilon$ no step leaves the set, and the two are the same. With larger steps they are not.

# %% [markdown]
# **Exercise 6.1.** Let $\epsilon = 0.1$, $\alpha = 0.05$, $\delta^{[t]} = (0.08, -0.02)$ and $g = (3, 0.5)$. Compute
# $\delta^{[t+1]}$ in the $\ell_\infty$ ball, once with the plain step and once with the normalised step.

# %% tags=["answer"]
delta, g = np.array([[0.08, -0.02]]), np.array([[3.0, 0.5]])
plain = threat.project(delta + 0.05 * g)
normalised = threat.ascend(delta, g, 0.05)
assert np.allclose(plain, [[0.1, 0.005]])
assert np.allclose(normalised, [[0.1, 0.03]])
print(plain, normalised)

# %% [markdown]
# ## Plain and normalised steps
#
# The slide's formula adds $\alpha g$. But how long is $g$? A confident network has a loss close to zero and hardly
# any slope. Over the test images the length of the gradient spans several powers of ten, and an $\alpha$ that is
# right for one image is far too small for another. So plain PGD is run with a huge $\alpha$. The *normalised* PGD of
# the slide's figure is better: whatever the length of the gradient, each step has the same size and goes to the best
# point of a small ball.
#
# $$\begin{aligned}
# v &= \arg\max_{\|v\| \leq \alpha} \langle g, v \rangle \\
# \ell_\infty\colon\ v &= \alpha\, \mathrm{sign}(g) \\
# \ell_2\colon\ v &= \alpha\, g / \|g\|_2 \\
# \ell_1\colon\ v &= \alpha\, \mathrm{sign}(g_j)\, e_j, \quad j = \arg\max_k |g_k|
# \end{aligned}$$

# %%
model = models["4-layer"]
_, g = loss_and_gradient(model, cross_entropy, x, y)
figure, axes = plots.figure_with_axes(1, 2, size=(5.0, 3.8))
axes[0, 0].hist(np.log10(L2.norm(g)), bins=30, color="#2166ac")
axes[0, 0].set(xlabel="log₁₀ ‖∇ₓL‖₂", ylabel="test images", title="how long the gradient is")

settings = {
    "plain steps α g": (np.logspace(-2, 6, 17), False, "#f4a582"),
    "normalised steps α sign(g)": (np.logspace(-3.5, 0, 15), True, plots.WRONG),
}
ascent = partial(pgd, model, x, y, threat, steps=20)
for name, (alphas, normalized, color) in settings.items():
    deltas = [ascent(alpha=alpha, normalized=normalized) for alpha in alphas]
    loss = [judge(model, x, y, delta, threat).loss.mean() for delta in deltas]
    axes[0, 1].semilogx(alphas, loss, "o-", ms=3, color=color, label=name)
auto = judge(model, x, y, apgd(model, x, y, threat, steps=20), threat).loss.mean()
axes[0, 1].axhline(auto, ls="--", color=plots.RIGHT, label="APGD, no α")
axes[0, 1].set(xlabel="α", ylabel="mean of the best loss", title="what 20 steps of size α find")
axes[0, 1].grid(alpha=0.25)
axes[0, 1].legend(fontsize=9, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18))
figure.suptitle(f"4-layer net, 200 test images, {threat}, no box, from δ = 0")
show.figure(figure, "06_step_sizes", "Histogram of gradient lengths, and the loss found over the step size")

# %% [markdown]
# ## What came after: APGD
#
# Even normalised steps have an $\alpha$, and a badly chosen one makes a model look robust. Auto-PGD (Croce and Hein,
# 2020) begins with the step size $2 \epsilon$, adds momentum, and halves the step size of an example when its loss no
# longer improves enough. It is the green line above. The rule consists of two conditions, tested at fixed
# checkpoints. `attacks/gradient/apgd.py` has it in full, and chapter 9 uses it.

# %%
seen = []
apgd(
    model,
    x[:3],
    y[:3],
    threat,
    steps=40,
    callback=lambda iterate: seen.append(iterate.step_size / threat.eps),
)
figure, axes = plots.figure_with_axes(size=(7.0, 3.0))
for i, color in enumerate(("#2166ac", plots.WRONG, plots.RIGHT)):
    axes[0, 0].step(range(41), np.array(seen)[:, i], where="post", color=color, label=f"test image {i}")
axes[0, 0].set(xlabel="step", ylabel="η / ε", yscale="log", title=f"APGD's step size, 4-layer net, {threat}, no box")
axes[0, 0].grid(alpha=0.25)
axes[0, 0].legend(frameon=False)
show.figure(figure, "06_apgd", "The step size that APGD takes for three images")

# %% [markdown]
# ## Loss over steps and restarts
#
# One walk ends at one local maximum. A second walk, from a random point of $\Delta(x)$, may end at a higher one. The
# attack keeps the best result *for each example*.

# %%
figure, axes = plots.figure_with_axes(1, 2, size=(4.8, 3.6))
for axis, name in zip(axes[0], ("2-layer", "CNN"), strict=True):
    walks = np.zeros((8, 41, 3))

    def keep(iterate, walks=walks):
        """Record the losses of the three images."""
        walks[iterate.restart, iterate.step] = iterate.loss

    pgd(models[name], x[:3], y[:3], threat, alpha=0.01, restarts=8, rng=np.random.default_rng(0), callback=keep)
    for i, color in enumerate(("#2166ac", plots.WRONG, plots.RIGHT)):
        axis.plot(walks[:, :, i].T, color=color, lw=0.9, alpha=0.8)
        axis.plot([], color=color, label=f"test image {i}, a {data.class_names[y[i]]}")
    axis.set(title=name, xlabel="step", ylabel="loss, 8 random starts")
    axis.grid(alpha=0.25)
    axis.legend(fontsize=8, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.17))
figure.suptitle(f"PGD, 40 steps of 0.01, {threat}, no box")
show.figure(figure, "06_restarts", "Loss over the steps of PGD from eight starts, for three images")

# %%
cnn = models["CNN"]
fallen = np.zeros(60, bool)
rng = np.random.default_rng(0)
errors = []
for _ in range(5):
    delta = pgd(cnn, x[:60], y[:60], threat, alpha=0.01, rng=rng)
    fallen |= judge(cnn, x[:60], y[:60], delta, threat).success
    errors.append(f"{fallen.mean():.3f}")
print(f"CNN, 60 test images, {threat}, no box, PGD-40 of 0.01 from random starts")
show.table(["restarts", *"12345"], [["error", *errors]])

# %% [markdown]
# **Exercise 6.2.** Why is the error under several restarts never smaller than under the first run alone, for any
# model? And why does the same not hold for more *steps* with $\alpha = 2.5\, \epsilon / T$?

# %% [markdown] tags=["answer"]
# An example counts as fooled if any run fools it, and the iterates of two runs include those of the first, so no
# success is ever lost. (This holds because the attack prefers an iterate that fools the model to one with a higher
# loss that does not.) With more steps each step is shorter: the walk visits different points, not additional ones,
# and may end in another maximum.

# %% [markdown]
# ## Fast gradient sign method
#
# What if $\alpha \to \infty$? From $\delta^{[0]} = 0$ one plain step lands far outside, and in the $\ell_\infty$ ball
# the projection clips each component to $+\epsilon$ or $-\epsilon$, according to its sign:
#
# $$\mathrm{clip}(\alpha g, [-\epsilon, \epsilon]) \ \longrightarrow\ \epsilon\, \mathrm{sign}(g), \qquad
#   g = \nabla_x L(y, \hat{f}(x \mid \theta)).$$
#
# There is a second way to see it. FGSM takes the best point of $\Delta$ for the loss linearised at $x$. That is one
# line of code, for every norm, with or without a box.

# %%
print("fgsm: threat.at(x).linear_max(g), with")
show.source(loss_and_gradient, Linf.linear_max)

_, g = loss_and_gradient(model, cross_entropy, x, y)
delta = fgsm(model, x, y, threat)
rows = []
for alpha in (1e0, 1e2, 1e4, 1e6, 1e8, 1e12):
    same = np.isclose(threat.project(alpha * g), delta)
    rows.append([f"{alpha:.0e}", f"{same.mean():.4f}"])
print(f"4-layer net, 200 test images, {threat}: one plain step from zero, compared with FGSM")
show.table(["α", "share of components that equal FGSM's"], rows)

# %% [markdown]
# The slide's picture shows that the sign changes the direction of the step. The figure below shows this on the left
# in two dimensions. On the right is the angle between $g$ and $\mathrm{sign}(g)$ for the test images, in 784
# dimensions; its cosine is $\|g\|_1 / (\sqrt{P}\, \|g\|_2)$ with $P = 784$.

# %%
figure, axes = plots.figure_with_axes(1, 2, size=(4.8, 4.0))
axis = axes[0, 0]
arrow = np.array([1.0, 0.4])
axis.plot([-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1], color=plots.RIGHT, label="Δ")
path = np.clip(np.linspace(0, 4, 200)[:, None] * arrow, -1, 1)
axis.plot(*path.T, color="#2166ac", lw=2, label="P(α g), α from 0")
axis.annotate("", xy=arrow * 1.6, xytext=(0, 0), arrowprops={"arrowstyle": "->", "color": "0.5"})
axis.text(*(arrow * 1.6 + [0.03, 0.03]), "g", fontsize=12)
axis.plot(1, 1, "o", color=plots.WRONG, label="ε sign(g)")
axis.set(
    xlim=(-1.9, 1.9), ylim=(-1.9, 1.9), aspect="equal", title="from plain step to FGSM", xticks=[-1, 1], yticks=[-1, 1]
)
axis.set_xticklabels(["−ε", "ε"])
axis.set_yticklabels(["−ε", "ε"])
axis.legend(fontsize=9, frameon=False, loc="lower left")
for name, color in (("2-layer", "#2166ac"), ("CNN", plots.WRONG)):
    _, g = loss_and_gradient(models[name], cross_entropy, x, y)
    cosine = L1.norm(g) / (np.sqrt(784) * L2.norm(g))
    axes[0, 1].hist(np.degrees(np.arccos(cosine)), bins=25, alpha=0.6, color=color, label=name)
axes[0, 1].set(xlabel="angle between g and sign(g), degrees", ylabel="test images", title="on 200 digits", xlim=(0, 90))
axes[0, 1].legend(frameon=False)
show.figure(figure, "06_fgsm_limit", "PGD's plain step as α grows, and the angle between gradient and sign")

# %% [markdown]
# > **Beside the slide.** "Slightly changes the direction" is right for the plane, where the angle is at most 45°. In
# > many dimensions the two directions can be far apart. FGSM is not an approximate gradient step. It is the exact
# > answer to another question: which direction is the steepest in the $\ell_\infty$ norm?

# %% [markdown]
# ## The optimal attack on linear models was FGSM
#
# For logistic regression the gradient in $x$ is $-y\, \tau(-y z)\, \theta$: a positive number times $-y \theta$. So
# FGSM is $-y \epsilon\, \mathrm{sign}(\theta)$, the $\delta^*$ of chapter 3, exactly.

# %%
two = data.only(0, 1)
linear = LogisticRegression(np.random.default_rng(0).normal(size=two.x_test.shape[1:]).astype(np.float32))
for ball in (Linf(0.2), L2(2.0), Linf(0.2).within(0, 1)):
    pair = (attack(linear, two.x_test, two.y_test, ball) for attack in (fgsm, exact))
    assert np.allclose(*pair, atol=1e-5)
    print(f"{ball}: fgsm equals exact on {len(two.x_test):,} images")

# %% [markdown]
# **Exercise 6.3.** What is FGSM for the $\ell_2$ ball, and what is it for the $\ell_1$ ball? Show that each raises
# $\langle g, \delta \rangle$ to $\epsilon$ times the dual norm of $g$.

# %% tags=["answer"]
_, g = loss_and_gradient(model, cross_entropy, x, y)
for ball, dual in ((Linf(0.1), L1(1)), (L2(1.5), L2(1)), (L1(8.0), Linf(1))):
    gained = (g * fgsm(model, x, y, ball)).reshape(len(x), -1).sum(axis=1)
    assert np.allclose(gained, ball.eps * dual.norm(g), rtol=1e-4)
print("ε g / ‖g‖₂ for ℓ2; ε sign(g_j) at the single largest |g_j| for ℓ1")

# %% [markdown]
# ## Fast gradient sign method (FGSM) attack
#
# The second deck gives it as a recipe, $x' = x + \epsilon \cdot \mathrm{sign}(\nabla_x L(x, y))$: the loss goes up,
# so the confidence goes down, so another class is likely to win. In this way the panda of the slides became a gibbon,
# with $\epsilon = 0.007$. We have digits instead of animals, and our $\epsilon$ is larger because a digit has few
# pixels:

# %%
eps = 0.15
delta = fgsm(cnn, x, y, Linf(eps))
fooled = judge(cnn, x, y, delta, Linf(eps)).success & (predict(cnn, x) == y)
i = int(np.flatnonzero(fooled)[0])
figure, axes = plots.figure_with_axes(1, 3, size=(3.4, 4.1))
pictures = (x[i], (0, 1)), (delta[i], (-eps, eps)), (x[i] + delta[i], (0, 1))
for axis, (image, limits) in zip(axes[0], pictures, strict=True):
    plots.show_image(axis, image, limits)
    z = cnn.logits(image[None])[0]
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    axis.set_xlabel(f"“{data.class_names[p.argmax()]}”, {100 * p.max():.1f} % confidence", fontsize=11)
for axis, title in zip(axes[0], ("x", f"+  {eps} · sign(∇L)", "=  x′"), strict=True):
    axis.set_title(title, fontsize=14)
figure.suptitle(f"CNN, test image {i}, FGSM, {Linf(eps)}, no box")
show.figure(figure, "06_panda", "A digit plus a sign pattern is another digit to the CNN, with its confidence")

# %% [markdown]
# FGSM trusts the gradient at $x$ for its whole step. With small steps and a new gradient for each, the same budget
# does more. For a linear model all three curves would coincide.

# %%
eps_grid = np.linspace(0, 0.2, 9)
attacks = {
    "FGSM": (fgsm, "#f4a582"),
    "iterated FGSM, 10 steps": (iterated_fgsm, "#2166ac"),
    "PGD, 40 steps": (pgd, plots.WRONG),
}
lines = []
for name, (attack, color) in attacks.items():
    stands = accuracy_over_eps(model, x, y, [Linf(eps) for eps in eps_grid], [attack]).accuracy
    lines.append((name, stands, {"color": color, "marker": "o", "ms": 3}))
figure = plots.curves(eps_grid, lines, "ε (ℓ∞, no box)", "accuracy of the 4-layer net, 200 test images")
show.figure(figure, "06_over_eps", "Accuracy over ε under FGSM, iterated FGSM and PGD")

# %% [markdown]
# **Exercise 6.4.** Write FGSM and PGD (normalised, $\ell_\infty$, no box, from zero, best iterate) yourself, with
# `loss_and_gradient` only, and compare with the library.


# %% tags=["answer"]
def my_pgd(model, x, y, eps, steps, alpha):
    """Return the iterate of highest loss of PGD along the sign, from zero."""
    delta = best = np.zeros_like(x)
    highest = np.full(len(x), -np.inf)
    for _ in range(steps + 1):
        value, g = loss_and_gradient(model, cross_entropy, x + delta, y)
        better = value > highest
        best = np.where(better[:, None, None, None], delta, best)
        highest = np.maximum(value, highest)
        delta = np.clip(delta + alpha * np.sign(g), -eps, eps).astype(x.dtype)
    return best


mine = my_pgd(model, x, y, 0.1, 10, 0.02)
theirs = pgd(model, x, y, threat, steps=10, alpha=0.02)
losses_of = [judge(model, x, y, delta, threat).loss.mean() for delta in (mine, theirs)]
assert np.allclose(*losses_of, rtol=1e-3)
print("mean losses:", losses_of)

# %% [markdown]
# ## Targeted attacks
#
# An attacker may want one particular wrong answer. The slides maximise $L(y) - L(y_{target})$. The tutorial gives two
# objectives on the logits: $z_{target} - z_y$, and $z_{target} - \sum_{k \neq target} z_k$, which also pushes all
# other logits down. With cross-entropy the slides' objective *is* the first one, because the normaliser
# $\log \sum_k e^{z_k}$ cancels.

# %%
show.source(losses.Targeted, losses.LogitDifference.grad, losses.TargetMinusRest.grad)

# %%
target = (y + 1) % 10
wide = Linf(0.15)
objectives = {
    "L(y) − L(target), the slides'": None,
    "z_target − z_y": losses.logit_difference,
    "z_target − the sum of the others": losses.target_minus_rest,
    "z_target − the best other": losses.target_margin,
}
rows = []
for name, loss in objectives.items():
    delta = pgd(model, x, y, wide, target=target, loss=loss)
    reached = judge(model, x, y, delta, wide, target=target).success.mean()
    rows.append([name, f"{reached:.3f}", f"{judge(model, x, y, delta, wide).success.mean():.3f}"])
print(f"4-layer net, 200 test images, target y + 1, PGD-40, {wide}, no box")
show.table(["objective", "target reached", "any wrong label"], rows)

# %%
one = np.repeat(x[:1], 10, axis=0)
labels = np.repeat(y[:1], 10)
ball = Linf(0.3).within(0, 1)
delta = pgd(cnn, one, labels, ball, target=np.arange(10), loss=losses.target_margin, alpha=0.02)
found = predict(cnn, one + delta)
names = [data.class_names[k] for k in found]
figure = plots.before_and_after([("target 0 to 9", one + delta, names, found == np.arange(10))], (0, 1))
figure.suptitle(f"CNN, test image 0, PGD-40, {ball}; above each image its prediction, green if it is the target")
show.figure(figure, "06_targets", "One digit attacked towards each of the ten classes")

# %% [markdown]
# **Exercise 6.5.** Prove that for cross-entropy $L(y) - L(y_{target}) = z_{target} - z_y$, and check values and
# gradients.

# %% tags=["answer"]
z, pairs = model.logits(x), np.stack([y, target], axis=1)
slides = losses.Targeted(cross_entropy)
assert np.allclose(slides.value(z, pairs), losses.logit_difference.value(z, pairs), atol=1e-4)
assert np.allclose(slides.grad(z, pairs), losses.logit_difference.grad(z, pairs), atol=1e-5)

# %% [markdown] tags=["answer"]
# $L(y) = \log \sum_k e^{z_k} - z_y$. The first term does not depend on the label, so it cancels in the difference.

# %% [markdown]
# ## Before and after
#
# This figure shows eight test images, what PGD adds to them within the pixel range, and what the CNN predicts.

# %%
boxed = threat.within(0, 1)
first = slice(0, 8)
delta = pgd(cnn, x[first], y[first], boxed, alpha=0.01)
rows = []
for title, images in (("clean", x[first]), ("under PGD", x[first] + delta)):
    label = predict(cnn, images)
    rows.append((title, images, [data.class_names[k] for k in label], label == y[first]))
rows.insert(1, ("δ × 5", 0.5 + 5 * delta, [""] * 8, [True] * 8))
figure = plots.before_and_after(rows, (0, 1))
figure.suptitle(f"CNN, the first 8 test images, PGD, 40 steps of 0.01, {boxed}")
show.figure(figure, "06_before_and_after", "Digits before and after PGD with the predictions")

# %% [markdown]
# **Exercise 6.6.** The picture keeps $0 \leq x + \delta \leq 1$, the tutorial's numbers do not. Which of the two makes
# the larger error, and why? Look at the table below.

# %% [markdown] tags=["answer"]
# The error is larger without the box. The set with the box is a subset of the set without it, so its maximum cannot
# be larger. In digits most pixels are already 0 or 1, so most pixels can move in one direction only.

# %% [markdown]
# ## The slides' numbers beside today's
#
# These are the networks of the tutorial on which the slides are based. Here they are trained on 5,000 images instead
# of 60,000 and attacked on 60 instead of 10,000, which is enough to see their order. `scratchadv reproduce networks`
# makes the full table.

# %%
plan = replace(networks.QUICK, test=60, restarts=2)
setup = Setup(models, data, plan, threat.eps, seed=0)
(table,) = networks.tables(result_of(networks.EXPERIMENT, setup, networks.measure(setup)))
wide = Linf(0.25)
errors = [judge(softmax, x, y, fgsm(softmax, x, y, t), t).success.mean() for t in (wide, wide.within(0, 1))]
published = "0.999, quoted" if setup.mnist else "–"
row = ["softmax regression (Goodfellow): FGSM, ε = 0.25", published, "–", *(f"{error:.4f}" for error in errors)]
print(f"{threat} unless a row says otherwise; PGD: 40 steps of 0.01; box: 0 ≤ x + δ ≤ 1; seed 0")
print("60 test images, 200 for the softmax regression; the published restarts are 10")
show.table(table.header, [*table.rows, row])
